"""Random 16-bit integers: the same on every platform, and those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.fast.bits import random_uint16, threefry_2x32


def halves(key, size):
    """The two halves of each draw of JAX, the lower one first."""
    draws = np.asarray(jax.random.bits(key, (-(-size // 2),), jnp.uint32))
    return np.stack([draws & 0xFFFF, draws >> 16], axis=1).reshape(-1)[:size].astype(np.uint16)


@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (28, 28, 1)])
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_are_the_halves_of_jax(shape, implementation):
    """Fails if a round, a rotation, the order of the halves, or the choice for other generators is wrong."""
    key = jax.random.key(3, impl=implementation)
    found = random_uint16(key, shape)
    assert found.dtype == jnp.uint16
    assert found.shape == shape
    np.testing.assert_array_equal(np.ravel(found), halves(key, int(np.prod(shape))))


def test_under_vmap():
    """Fails if an example's integers depend on those beside it."""
    keys = jax.random.split(jax.random.key(1), 4)
    found = jax.jit(jax.vmap(lambda k: random_uint16(k, (9,))))(keys)
    np.testing.assert_array_equal(found, np.stack([halves(k, 9) for k in keys]))


def test_without_partitionable_threefry():
    """Fails if the form for CPUs is taken where JAX was told to draw otherwise, so that platforms would differ."""
    with jax.threefry_partitionable(False):
        key = jax.random.key(0)
        np.testing.assert_array_equal(random_uint16(key, (11,)), halves(key, 11))


def test_cipher_at_published_values():
    """Fails if the cipher is not Threefry-2x32: the known answers of its authors' library Random123."""
    ones, pi = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    for counters, key, expected in [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ones, ones), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        (pi[:2], pi[2:], (0xC4923A9C, 0x483DF7A0)),
    ]:
        found = threefry_2x32(jnp.array(key, jnp.uint32), *(jnp.uint32(c) for c in counters))
        assert tuple(map(int, found)) == expected


def test_cpu_keeps_the_hash_in_one_expression():
    """Fails if the generator becomes a loop on CPU, which stores its state at each turn."""
    text = jax.jit(lambda k: random_uint16(k, (784,))).trace(jax.random.key(0)).lower(lowering_platforms=("cpu",))
    assert "while" not in text.as_text()
