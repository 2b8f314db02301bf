"""Every likelihood under settings of JAX that are the user's: 64 bits, explicit ranks, NaN checks, no jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.parts.rows import LIKELIHOODS
from vae_jax.distributions import center
from vae_jax.likelihoods import LogisticMixture

# One a class, of the event that rows fit, and the one whose channels depend on each other with several of them.
ROWS = [(part, (2, 1)) for part in {type(part): part for part in LIKELIHOODS}.values()]
ROWS += [(LogisticMixture(components=2), (2, 3))]
each = pytest.mark.parametrize(("part", "event"), ROWS, ids=lambda value: repr(value)[:40])


def everything(part, event, dtype):
    """A function of the parameters, the output and x that asks for all that a model does, and its arguments."""

    def asked(params, raw, x):
        def log_prob(params, raw):
            return part.apply(params, raw).log_prob(x)

        p = part.apply(params, raw)
        return jax.value_and_grad(log_prob, argnums=(0, 1))(params, raw), center(p), p.log_prob_each(x)

    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), part.init(jax.random.key(0), event))
    raw = jnp.asarray(0.3 * rng.normal(size=(*event[:-1], part.size(event[-1]))), dtype)
    x = jax.tree.map(lambda a: jnp.asarray(a, dtype), part.apply(params, raw).sample(jax.random.key(1)))
    return asked, (params, raw, x)


@each
def test_64_bits_explicit_ranks_and_nans(part, event):
    """Fails if axes are added by NumPy's rules, a NaN is made on the way, or a dtype is not that of the model."""
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        for dtype in (np.float32, np.float64):
            with jax.enable_x64(True):
                asked, arguments = everything(part, event, dtype)
                found = jax.jit(asked)(*arguments)
                draw = part.apply(*arguments[:2]).sample(jax.random.key(1))
            assert {leaf.dtype for leaf in jax.tree.leaves((found, draw))} == {np.dtype(dtype)}
            assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))
            assert {jnp.shape(leaf) for leaf in jax.tree.leaves(found[1])} == {event}


@each
def test_without_jit(part, event):
    """Fails if a likelihood needs to be compiled, or is another number then or under vmap."""
    asked, arguments = everything(part, event, np.float32)
    compiled = jax.jit(jax.vmap(asked, (None, None, 0)))(
        *arguments[:2], jax.tree.map(lambda a: a[None], arguments[2])
    )
    with jax.disable_jit():
        plain = asked(*arguments)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=2e-4, atol=1e-5)
