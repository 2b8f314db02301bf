"""What must hold of every objective and every estimator of log p(x), as functions that raise AssertionError."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax.estimates import Estimate
from vae_jax.model import VAE, make_vae
from vae_jax.networks import MLPDecoder, MLPEncoder
from vae_jax.testing.oracles import linear_gaussian_vae, log_evidence, random_params
from vae_jax.testing.parts import check_part
from vae_jax.training import fit, init_state, partitioned

Array = jax.Array


def check_objective(objective: Any, *, num_steps: int = 30) -> None:
    """Asserts that a part binds to a model, gives finite losses and gradients, and trains.

    After `num_steps` steps on binary vectors of 4 every parameter has moved and the metric `elbo`, where the
    objective has one, is above its start.
    """
    check_part(objective)
    rng = np.random.default_rng(0)
    x = jnp.asarray((rng.random((32, 4)) < np.array([0.9, 0.1, 0.8, 0.2])).astype(np.float32))
    vae = make_vae(MLPEncoder(2, hidden=(8,)), MLPDecoder((4,), hidden=(8,)))
    trained = objective.bind(vae, (2,), len(x))

    def next_batch(data: Any, key: Array, step: Array) -> Any:
        return data[:16]

    start = jax.jit(lambda key: trained.loss(trained.vae.init(key), key, x, jnp.int32(10**6)))(jax.random.key(0))
    assert isinstance(start, Estimate), f"the loss returned a {type(start).__name__}: expected an Estimate"
    for name, value in {"the loss": start.value, **start.metrics}.items():
        assert jnp.shape(value) == (), f"{name} has shape {jnp.shape(value)}: expected a scalar"
        assert np.isfinite(value), f"{name} is {value}: expected a finite number"
    shapes = jax.eval_shape(trained.vae.init, jax.random.key(1))
    optimizer = partitioned(optax.adam(1e-2), trained.optimizers, shapes)
    state = init_state(trained.vae.init, optimizer, jax.random.key(1))
    before = jax.tree.map(np.array, state.params)
    first: list[dict[str, np.ndarray]] = []
    state = fit(
        trained.loss,
        optimizer,
        next_batch,
        state,
        x,
        num_steps=num_steps,
        steps_per_call=num_steps,
        after_call=lambda state, metrics: first.append(metrics),
    )
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, jax.tree.map(np.asarray, state.params))
    assert all(jax.tree.leaves(moved)), f"parameters that did not move: {moved}"
    if "elbo" in first[0]:
        early, late = first[0]["elbo"][:5].mean(), first[0]["elbo"][-5:].mean()
        assert late > early, f"elbo {early:.3f} at the start, {late:.3f} after {num_steps} steps"


def check_evidence_estimator(estimator: Callable[..., Estimate], *, num_keys: int = 200, **tunables: Any) -> None:
    """Asserts that an estimator bounds log p(x) from below on a model whose log p(x) is known.

    The model is linear with normal noise, of 2 latents and 3 observations. The mean over `num_keys` keys may be no
    more than 4 standard errors above log p(x), and `value` and the metric `log_likelihood` are the same.
    """
    vae: VAE = linear_gaussian_vae(3, 2)
    params = random_params(0, 3, 2)
    x = jnp.asarray([0.5, -1.0, 2.0])
    keys = jax.random.split(jax.random.key(0), num_keys)
    found = jax.jit(jax.vmap(lambda key: estimator(vae, params, key, x, **tunables)[:2]))(keys)
    values = np.asarray(found[0], np.float64)
    assert values.shape == (num_keys,), f"values of shape {values.shape[1:]} an example: expected scalars"
    assert np.array_equal(found[0], found[1]["log_likelihood"]), "value is not the metric log_likelihood"
    exact, error = float(log_evidence(params, x)), values.std(ddof=1) / math.sqrt(num_keys)
    assert values.mean() < exact + 4 * error + 1e-4, (
        f"{values.mean():.4f} +- {error:.4f} above log p(x) = {exact:.4f}"
    )
