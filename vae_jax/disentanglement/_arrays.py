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
    """The codes, if they are finite numbers [N, d] with N, d >= 1; else InputError.

    Unless they are traced they come back as a NumPy array in the type that they had: float64 is kept.
    """
    codes = codes if is_traced(codes) else np.asarray(codes)
    if codes.ndim != 2 or 0 in codes.shape:
        raise InputError(f"{name} of shape {codes.shape}: expected [N, d], one row of latents per example")
    if not any(jnp.issubdtype(codes.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
        raise InputError(f"{name} of dtype {codes.dtype}: expected real numbers; convert or number them first")
    check_finite(codes, name)
    return codes


def check_finite(values: Any, name: str) -> None:
    """Raises InputError for NaN and infinities, which only concrete arrays can be asked for."""
    if not is_traced(values) and not np.all(np.isfinite(values)):
        raise InputError(f"{name} that are not finite: expected numbers; drop or repair those examples or latents")


def check_factors(factors: Any, num_examples: int, name: str = "factors") -> Any:
    """The factors, if they are integers [num_examples, k] with k >= 1; else InputError.

    Unless they are traced they come back as a NumPy array in the type that they had: int64 is kept.
    """
    factors = factors if is_traced(factors) else np.asarray(factors)
    shape = factors.shape
    if len(shape) != 2 or shape[0] != num_examples or shape[1] < 1:
        raise InputError(f"{name} of shape {shape}: expected [{num_examples}, k], one row per example of the codes")
    if not (jnp.issubdtype(factors.dtype, jnp.integer) or jnp.issubdtype(factors.dtype, jnp.bool_)):
        raise InputError(
            f"{name} of dtype {factors.dtype}: expected integers, for this score compares the examples of "
            "one value; number the values, cut continuous ones into bins (numpy.digitize), or take dci_lasso, "
            "dci_random_forest or sap_squared_correlation, which take them as they are"
        )
    return factors


def check_mask(active: Any, num_latents: int) -> Array:
    """Which latents count, bool [num_latents]; InputError for another shape or type."""
    mask: Array = jnp.asarray(active)
    if mask.shape != (num_latents,) or not jnp.issubdtype(mask.dtype, jnp.bool_):
        raise InputError(f"active of {mask.dtype}{mask.shape}: expected bool [{num_latents}], one for each latent")
    return mask


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


def difference(columns: Array, row: Array) -> Array:
    """columns - row as floats, for columns [N, c] that are traced and a row [1, c] of the same type.

    Integers are subtracted as such: at 20240101 float32 cannot tell one from the next.
    """
    dtype = columns.dtype
    if jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.promote_types(dtype, jnp.float32)
        return columns.astype(dtype) - row.astype(dtype)
    if dtype.itemsize < 4:
        columns, row = columns.astype(jnp.int32), row.astype(jnp.int32)
    # The larger less the smaller, without a sign: the distance of any two integers fits.
    distance = jnp.maximum(columns, row) - jnp.minimum(columns, row)
    sign = jnp.where(columns < row, -1.0, 1.0)
    return sign * distance.astype(np.dtype(f"u{columns.dtype.itemsize}"))


def centred(columns: Any) -> tuple[Any, Any, Any]:
    """Columns less their means, divided by the largest distance from it: [N, c], those sizes [c], which vary [c].

    A constant column is 0 and has size 1. What is not traced is centred and divided in float64 on the host, before
    JAX rounds it to its own type of float: neither the digits of codes around 1e6 nor the squares of codes around
    1e-19 are lost. What is traced has been rounded before. Returns NumPy arrays, unless columns are traced.
    """
    if is_traced(columns):
        varying = varies(columns)
        shifted = difference(columns, columns[:1])
        about_mean = jnp.where(varying[None], shifted - jnp.mean(shifted, axis=0, keepdims=True), 0.0)
        size = jnp.where(varying, jnp.max(jnp.abs(about_mean), axis=0), 1.0)
        return about_mean / size[None], size, varying
    host = np.asarray(columns).astype(np.float64)
    host = host - host[:1]  # whole numbers stay whole, whatever they were about
    differs = np.max(host, axis=0) > np.min(host, axis=0)
    host = np.where(differs, host - np.mean(host, axis=0), 0.0)
    largest = np.where(differs, np.max(np.abs(host), axis=0), 1.0)
    return host / largest, largest, differs


def standardized(train: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Each array [., c] less the mean and over the standard deviation of the first, in float64; constants are 0."""
    columns, size, varying = centred(train)
    scale = np.where(varying, np.std(columns, axis=0), 1.0) * size
    shifted = [array.astype(np.float64) - train[:1].astype(np.float64) for array in (train, *others)]
    loc = np.mean(shifted[0], axis=0)
    return tuple(np.where(varying, (array - loc) / scale, 0.0) for array in shifted)


def varies(columns: Any) -> Array:
    """Which columns of [N, c] hold more than one value: bool [c]."""
    if is_traced(columns):
        return jnp.max(columns, axis=0) > jnp.min(columns, axis=0)
    columns = np.asarray(columns)
    return jnp.asarray(np.max(columns, axis=0) > np.min(columns, axis=0))


def mean_of(values: Array, counted: Any) -> Array:
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


def check_split(
    codes: Any, factors: Any, test_codes: Any, test_factors: Any, *, continuous: bool = False
) -> tuple[np.ndarray, ...]:
    """Four checked arrays on the host, codes and factors to fit on and to test on; InputError if they disagree.

    Factors are integers, unless `continuous` allows any numbers.
    """
    for array in (codes, factors, test_codes, test_factors):
        if is_traced(array):
            raise InputError(
                "a traced array: this score runs scikit-learn on the host; call it outside jit and vmap"
            )

    def pair(codes: Any, factors: Any, prefix: str) -> tuple[np.ndarray, np.ndarray]:
        codes = check_codes(codes, f"{prefix}codes")
        if not continuous:
            return codes, check_factors(factors, len(codes), f"{prefix}factors")
        factors = check_codes(factors, f"{prefix}factors")
        if len(factors) != len(codes):
            raise InputError(
                f"{prefix}factors of shape {factors.shape}: expected [{len(codes)}, k], one row per code"
            )
        return codes, factors

    train, test = pair(codes, factors, ""), pair(test_codes, test_factors, "test_")
    widths, test_widths = ((c.shape[1], f.shape[1]) for c, f in (train, test))
    if widths != test_widths:
        raise InputError(f"test arrays with {test_widths} latents and factors: expected {widths}, as to fit on")
    return *train, *test
