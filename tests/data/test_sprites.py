"""Sprites: the indexing is a bijection, and the rendering shows what the factors say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import InputError
from vae_jax.data.sprites import FACTOR_SIZES, NUM_SPRITES, factors_of, index_of, render


def picture(shape=0, scale=5, orientation=0, x=16, y=16, size=64):
    return np.asarray(render(jnp.array([shape, scale, orientation, x, y]), size=size))[..., 0]


def centre(image):
    rows, columns = np.nonzero(image)
    return rows.mean(), columns.mean()


def test_indices_and_factors_are_a_bijection():
    """Fails if two indices share their factors, or a factor leaves its range."""
    assert NUM_SPRITES == 737_280
    index = jnp.arange(NUM_SPRITES)
    factors = jax.vmap(factors_of)(index)
    np.testing.assert_array_equal(factors.min(0), 0)
    np.testing.assert_array_equal(factors.max(0), np.array(FACTOR_SIZES) - 1)
    np.testing.assert_array_equal(jax.vmap(index_of)(factors), index)
    np.testing.assert_array_equal(factors[123_456], np.unravel_index(123_456, FACTOR_SIZES))


@pytest.mark.parametrize("size", [8, 32, 64])
def test_images_are_binary_and_never_empty(size):
    """Fails if a combination shows nothing, or grey values."""
    index = np.random.default_rng(0).integers(0, NUM_SPRITES, 2000).astype(np.int32)
    images = np.asarray(jax.jit(jax.vmap(lambda i: render(factors_of(i), size=size)))(index))
    assert images.shape == (2000, size, size, 1)
    assert images.dtype == np.float32
    assert set(np.unique(images)) == {0.0, 1.0}
    assert images.sum((1, 2, 3)).min() >= 1


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_area_grows_with_the_square_of_the_scale(shape):
    """Fails if the sprite is not scaled, or leaves the image where it would be cut: areas then shrink."""
    areas = np.array([picture(shape, scale, size=512).mean() for scale in range(6)])
    np.testing.assert_allclose(areas / areas[-1], np.linspace(0.5, 1, 6) ** 2, rtol=0.03)
    corners = [picture(shape, 5, o, x, y, size=512).mean() for o in (0, 5, 13) for x in (0, 31) for y in (0, 31)]
    np.testing.assert_allclose(corners, areas[-1], rtol=0.02)


@pytest.mark.parametrize("shape", [0, 1])
def test_position_moves_the_centre_and_nothing_else(shape):
    """Fails if x and y are swapped, or if a step is not 0.52 / 31 of the side."""
    row, column = centre(picture(shape, x=16, y=16, size=128))
    for x, y in ((0, 16), (31, 16), (16, 0), (16, 31), (5, 27)):
        moved_row, moved_column = centre(picture(shape, x=x, y=y, size=128))
        assert moved_column - column == pytest.approx((x - 16) * 128 * 0.52 / 31, abs=0.6)
        assert moved_row - row == pytest.approx((y - 16) * 128 * 0.52 / 31, abs=0.6)


def test_orientation():
    """Fails if the turn is not 2 pi k / 40, or runs about another point than the sprite's own."""
    ellipse = picture(1, orientation=0, size=128)
    np.testing.assert_array_equal(picture(1, orientation=20, size=128), ellipse)
    assert np.ptp(np.nonzero(ellipse)[1]) > np.ptp(np.nonzero(ellipse)[0])
    upright = picture(1, orientation=10, size=128)
    assert np.ptp(np.nonzero(upright)[0]) > np.ptp(np.nonzero(upright)[1])
    np.testing.assert_array_equal(picture(0, orientation=10, size=128), picture(0, size=128))
    assert not np.array_equal(picture(2, orientation=39), picture(2, orientation=0))


def test_shapes_differ():
    """Fails if two shapes are one."""
    images = [picture(shape) for shape in range(3)]
    assert all(np.abs(images[a] - images[b]).sum() > 40 for a, b in ((0, 1), (0, 2), (1, 2)))


def test_factor_outside_its_range_is_nan():
    """Fails if a factor that does not exist shows a sprite."""
    for bad in ([3, 0, 0, 0, 0], [0, 6, 0, 0, 0], [0, 0, -1, 0, 0], [0, 0, 0, 32, 0]):
        assert np.isnan(render(jnp.array(bad), size=8)).all()
        assert index_of(jnp.array(bad)) == -1
    for bad in (-1, NUM_SPRITES):
        assert np.isnan(render(factors_of(jnp.int32(bad)), size=8)).all()
    with pytest.raises(InputError, match="image size 0"):
        render(jnp.zeros(5, jnp.int32), size=0)
