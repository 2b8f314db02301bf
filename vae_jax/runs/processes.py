"""One experiment on several processes: all of them compute, the first one writes and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from vae_jax.errors import InputError

MESSAGE_BYTES = 2000


def join(distributed: bool) -> None:
    """Makes this process one of several, before anything is computed, and silences all but the first.

    On a TPU pod, and under Slurm or MPI, JAX finds the others by itself; elsewhere JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID say who they are. Raises InputError where it cannot be found out.
    """
    if not distributed:
        return
    try:
        # JAX reads the address itself, but not these two.
        num_processes, process_id = (
            int(os.environ[name]) if name in os.environ else None
            for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
        )
        jax.distributed.initialize(num_processes=num_processes, process_id=process_id)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"--distributed: {error}; expected a TPU pod, a cluster that JAX knows, or JAX_COORDINATOR_ADDRESS, "
            "the whole numbers JAX_NUM_PROCESSES and JAX_PROCESS_ID in the environment"
        ) from error
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def first_only(action: Callable[[], Any]) -> None:
    """The first process acts, and the others wait for it; what it raises all raise, the others as InputError."""
    message, failure = "", None
    if is_first():
        try:
            action()
        except Exception as error:  # any: the others would wait for ever
            message, failure = str(error) or type(error).__name__, error
    if jax.process_count() > 1:
        padded = np.zeros(MESSAGE_BYTES, np.uint8)
        text = np.frombuffer(message.encode()[:MESSAGE_BYTES], np.uint8)
        padded[: len(text)] = text
        message = bytes(multihost_utils.broadcast_one_to_all(padded)).rstrip(b"\0").decode(errors="ignore")
    if failure:
        raise failure
    if message:
        raise InputError(message)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in one process or more: the same answer in all of them."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))
