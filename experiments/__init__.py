"""Published protocols, one file each: its docstring is the command and the result to expect."""

# Before the other imports of an experiment, for with it Ctrl-C is one line (vae_jax.ending).
import vae_jax as vae_jax
