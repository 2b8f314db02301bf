"""The layers of residual networks against their definitions, and the plan of their resolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vae_jax.networks.blocks import Conv3, GroupNorm, ResidualBlock, pooled, upsampled
from vae_jax.networks.residual import resolutions

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("shape", [(4, 5, 16), (6, 12), (3, 3, 7)])
def test_group_norm_is_over_all_positions_of_a_group(shape):
    """Fails if an axis is taken for a batch, or if groups have other channels than neighbours."""
    groups = {16: 8, 12: 4, 7: 1}[shape[-1]]
    h, scale, bias = 3 + 2 * normal(*shape), normal(shape[-1]), normal(shape[-1])
    params = {"params": {"GroupNorm_0": {"scale": scale, "bias": bias}}}
    found = GroupNorm().apply(params, h)
    grouped = np.asarray(h, np.float64).reshape(-1, groups, shape[-1] // groups)
    mean, variance = grouped.mean((0, 2), keepdims=True), grouped.var((0, 2), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(shape) * np.asarray(scale) + np.asarray(bias)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 2)])
def test_the_convolution_is_the_stock_layer(shape):
    """Fails if parameters or values differ from those of `nn.Conv`."""
    x, rank = normal(*shape), len(shape) - 1
    layers = Conv3(4), nn.Conv(4, (3,) * rank)
    params = [jax.jit(layer.init)(jax.random.key(0), x) for layer in layers]
    jax.tree.map(np.testing.assert_array_equal, *params)
    np.testing.assert_allclose(*(layer.apply(params[0], x) for layer in layers), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6, 2), (5, 3, 2), (7, 2)])
def test_pooling_and_upsampling(shape):
    """Fails if a pooled position is not the mean of the positions it stands for, or upsampling does not repeat."""
    h, sides = np.asarray(normal(*shape)), shape[:-1]
    small = np.asarray(pooled(jnp.asarray(h)))
    assert small.shape == (*(-(-side // 2) for side in sides), shape[-1])
    for at in np.ndindex(*small.shape[:-1]):
        window = h[tuple(slice(2 * i, 2 * i + 2) for i in at)].reshape(-1, shape[-1])
        np.testing.assert_allclose(small[at], window.mean(0), rtol=1e-6, atol=1e-6)
    large = np.asarray(upsampled(jnp.asarray(small), sides))
    assert large.shape == shape
    for at in np.ndindex(*sides):
        np.testing.assert_array_equal(large[at], small[tuple(i // 2 for i in at)])


def test_blocks_share_the_growth_of_the_variance():
    """Fails if many blocks let the variance of what they add up grow more than one block does."""
    h = normal(8, 8, 64)

    def added(share):
        block = ResidualBlock(share, nn.gelu)
        out, params = jax.jit(block.init_with_output)(jax.random.key(0), h)
        kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
        assert ResidualBlock.parameters(64, 9) == sum(kernel.size for kernel in kernels)
        return float(jnp.var(out - h))

    np.testing.assert_allclose(added(1 / 16), added(1.0) / 16, rtol=1e-4)


@pytest.mark.parametrize(
    ("sides", "channels", "blocks"),
    [
        ((28, 28), (64, 128, 128), (2, 2, 2)),
        ((64, 64), (32, 64, 128, 128, 128), (1, 2, 2, 2, 2)),
        ((256, 256), (16, 32, 32, 64, 128, 128, 128), (1, 1, 1, 2, 2, 2, 2)),
        ((45, 30), (32, 64, 128, 128), (1, 2, 2, 2)),
        ((128,), (128,) * 6, (2,) * 6),
        ((3, 50), (128,), (2,)),
    ],
)
def test_default_resolutions(sides, channels, blocks):
    """Fails if the default network of a size becomes another: its saved parameters would no longer fit."""
    plan = resolutions(sides)
    assert tuple(r.channels for r in plan) == channels
    assert tuple(r.blocks for r in plan) == blocks
    assert min(plan[-1].sides) <= 7
