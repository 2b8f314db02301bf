"""What must hold of every optimizer that a run can choose, as a function that raises AssertionError."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax.estimates import Estimate
from vae_jax.optimizers import rate_over_steps
from vae_jax.testing.parts import check_part
from vae_jax.training import fit, init_state

Array = jax.Array


def check_optimizer(part: Any, *, num_steps: int = 100) -> None:
    """Asserts that a part makes an optimizer that trains: by its own learning rate, and by a schedule of it.

    The loss is a sum of squares of a linear map, at its solution 0. Every parameter moves, all stay finite and the
    loss falls; the schedule, which warms up and decays, gives other numbers than the rate alone.
    """
    check_part(part)
    rate = part.learning_rate
    assert 0 < rate < np.inf, f"learning rate {rate}: expected a number above 0"
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    y = x @ np.arange(6, dtype=np.float32).reshape(3, 2) + 1

    def loss(params: Any, key: Array, batch: Any, step: Array) -> Estimate:
        return Estimate(jnp.mean(jnp.sum((batch[0] @ params["w"] + params["b"] - batch[1]) ** 2, axis=1)), {})

    def init(key: Array) -> dict[str, Array]:
        return {"w": jax.random.normal(key, (3, 2)), "b": jnp.ones((2,))}

    def losses(optimizer: optax.GradientTransformation) -> tuple[Any, np.ndarray]:
        kept: list[np.ndarray] = []
        state = fit(
            loss,
            optimizer,
            lambda data, key, step: data,
            init_state(init, optimizer, jax.random.key(0)),
            (x, y),
            num_steps=num_steps,
            steps_per_call=num_steps,
            after_call=lambda state, metrics: kept.append(metrics["loss"]),
        )
        return jax.tree.map(np.asarray, state.params), np.concatenate(kept)

    params, found = losses(part.make(rate))
    start = init(jax.random.split(jax.random.key(0))[0])
    moved = jax.tree.map(lambda a, b: bool(np.all(a != b)), params, start)
    assert all(jax.tree.leaves(moved)), f"parameters that did not move: {moved}"
    assert found[-1] < found[0], f"loss {found[0]:.4g}, at the end {found[-1]:.4g}"
    _, scheduled = losses(part.make(rate_over_steps(rate, num_steps, warmup=num_steps // 4, decay="cosine")))
    assert scheduled[-1] < scheduled[0], f"with a schedule: loss {scheduled[0]:.4g}, at the end {scheduled[-1]:.4g}"
    assert np.any(scheduled != found), "a schedule of the learning rate changes nothing"
