"""What enters training: arrays of one length, or one line that says what else it is and what to pass."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data.batches import shuffled_batches
from vae_jax.data.foreign import as_arrays
from vae_jax.data.leading import num_examples
from vae_jax.data.streaming import gather, stream
from vae_jax.errors import InputError

X, C = np.arange(40.0), np.arange(30)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (X, 40),
        ({"x": X, "c": None}, 40),
        ((X[:, None], jnp.zeros((40, 2))), 40),
        ((jax.ShapeDtypeStruct((7, 3), float),), 7),
        (jax.random.split(jax.random.key(0), 5), 5),
    ],
)
def test_num_examples(data, expected):
    """Fails if shapes alone, keys, or a tree with None are not counted."""
    assert num_examples(data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, C), r"data\[0\] has 40 examples and data\[1\] has 30: expected the same number"),
        ({"a": C, "b": {"c": X}}, r"data\['a'\] has 30 examples and data\['b'\]\['c'\] has 40"),
        ((X, np.float32(3)), r"data\[1\] is a single float32"),
        ([1.0, 2.0], r"data\[0\] is a single float: .* np.array"),
        ((), "data: no array in tuple"),
        ({"x": None}, "data: no array in dict"),
    ],
)
def test_data_without_one_length(data, message):
    """Fails if a length is taken from the first array alone, or from none."""
    with pytest.raises(InputError, match=message):
        num_examples(data)


def test_lengths_are_compared_where_data_enter():
    """Fails if batches, a stream or `gather` clamp the index into the shorter array, or drop the surplus."""
    message = r"\[0\] has 40 examples and .*\[1\] has 30"
    with pytest.raises(InputError, match=message):
        shuffled_batches(4)((jnp.asarray(X), jnp.asarray(C)), jax.random.key(0), 0)
    with pytest.raises(InputError, match=message):
        jax.jit(shuffled_batches(4))((X, C), jax.random.key(0), 0)
    with pytest.raises(InputError, match=message):
        stream((X, C), 4)
    with pytest.raises(InputError, match=message):
        gather((X, C), np.arange(3))


def test_a_tuple_and_a_dict_of_arrays_are_examples():
    """Fails if a pair of arrays is taken for two examples."""
    x, c = gather((X, X + 1), np.array([[5, 39]]))
    np.testing.assert_array_equal(x, [[5, 39]])
    np.testing.assert_array_equal(c, [[6, 40]])
    np.testing.assert_array_equal(gather({"c": C}, np.array([7]))["c"], [7])


def named(name, module, **attributes):
    return type(name, (), attributes | {"__module__": module, "__qualname__": name})()


class Rows:
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[i]


FOREIGN = {
    "torch tensor": (
        named("Tensor", "torch", detach=None, shape=(3,), __array__=None),
        r"detach\(\).cpu\(\).numpy",
    ),
    "torch loader": (named("DataLoader", "torch.utils.data.dataloader", __iter__=None), "not a DataLoader"),
    "tensorflow": (named("EagerTensor", "tensorflow.python.framework.ops", numpy=None), r"pass x.numpy\(\)"),
    "tf.data": (named("MapDataset", "tensorflow.python.data.ops"), "tfds.as_numpy"),
    "pandas": (named("DataFrame", "pandas.core.frame", __array__=None), r"table.to_numpy\(\)"),
    "sparse": (named("csr_array", "scipy.sparse", toarray=None), r"x.toarray\(\)"),
    "generator": ((row for row in X), "read only once"),
    "path": ("images.npz", r"load_arrays\(path\)"),
    "function": (lambda: X, "call it"),
    "source": (Rows(), "source of examples to vae_jax.data.stream"),
    "object": (object(), "pass arrays"),
    "ragged": (np.array([[1], [2, 3]], dtype=object), "dtype object: .* one shape"),
    "text": (np.array(["a", "b"]), "dtype <U1"),
    "dates": (np.array(["2024-01-01"], "M8[D]"), "number the values of text and dates"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_data_of_other_libraries(name):
    """Fails if they reach JAX, whose error does not say what to pass, or if the place in the tree is not named."""
    value, message = FOREIGN[name]
    with pytest.raises(InputError, match=message) as caught:
        as_arrays({"x": value, "c": C})
    assert str(caught.value).startswith("data['x'] ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["torch loader", "generator", "object"])
def test_a_stream_of_what_has_no_random_access(name):
    """Fails if a loader is found to be no source only by the thread that reads."""
    with pytest.raises(InputError, match=r"source of a stream is a .* without random access"):
        stream(FOREIGN[name][0], 4)


def test_arrays_pass_and_byte_order_is_ours():
    """Fails if a value changes, if big-endian reaches JAX (TypeError), or if keys or bfloat16 are refused."""
    big = np.arange(5, dtype=">f4")
    data = {
        "big": big,
        "x": jnp.ones(5),
        "b": jnp.ones(5, jnp.bfloat16),
        "k": jax.random.key(0),
        "n": 3,
        "no": None,
    }
    data["nb"] = np.asarray(data["b"])
    out = as_arrays(data)
    assert out["big"].dtype.isnative
    np.testing.assert_array_equal(jnp.asarray(out["big"]), np.arange(5.0))
    assert all(out[key] is data[key] for key in data if key != "big")
    jax.jit(lambda x: as_arrays(x))(data["x"])


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_integers_beyond_32_bits(value):
    """Fails if a date in milliseconds arrives as another number."""
    data = np.array([0, value])
    if jax.config.jax_enable_x64:
        assert as_arrays(data) is data
    else:
        with pytest.raises(InputError, match=f"{value}.* 32 bits"):
            as_arrays(data)
    assert as_arrays(np.array([2**31 - 1])).dtype == np.int64
