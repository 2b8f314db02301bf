"""Sides of a measurement, in a file that each of its processes imports at once: without JAX."""

import os


def writes(name, file):
    """A side that notes each of its calls, and the process it was made in."""

    def call():
        with file.open("a") as f:
            f.write(f"{name} {os.getpid()}\n")

    return call


def missing():
    """A side that cannot run here."""
    return None


def broken():
    """A side that fails."""
    raise ValueError("broken side")


def exits():
    """A side whose process ends without a word, as one that the system kills."""
    os._exit(3)
