"""Estimates over a whole data set: every example counts once, each with a key of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vae_jax.errors import InputError
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.elbo import estimate
from vae_jax.precision import full_precision
from vae_jax.sharding import over_examples, replicated

Array = jax.Array


def evaluator(
    estimator: Callable,
    vae: VAE | ConditionalVAE,
    *,
    batch_size: int = 500,
    transform: Callable[[Array, Any], Any] = lambda key, example: example,
    mesh: Mesh | None = None,
    **tunables: Any,
) -> Callable[[Any, Array, Any], dict[str, np.ndarray]]:
    """A function that gives the metrics of an estimator at every example of a data set; compiled once.

    Example i is estimated with keys from `fold_in(key, i)`, one for `transform(key, example)` (binarization,
    say) and one for the estimator: the numbers do not depend on the batch size, nor on the other examples.

    estimator: `(vae, params, key, x, **tunables) -> (loss, metrics)`, as `elbo`. Returns `run(params, key, data)`
    with data x with a leading axis, [num_examples, *event], or the pair (x, c) for a `ConditionalVAE`; it gives
    {name: [num_examples]} in float64 on the host, which `mean_and_error` reduces. Matrix products are in full
    float32 precision. `mesh`: the devices that share the examples of a batch, whose size is rounded up to a
    multiple of them; all processes get all values. Raises InputError for an empty data set or batch.
    """
    num_devices = mesh.size if mesh else 1

    @functools.partial(jax.jit, static_argnums=4, out_shardings=mesh and replicated(mesh))
    @full_precision
    def batch(params: Any, key: Array, data: Any, start: Array, size: int) -> dict[str, Array]:
        # The last batch repeats the last example to keep one shape; the repetitions are cut off below.
        i = jnp.minimum(start + jnp.arange(size), _num_examples(data) - 1)
        if mesh:
            i = jax.lax.with_sharding_constraint(i, over_examples(mesh))

        def one(i: Array, example: Any) -> dict[str, Array]:
            transform_key, estimator_key = jax.random.split(jax.random.fold_in(key, i))
            example = transform(transform_key, example)
            return estimate(vae, estimator, params, estimator_key, example, **tunables)[1]

        return jax.vmap(one)(i, jax.tree.map(lambda a: a[i], data))

    def run(params: Any, key: Array, data: Any) -> dict[str, np.ndarray]:
        num_examples = _num_examples(data)
        if num_examples < 1 or batch_size < 1:
            raise InputError(f"{num_examples} examples in batches of {batch_size}: expected at least one of each")
        data = jax.tree.map(jnp.asarray, data)
        size = -(-min(batch_size, num_examples) // num_devices) * num_devices
        parts = [batch(params, key, data, jnp.int32(start), size) for start in range(0, num_examples, size)]
        return jax.tree.map(lambda *p: np.concatenate(p).astype(np.float64)[:num_examples], *parts)

    return run


def evaluate(
    estimator: Callable,
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    data: Any,
    **options: Any,
) -> dict[str, np.ndarray]:
    """`evaluator(estimator, vae, **options)` applied once: {name: [num_examples]}."""
    return evaluator(estimator, vae, **options)(params, key, data)


def _num_examples(data: Any) -> int:
    return jax.tree.leaves(data)[0].shape[0]


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean over examples and its standard error, sd / sqrt(n) (NaN for one example). values: [n].

    A value that is not finite shows in both. Raises InputError for another shape: the samples of an example are no
    examples, and would make the error look smaller than it is.
    """
    if np.ndim(values) != 1 or np.size(values) == 0:
        raise InputError(
            f"values of shape {np.shape(values)}: expected [n], one per example; average samples first"
        )
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(error)


def plug_in(vae: VAE, params: Any, key: Array, x: Any) -> tuple[Array, dict[str, Array]]:
    """The reconstruction error at the posterior mean, -log p(x | z = E_q[z]), under its own name.

    It uses no noise (`key` is ignored), is below the distortion for most models, and is no part of any bound.
    x: [*event]. Returns it as loss, and {"plug_in_distortion"}, scalars in nats.
    """
    distortion = -vae.decode(params, vae.encode(params, x).mean()).log_prob(x)
    return distortion, {"plug_in_distortion": distortion}
