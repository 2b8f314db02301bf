"""What every score needs: checked arrays, means over what counts, and scikit-learn for those who have it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import InputError

Array = jax.Array


def is_traced(x: Any) -> bool:
    """Whether the values of x are unknown for now, because a transformation such as `jit` is at work."""
    return isinstance(x, jax.core.Tracer)


def check_codes(codes: Any, name: str = "codes") -> Any:
    """The codes as they came, if they are [N, d] with N, d >= 1 and finite; else InputError."""
    if np.ndim(codes) != 2 or 0 in np.shape(codes):
        raise InputError(f"{name} of shape {np.shape(codes)}: expected [N, d], one row of latents per example")
    if not is_traced(codes) and not np.all(np.isfinite(codes)):
        raise InputError(f"{name} that are not finite: expected numbers; drop or repair those examples")
    return codes


def check_factors(factors: Any, num_examples: int, name: str = "factors") -> Any:
    """The factors as they came, if they are integers [num_examples, k] with k >= 1; else InputError."""
    shape = np.shape(factors)
    if len(shape) != 2 or shape[0] != num_examples or shape[1] < 1:
        raise InputError(f"{name} of shape {shape}: expected [{num_examples}, k], one row per example of the codes")
    dtype = jnp.result_type(factors)
    if not (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)):
        raise InputError(f"{name} of dtype {dtype}: expected integers; number the values of each factor first")
    return factors


def dense_factors(factors: Any, num_values: int | None = None) -> tuple[Any, int]:
    """The factors with the values of each renumbered 0, 1, ..., and a bound on how many there are.

    `num_values` is the caller's own bound, by default the next power of two. Factors that are traced have as many
    values as there are examples, for all that is known. Returns ids [N, k], a NumPy array unless factors are
    traced, and the bound. Raises InputError for a bound that is too small.
    """
    if not is_traced(factors):
        columns = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in np.asarray(factors).T]
        ids = np.stack(columns, axis=1).astype(np.int32)
        needed = int(ids.max()) + 1
        if num_values is not None and num_values < needed:
            raise InputError(f"num_values {num_values}: a factor has {needed} values; give that, or leave it out")
        # A power of two, so that resampled factors that lack a value or two compile nothing anew.
        return ids, num_values or 1 << (needed - 1).bit_length()
    ordered = jnp.sort(factors, axis=0)
    steps = jnp.concatenate([jnp.zeros_like(ordered[:1], jnp.int32), (ordered[1:] != ordered[:-1]) * 1])
    ranks = jnp.cumsum(steps, axis=0)
    ids = jax.vmap(lambda s, r, f: r[jnp.searchsorted(s, f)], 1, 1)(ordered, ranks, factors)
    return ids, factors.shape[0]


def varies(columns: Any) -> Array:
    """Which columns of [N, c] hold more than one value: bool [c]."""
    columns = jnp.asarray(columns)
    return jnp.max(columns, axis=0) > jnp.min(columns, axis=0)


def mean_of(values: Array, counted: Array) -> Array:
    """The mean over the values that count, a scalar; 0 if none does. values, counted: [c]."""
    return jnp.sum(jnp.where(counted, values, 0.0)) / jnp.maximum(jnp.sum(counted), 1)


def best_two(informativeness: Array) -> tuple[Array, Array]:
    """The best and the second-best latent of each factor: [k], [k]; a missing second latent has 0.

    informativeness: [d, k].
    """
    if informativeness.shape[0] == 1:
        return informativeness[0], jnp.zeros_like(informativeness[0])
    ordered = jnp.sort(informativeness, axis=0)
    return ordered[-1], ordered[-2]


def scikit_learn(module: str) -> ModuleType:
    """A module of scikit-learn, which only some of the scores need; InputError if it is not installed."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError as error:
        raise InputError("scikit-learn is not installed: install vae-jax[metrics] for this score") from error


def check_split(codes: Any, factors: Any, test_codes: Any, test_factors: Any) -> tuple[np.ndarray, ...]:
    """Four checked arrays on the host, codes and factors to fit on and to test on; InputError if they disagree."""
    for array in (codes, factors, test_codes, test_factors):
        if is_traced(array):
            raise InputError(
                "a traced array: this score runs scikit-learn on the host; call it outside jit and vmap"
            )
    check_factors(factors, len(check_codes(codes)))
    check_factors(test_factors, len(check_codes(test_codes, "test_codes")), "test_factors")
    widths = np.shape(codes)[1], np.shape(factors)[1]
    test_widths = np.shape(test_codes)[1], np.shape(test_factors)[1]
    if widths != test_widths:
        raise InputError(f"test arrays with {test_widths} latents and factors: expected {widths}, as to fit on")
    return tuple(np.asarray(array) for array in (codes, factors, test_codes, test_factors))
