"""Bounds on log p(x) from both sides, for data that the model itself has simulated."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.errors import InputError, check_at_least
from vae_jax.estimates import Estimate
from vae_jax.evaluation import evaluate, mean_and_error
from vae_jax.evidence.annealing import (
    AnnealedInfo,
    Base,
    Schedule,
    annealed_log_likelihood,
    backward,
    log_densities,
    make_path,
    prior_base,
    sigmoid_schedule,
)
from vae_jax.evidence.hmc import hmc_init
from vae_jax.model import VAE
from vae_jax.numerics import full_precision, log_mean_exp
from vae_jax.shapes import AnyArray

Array = jax.Array


class BidirectionalInfo(NamedTuple):
    """The simulated example and the diagnostics of both runs."""

    z: Any  # the exact posterior sample that the reverse run starts from
    x: Any  # [*event]
    forward: AnnealedInfo
    reverse: AnnealedInfo


@full_precision
def bidirectional_bounds(
    vae: VAE,
    params: Any,
    key: Array,
    *,
    num_temperatures: int = 1000,
    num_chains: int = 16,
    num_leapfrog: int = 10,
    schedule: Schedule = sigmoid_schedule,
    base: Base = prior_base,
    step_sizes: float | Float[AnyArray, ""] | Float[AnyArray, " {num_temperatures}-1"] | None = None,
    initial_step_size: float = 0.5,
) -> Estimate:
    """A stochastic lower and upper bound on log p(x) for one x simulated from the model.

    z ~ p(z), x ~ p(x|z), so that z is an exact sample of p(z|x)
    lower = log (1/C) sum_c w_c, forward from the base:        E[lower] <= log p(x)
    upper = -log (1/C) sum_c w~_c, backward from z, E[w~] = 1 / p(x):  E[upper] >= log p(x)

    upper - lower bounds, in expectation, the error of `annealed_log_likelihood` at these settings on data such as
    the model generates. All backward chains start at the one z, so their weights say nothing of the error of the
    upper bound: the standard error of both bounds is that over simulated examples.

    Tunables as of `annealed_log_likelihood`. Returns the pair (lower, upper) as `value`, the metrics `lower`,
    `upper`, `gap` = upper - lower, scalars in nats, and a `BidirectionalInfo`.
    Source: Grosse et al. 2015 (arXiv:1511.02543); Wu et al. 2017 (arXiv:1611.04273).
    """
    z_key, x_key, forward_key, reverse_key = jax.random.split(key, 4)
    z = vae.prior(params).sample(z_key)
    x = vae.decode(params, z).sample(x_key)
    lower, _, forward_info = annealed_log_likelihood(
        vae,
        params,
        forward_key,
        x,
        num_temperatures=num_temperatures,
        num_chains=num_chains,
        num_leapfrog=num_leapfrog,
        schedule=schedule,
        base=base,
        step_sizes=step_sizes,
        initial_step_size=initial_step_size,
    )
    densities = log_densities(vae, params, x, base)
    state = hmc_init(densities, z)
    states = jax.tree.map(lambda a: jnp.broadcast_to(a, (num_chains, *jnp.shape(a))), state)
    # The step sizes of the forward pilot know x alone. A pilot of its own, begun at z, would make the backward
    # moves depend on the very z they start from.
    reverse_info = backward(
        densities,
        reverse_key,
        states,
        make_path(schedule, num_temperatures),
        forward_info.step_sizes,
        num_leapfrog=num_leapfrog,
    )
    upper = -log_mean_exp(reverse_info.log_weights)
    metrics = {"lower": lower, "upper": upper, "gap": upper - lower}
    return Estimate((lower, upper), metrics, BidirectionalInfo(z, x, forward_info, reverse_info))


class GapRow(NamedTuple):
    """Means over the simulated examples, in nats, and the standard error of the mean gap."""

    num_temperatures: int
    lower: float
    upper: float
    gap: float
    standard_error: float


def bound_until(
    vae: VAE,
    params: Any,
    key: Array,
    *,
    tolerance: float,
    num_examples: int = 100,
    num_temperatures: int = 50,
    max_temperatures: int = 100_000,
    batch_size: int = 50,
    **tunables: Any,
) -> list[GapRow]:
    """Doubles the temperatures until the gap of the bounds on simulated examples is surely below `tolerance` nats.

    That is the case where |mean gap| + 2 standard errors < tolerance: a mean that is small, or below 0, by the luck
    of few examples does not count. Begins with `num_temperatures` and stops at the last doubling within
    `max_temperatures`, so that the last row of the result, which tells the whole history, need not have reached the
    tolerance. Every round sees the same simulated examples, `batch_size` of them at a time. `tunables` go to
    `bidirectional_bounds`. Raises InputError for a tolerance that is not above 0, fewer than 2 examples, and a
    max_temperatures below num_temperatures.
    """
    if not tolerance > 0:
        raise InputError(f"tolerance {tolerance}: expected nats above 0")
    check_at_least("num_examples", num_examples, 2)
    check_at_least("batch_size", batch_size, 1)
    check_at_least("max_temperatures", max_temperatures, num_temperatures)
    history: list[GapRow] = []
    while num_temperatures <= max_temperatures:
        options = {"batch_size": batch_size, "num_temperatures": num_temperatures} | tunables
        found = evaluate(bidirectional_bounds, vae, params, key, num_examples, **options)
        gap, error = mean_and_error(found["gap"])
        history.append(GapRow(num_temperatures, found["lower"].mean(), found["upper"].mean(), gap, error))
        if abs(gap) + 2 * error < tolerance:
            break
        num_temperatures *= 2
    return history
