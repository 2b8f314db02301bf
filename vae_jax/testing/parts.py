"""What must hold of every prior, posterior and likelihood, as functions that raise AssertionError."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.distributions import Distribution, sample_and_log_prob, support
from vae_jax.posteriors import DiagonalNormal

Array = jax.Array


def check_part(part: Any) -> None:
    """Asserts that a part can be an option and a saved configuration: frozen, hashable, settings without arrays."""
    assert dataclasses.is_dataclass(part), f"{part}: expected a dataclass"
    assert not isinstance(part, type), f"{part}: expected a part, not its class"
    assert hash(part) == hash(dataclasses.replace(part)), f"{part}: expected equal parts to have equal hashes"
    assert dataclasses.replace(part) == part, f"{part}: expected equal parts to be equal"
    assert (type(part).__doc__ or "").strip(), f"{type(part).__name__}: expected a docstring, its line in --help"
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        assert not isinstance(value, jax.Array | np.ndarray), f"{field.name} is an array: expected a setting"


def check_prior(prior: Any, *, z_shape: tuple[int, ...] = (3,), x_shape: tuple[int, ...] = (4,)) -> Distribution:
    """Asserts that a prior gives a distribution over z, from its key alone, whose parameters all get a gradient.

    A prior that needs a condition is given one of [5]. Returns the distribution, for `check_distribution`.
    """
    check_part(prior)
    context = jnp.linspace(-1.0, 1.0, 5)
    weights = jax.random.normal(jax.random.key(9), (int(np.prod(x_shape)), 2 * z_shape[-1]))

    def encode(x: Array) -> Distribution:
        return DiagonalNormal().apply({}, jnp.ravel(x) @ weights)

    params = prior.init(jax.random.key(0), z_shape, x_shape, context)
    _same(params, prior.init(jax.random.key(0), z_shape, x_shape, context))
    # Away from the start, where weights may be equal and biases 0.
    params = jax.tree.map(lambda a: a + 0.1 * jax.random.normal(jax.random.key(1), a.shape), params)

    def density(params: Any, z: Array) -> Array:
        return prior.apply(params, encode, z_shape, context).log_prob(z)  # type: ignore[no-any-return]

    p = prior.apply(params, encode, z_shape, context)
    z = p.sample(jax.random.key(2))
    assert jnp.shape(z) == z_shape, f"a draw has shape {jnp.shape(z)}: expected {z_shape}"
    _all_move(jax.grad(density)(params, z + 0.1))
    return p  # type: ignore[no-any-return]


def check_posterior(posterior: Any, *, latent_size: int = 3) -> Distribution:
    """Asserts that a posterior reads exactly the numbers that it asks for and gives a distribution over its event.

    Every number gets a gradient through a reparameterized draw and its density. Returns a distribution.
    """
    check_part(posterior)
    event = posterior.event(latent_size)
    size = posterior.size(event[-1])
    params = posterior.init(jax.random.key(0), event)
    raw = 0.3 * jax.random.normal(jax.random.key(1), (*event[:-1], size))
    q = posterior.apply(params, raw)
    z, _ = sample_and_log_prob(q, jax.random.key(2))
    assert jnp.shape(z) == event, f"a draw has shape {jnp.shape(z)}: expected {event}"

    def of_draw(raw: Array) -> Array:
        z, log_q = sample_and_log_prob(posterior.apply(params, raw), jax.random.key(2))
        return log_q + jnp.sum(jnp.sin(z))

    if set(jax.tree.leaves(support(q))) == {"real"}:
        _all_move(jax.grad(of_draw)(raw))
    return q  # type: ignore[no-any-return]


def check_likelihood(likelihood: Any, *, event: tuple[int, ...] = (2, 2, 1)) -> Distribution:
    """Asserts that a likelihood reads the numbers it asks for and gives a distribution over its event.

    Its parameters and every number get a gradient. Where it has them, `features` gives the encoder a float array,
    and `bias` of some examples is an output that makes them likelier than the output 0. Returns a distribution.
    """
    check_part(likelihood)
    wanted = (*event[:-1], likelihood.size(event[-1]))
    params = likelihood.init(jax.random.key(0), event)
    raw = 0.3 * jax.random.normal(jax.random.key(1), wanted)
    p = likelihood.apply(params, raw)
    x = p.sample(jax.random.key(2))
    like = likelihood.example(event) if hasattr(likelihood, "example") else jnp.zeros(event)
    shapes, expected = (jax.tree.map(jnp.shape, tree) for tree in (x, like))
    assert shapes == expected, f"a draw has shape {shapes}: expected {expected}"
    if hasattr(likelihood, "features"):
        assert jnp.issubdtype(likelihood.features(x).dtype, jnp.floating), "features: expected floating point"
    of_numbers = jax.grad(lambda params, raw: likelihood.apply(params, raw).log_prob(x), argnums=(0, 1))
    _all_move(jax.jit(of_numbers)(params, raw))
    if hasattr(likelihood, "bias"):
        _check_bias(likelihood, params, raw)
    return p  # type: ignore[no-any-return]


def _check_bias(likelihood: Any, params: Any, raw: Array) -> None:
    shifted = likelihood.apply(params, raw + 1.0)
    examples = jax.jit(jax.vmap(shifted.sample))(jax.random.split(jax.random.key(3), 200))
    bias = jnp.asarray(likelihood.bias(jax.tree.map(np.asarray, examples)))
    assert bias.shape == raw.shape, f"bias has shape {bias.shape}: expected {raw.shape}"
    log_prob = jax.jit(jax.vmap(lambda out, x: likelihood.apply(params, out).log_prob(x), (None, 0)))
    at_bias, at_zero = (jnp.mean(log_prob(out, examples)) for out in (bias, jnp.zeros(raw.shape)))
    assert at_bias > at_zero, f"bias gives the examples {at_bias:.3f} nats, 0 gives them {at_zero:.3f}"


def _same(a: Any, b: Any) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.array_equal(x, y), "init gives other parameters for the same key"


def _all_move(gradient: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), f"the gradient of {name} is not finite"
        assert np.any(np.asarray(leaf) != 0), f"the gradient of {name} is 0: the parameter is not used"
