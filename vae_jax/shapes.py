"""What stands in signatures for an array of a shape: `Float[AnyArray, "N d"]`, in the language of jaxtyping.

One letter is one length throughout a signature: N examples, d latents, k factors; `*event` is any number of axes,
"" a scalar. A name that stands alone begins with a space, by which linters know it for a shape. Nothing is checked
when a function is called, for a wrong shape is told of by `InputError`; the tests check what is written.
"""

from __future__ import annotations

from typing import TypeAlias

import jax
import numpy as np

AnyArray: TypeAlias = jax.Array | np.ndarray
