"""The learning rate over the steps of a run, and the clipping of gradients before any optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import optax

from vae_jax.errors import InputError

Rate = float | Callable[[Any], Any]  # a number, or a schedule: the number of updates made -> the rate


def rate_over_steps(
    rate: float, num_steps: int, *, warmup: int = 0, decay: Literal["none", "cosine"] = "none"
) -> Rate:
    """The learning rate of update t = 0, 1, ...: the number itself where it does not change.

    Warm-up: rate (t + 1) / warmup in the first updates, as in Goyal et al. 2017 (arXiv:1706.02677). Adam needs it
    where an example has many numbers: its first updates move every weight by the rate in the direction of its
    gradient's sign, so that a unit moves by rate sum_i |x_i|, at 1e-3 by 25 for a photo of 128 x 128 x 3.
    Cosine: from there rate (1 + cos(pi s)) / 2 with s from 0 to 1 at the last update (Loshchilov and Hutter 2017,
    arXiv:1608.03983).

    Raises InputError for a rate that is not above 0, a warm-up below 0, and one that a decay leaves no steps.
    """
    if not 0 < rate < math.inf or warmup < 0:
        raise InputError(
            f"learning rate {rate}, warm-up of {warmup} steps: expected a rate above 0 and steps from 0 up"
        )
    if decay == "cosine" and warmup >= num_steps:
        raise InputError(
            f"learning-rate warm-up of {warmup} steps before a cosine decay: expected less than the {num_steps} "
            "steps of the run; lower --lr-warmup or train longer"
        )
    first = rate / max(warmup, 1)
    # The first update has the first part of the rate, and no optimizer divides by a rate of 0.
    rise = max(warmup - 1, 0)
    if decay == "cosine":
        schedule: Rate = optax.warmup_cosine_decay_schedule(first, rate, rise, num_steps)
        return schedule
    return optax.warmup_constant_schedule(first, rate, rise) if rise else rate


def clipped(optimizer: optax.GradientTransformation, norm: float | None) -> optax.GradientTransformation:
    """The optimizer given gradients whose global L2 norm is at most `norm`; the optimizer itself for None or 0.

    Pascanu et al. 2013 (arXiv:1211.5063). Raises InputError for a norm below 0.
    """
    if norm is None or norm == 0:
        return optimizer
    if not 0 < norm < math.inf:
        raise InputError(f"clip norm {norm}: expected a number above 0, or 0 for no clipping")
    return optax.chain(optax.clip_by_global_norm(norm), optimizer)
