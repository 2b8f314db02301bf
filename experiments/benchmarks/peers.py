"""The other side of the measurements: PyTorch and pythae where they are installed, and the bare matrix products."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@functools.cache
def torch() -> Any:
    """PyTorch on as many threads as there are cores, or None, which is printed."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed (pip install 'vae-jax[bench]'): measured without it")
        return None
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return torch


@functools.cache
def pythae() -> Any:
    """pythae, or None, which is printed."""
    try:
        import pythae
    except ImportError as error:
        print(f"pythae cannot be imported ({error}; pip install 'vae-jax[bench]'): measured without it")
        return None
    return pythae


def tensors(tree: Any, *, gradients: bool = True) -> Any:
    """A tree of arrays as a tree of PyTorch tensors of their own memory."""
    of = torch().tensor
    return jax.tree.map(lambda a: of(np.asarray(a)).requires_grad_(gradients), tree)


def adam_steps(params: Any, loss: Callable[[], Any], num_steps: int, **settings: Any) -> Callable[[], None]:
    """`num_steps` of an eager loop in PyTorch. params: a tree of tensors; loss: of a batch that it draws."""
    optimizer = torch().optim.Adam(jax.tree.leaves(params), 1e-3, **settings)

    def run() -> None:
        for _ in range(num_steps):
            value = loss()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return run


def matmuls(products: Sequence[tuple[int, int, int]], num_steps: int, dtype: Any = jnp.float32) -> Callable:
    """The matrix products of `num_steps` training steps and nothing else, as one compiled call without arguments.

    products: (m, k, n) of each layer, the first one first. A layer multiplies [m, k] by [k, n] forward, and
    backward for the gradients of its kernel and, but for the first layer, of its input.
    """

    def matrix(m: int, n: int) -> jax.Array:
        # With orthonormal rows or columns the values stay of one size, however often they are multiplied.
        normal = np.random.default_rng(m + n).normal(size=(max(m, n), min(m, n)))
        q = np.linalg.qr(normal)[0]
        return jnp.asarray(q if m >= n else q.T, dtype)

    # What each step makes is the input of the next, for what stays the same is computed once for all steps.
    def step(carry: list, _: None) -> tuple[list, None]:
        results = []
        for i, (x, kernel, _) in enumerate(carry):
            y = x @ kernel
            gradient = x.T @ y
            results.append((x, gradient, gradient) if i == 0 else (y @ kernel.T, kernel, gradient))
        return results, None

    carry = [(matrix(m, k), matrix(k, n), jnp.zeros((k, n), dtype)) for m, k, n in products]
    run = jax.jit(lambda carry: jax.lax.scan(step, carry, length=num_steps)[0])
    return lambda: jax.block_until_ready(run(carry))
