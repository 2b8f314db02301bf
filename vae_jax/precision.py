"""The precision of numbers that are reported."""

import jax

# A decorator. By default TPUs multiply float32 matrices in bfloat16 and GPUs in TF32: in training that is the
# choice of the user, in a bound on log p(x) an error that nothing reports. On CPU it changes nothing.
full_precision = jax.default_matmul_precision("highest")
