"""Binarization and dequantization: probabilities, ends, ranges and keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import InputError
from vae_jax.data.transforms import binarize, dequantize, scale_to_unit, static_binarize


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_binarize_has_the_probability_of_the_pixel(p):
    """Fails if the share of ones is more than 4 standard errors away."""
    x = binarize(jax.random.key(0), jnp.full((1000, 401), p))
    assert abs(float(x.mean()) - p) < 4 * np.sqrt(p * (1 - p) / x.size)


def test_binarize_is_exact_at_the_ends_and_the_same_for_8_bit():
    """Fails if a black pixel can come out white, or a white one black, or if 255 is taken for 256."""
    levels = np.repeat(np.arange(256, dtype=np.uint8), 2001).reshape(256, 2001)
    x = np.asarray(binarize(jax.random.key(1), levels))
    np.testing.assert_array_equal(x[0], 0)
    np.testing.assert_array_equal(x[255], 1)
    np.testing.assert_array_equal(x, binarize(jax.random.key(1), levels / np.float32(255)))
    assert x.dtype == np.float32
    assert x.shape == levels.shape


def test_binarize_what_is_no_probability():
    """Fails if NaN comes out black, or a value above 1 white."""
    assert np.isnan(binarize(jax.random.key(0), jnp.array([jnp.nan, -0.1, 1.1, 255.0]))).all()


def test_binarize_pixels_are_independent():
    """Fails if the two halves of a 32-bit draw, or two keys, share their randomness."""
    x = np.asarray(jax.vmap(lambda k: binarize(k, jnp.full(6, 0.5)))(jax.random.split(jax.random.key(2), 20000)))
    correlations = np.corrcoef(x.T) - np.eye(6)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(20000)


def test_static_binarization_is_fixed_and_per_image():
    """Fails if the draw of an image depends on how many others there are."""
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 5, 1)).astype(np.uint8)
    whole = static_binarize(0, images)
    assert set(np.unique(whole)) <= {0, 255}
    np.testing.assert_array_equal(whole[:3], static_binarize(0, images[:3]))
    assert not np.array_equal(whole, static_binarize(1, images))


def test_dequantize():
    """Fails if values leave [0, 1), or if a level does not fill its bin evenly."""
    x = np.asarray(jax.vmap(lambda k: dequantize(k, jnp.array([0, 100, 255], jnp.uint8)))(
        jax.random.split(jax.random.key(0), 20000)
    ))  # fmt: skip
    assert x.min() >= 0
    assert x.max() < 1
    np.testing.assert_array_equal(np.floor(x * 256), np.broadcast_to([0, 100, 255], x.shape))
    np.testing.assert_allclose((x * 256 % 1).mean(0), 0.5, atol=4 / np.sqrt(12 * 20000))


UNIT = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (255 * UNIT, "has the value .*: expected 0.0 to 1.0; divide the images by 255"),
        (np.arange(60).reshape(3, 4, 5), r"int64 and values up to 59: .* pass images.astype\(np.uint8\)"),
        (2 * UNIT - 1, r"the value -1.0 at index \(0, 0, 0\)"),
        (np.where(UNIT == 1, np.nan, UNIT), r"the value nan at index \(2, 3, 4\)"),
        (np.arange(-1, 59).reshape(3, 4, 5), "the value -1 at index"),
        (1000 + np.arange(60, dtype=np.uint16).reshape(3, 4, 5), "the value 1000 at index"),
        ((UNIT > 0.5).astype(np.uint8), "largest is 1, and 255 is white"),
        (UNIT[:0], r"shape \(0, 4, 5\): .* at least one"),
        (UNIT.astype(str), "dtype <U"),
    ],
    ids=["0..255", "int64", "-1..1", "NaN", "negative", "uint16", "0 and 1", "empty", "text"],
)
def test_static_binarize_of_what_is_no_probability(images, message):
    """Fails if means of 1.4 or 70, or 0 for NaN, are returned."""
    with pytest.raises(InputError, match=message):
        static_binarize(0, images)


@pytest.mark.parametrize("images", [UNIT, UNIT.astype(">f8"), (255 * UNIT).astype(np.uint8), UNIT > 0.5])
def test_static_binarize_has_the_mean_of_the_images(images):
    """Fails if one of the forms that are allowed is refused, or scaled twice. UNIT has the mean 0.5."""
    ones = np.mean([static_binarize(seed, images) for seed in range(20)]) / 255
    assert abs(ones - 0.5) < 4 * np.sqrt(1 / 6 / 1200)


def test_static_binarize_of_integers_0_and_1():
    """Fails if whole probabilities are refused, or do not stay."""
    binary = (UNIT > 0.5).astype(np.int64)
    np.testing.assert_array_equal(static_binarize(3, binary), 255 * binary)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bool])
def test_dequantize_of_floats(dtype):
    """Fails if images in [0, 1] become values below 1 / 128."""
    with pytest.raises(InputError, match=r"dequantize of .*: expected integers 0 to 255"):
        dequantize(jax.random.key(0), UNIT.astype(dtype))


def test_dequantize_of_integers_that_are_no_levels():
    """Fails if a level outside 0..255 gives a number, or another integer type other numbers than uint8."""
    key, draw = jax.random.key(0), jax.jit(dequantize)
    levels = np.array([0, 7, 255])
    np.testing.assert_array_equal(draw(key, levels), draw(key, levels.astype(np.uint8)))
    assert np.isnan(draw(key, np.array([-1, 256, 70_000]))).all()
    assert np.isfinite(draw(key, np.array([3, 100, 7], np.int8))).all()


def test_big_endian_arrays_are_transformed_as_others():
    """Fails if the byte order of a file reaches JAX, which raises TypeError."""
    np.testing.assert_array_equal(scale_to_unit(UNIT.astype(">f4")), UNIT)
    levels, key = np.arange(3, dtype=">i4"), jax.random.key(0)
    assert np.floor(256 * dequantize(key, levels)).tolist() == [0, 1, 2]


def test_scale_to_unit():
    """Fails if floats are divided, or if bytes are not."""
    np.testing.assert_allclose(scale_to_unit(np.array([0, 51, 255], np.uint8)), [0, 0.2, 1], rtol=1e-6)
    np.testing.assert_array_equal(scale_to_unit(np.array([0.25, 1.0])), [0.25, 1.0])


@pytest.mark.parametrize("transform", [binarize, dequantize])
def test_keys_are_used_once(transform):
    """Fails if a transform consumes its key twice."""
    with jax.debug_key_reuse(True):
        jax.jit(transform)(jax.random.key(0), jnp.zeros((3, 3), jnp.uint8))
