"""What a training run carries from step to step, and how it begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int, Key

from vae_jax.stateless import check_params, stateless_networks

Array = jax.Array


class TrainState(NamedTuple):
    """All that a run needs to go on: arrays only."""

    step: Int[Array, ""]  # int32, the number of updates made, with those that were skipped
    key: Key[Array, "*runs"]  # root key of the run, the same at every step; of `train_many` one a run
    params: Any
    opt_state: Any
    ema: Any  # exponential moving average of params


class NonFiniteLossError(FloatingPointError):
    """The loss at `step`, or its gradient, was NaN or infinite.

    loss, in nats per example; grad_norm, the global L2 norm of its gradient. cause: what was found in the batch of
    that step, if anything; it is named before the other possible causes.
    """

    def __init__(self, step: int, loss: float, grad_norm: float = math.nan, cause: str = ""):
        advice = (
            "lower the learning rate, let it warm up (--lr-warmup), clip the gradient (--clip-norm, "
            "optax.clip_by_global_norm), or look for bad values in the data"
        )
        super().__init__(
            f"loss {loss} with gradient norm {grad_norm} at step {step}: expected finite numbers; "
            + (f"{cause}; if that is not it, {advice}" if cause else advice)
        )
        self.step = step


def init_state(
    init: Callable[[Key[Array, ""]], Any],
    optimizer: optax.GradientTransformation,
    key: Array,
    *,
    sharding: Callable[[Any], Any] | None = None,
) -> TrainState:
    """A fresh state, built inside one compiled call. init: key -> params, as `vae.init`.

    `sharding`: the shapes of a state -> its shardings, as `functools.partial(state_sharding, mesh)`.

    Raises InputError for parameters that no gradient can train: statistics of a Flax BatchNorm, and integers.
    """

    def build(key: Array) -> TrainState:
        init_key, root_key = jax.random.split(key)
        with stateless_networks():
            params = init(init_key)
        check_params(params)
        # The average gets buffers of its own, for a donated state must not hold one buffer twice.
        ema = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.int32(0), root_key, params, optimizer.init(params), ema)

    state: TrainState = jax.jit(build, out_shardings=sharding and sharding(jax.eval_shape(build, key)))(key)
    return state
