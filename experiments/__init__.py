"""Published protocols, one file each: its docstring is the command and the result to expect."""

import sys

# Before the other imports of a command, for with it Ctrl-C is one line (vae_jax.ending). While Python looks for the
# module of `python -m`, its first argument is "-m"; what benchmarks measure beside the library starts without it.
if sys.argv[:1] == ["-m"]:
    import vae_jax as vae_jax
