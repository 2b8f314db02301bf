"""What must hold of every network and every source of data, as functions that raise AssertionError."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_network(network: Any, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    """Asserts that a network of one example can be an encoder or a decoder.

    Its parameters follow from the key; the output is float32 of `output_shape`; a batch under `vmap` is what single
    examples are; every parameter gets a gradient.
    """
    params = network.init(jax.random.key(0), jnp.zeros(input_shape))
    again = network.init(jax.random.key(0), jnp.zeros(input_shape))
    assert all(map(np.array_equal, jax.tree.leaves(params), jax.tree.leaves(again))), "init depends on no key alone"
    batch = jax.random.normal(jax.random.key(1), (3, *input_shape))
    together = jax.vmap(lambda x: network.apply(params, x))(batch)
    assert together.shape[1:] == output_shape, f"output of shape {together.shape[1:]}: expected {output_shape}"
    assert together.dtype == jnp.float32, f"output of dtype {together.dtype}: expected float32"
    alone = jnp.stack([network.apply(params, x) for x in batch])
    assert np.allclose(together, alone, rtol=1e-4, atol=1e-5), "a batch is not what single examples are"
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(network.apply(p, batch[0]))))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.any(np.asarray(leaf) != 0), f"{jax.tree_util.keystr(path)} gets no gradient"


def check_source(source: Any) -> None:
    """Asserts that a source of examples can be streamed: a length, and alike examples that do not change."""
    assert len(source) > 0, "a source without examples"
    first = jax.tree.map(np.asarray, source[0])
    tree: Any = jax.tree.structure(first)
    for i in (0, len(source) // 2, len(source) - 1):
        example, again = (jax.tree.map(np.asarray, source[i]) for _ in range(2))
        assert tree == jax.tree.structure(example), f"example {i}: another tree than 0"
        for a, b, c in zip(*(jax.tree.leaves(t) for t in (example, again, first)), strict=True):
            assert np.array_equal(a, b), f"example {i} is another when it is asked for again"
            assert (a.shape, a.dtype) == (c.shape, c.dtype), f"example {i} is {a.dtype}{a.shape}, not as example 0"
