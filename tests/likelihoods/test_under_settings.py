"""Every likelihood under settings of JAX that are the user's: 64 bits, explicit ranks, NaN checks, no jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.parts.rows import LIKELIHOODS
from vae_jax.distributions import center

EVENT = (2, 3)
ROWS = list({type(part): part for part in LIKELIHOODS}.values())  # one a class


def everything(part, dtype):
    """A function of the parameters, the output and x that asks for all that a model does, and its arguments."""

    def asked(params, raw, x):
        def log_prob(params, raw):
            return part.apply(params, raw).log_prob(x)

        p = part.apply(params, raw)
        return jax.value_and_grad(log_prob, argnums=(0, 1))(params, raw), center(p), p.log_prob_each(x)

    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), part.init(jax.random.key(0), EVENT))
    raw = jnp.asarray(0.3 * rng.normal(size=(2, part.size(3))), dtype)
    x = jnp.asarray(part.apply(params, raw).sample(jax.random.key(1)), dtype)
    return asked, (params, raw, x)


@pytest.mark.parametrize("part", ROWS, ids=lambda part: repr(part)[:40])
def test_64_bits_explicit_ranks_and_nans(part):
    """Fails if axes are added by NumPy's rules, a NaN is made on the way, or a dtype is not that of the model."""
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        for dtype in (np.float32, np.float64):
            with jax.enable_x64(True):
                asked, arguments = everything(part, dtype)
                found = jax.jit(asked)(*arguments)
                draw = part.apply(*arguments[:2]).sample(jax.random.key(1))
            assert {leaf.dtype for leaf in jax.tree.leaves((found, draw))} == {np.dtype(dtype)}
            assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))
            assert found[1].shape == EVENT


@pytest.mark.parametrize("part", ROWS, ids=lambda part: repr(part)[:40])
def test_without_jit(part):
    """Fails if a likelihood needs to be compiled, or is another number then or under vmap."""
    asked, arguments = everything(part, np.float32)
    compiled = jax.jit(jax.vmap(asked, (None, None, 0)))(*arguments[:2], arguments[2][None])
    with jax.disable_jit():
        plain = asked(*arguments)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=2e-4, atol=1e-5)
