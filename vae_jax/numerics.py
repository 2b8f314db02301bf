"""Numbers of log weights, and the precision of numbers that are reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Float

from vae_jax.shapes import AnyArray

Array = jax.Array

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def full_precision(f: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A decorator: the same function, its matrix products in full float32 precision.

    By default TPUs multiply float32 matrices in bfloat16 and GPUs in TF32: in training that is the choice of the
    user, in a bound on log p(x) an error that nothing reports. On CPU it changes nothing.
    """
    precise: Callable[Arguments, Result] = jax.default_matmul_precision("highest")(f)
    return precise


def log_mean_exp(log_weights: Float[AnyArray, " n"]) -> Float[Array, ""]:
    """log (1/n) sum_i exp(log_weights_i). log_weights: [n]."""
    return logsumexp(log_weights) - jnp.log(log_weights.shape[0])


def effective_sample_size(log_weights: Float[AnyArray, " n"]) -> Float[Array, ""]:
    """(sum w)^2 / sum w^2, from 1 (one weight has it all) to n (all are equal). log_weights: [n]."""
    return jnp.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))


def relative_error(ess: Float[AnyArray, ""], num_samples: int) -> Float[Array, ""]:
    """The relative standard error of a mean of weights, sqrt((n / ess - 1) / (n - 1)).

    To first order it is also the standard error of the log of that mean. num_samples: n, at least 2.
    """
    return jnp.sqrt(jnp.maximum(num_samples / ess - 1, 0.0) / (num_samples - 1))
