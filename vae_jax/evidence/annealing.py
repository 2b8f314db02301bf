"""log p(x) by annealed importance sampling, with Hamiltonian Monte Carlo moves of frozen step sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.distributions import Distribution
from vae_jax.errors import InputError, check_at_least
from vae_jax.estimates import Estimate
from vae_jax.evidence.hmc import HMCState, LogDensities, hmc_init, hmc_step, require_real
from vae_jax.model import VAE
from vae_jax.numerics import effective_sample_size, full_precision, log_mean_exp, relative_error
from vae_jax.objectives.bound import log_joint
from vae_jax.shapes import AnyArray

Array = jax.Array
Schedule = Callable[[int], Any]
Base = Callable[[VAE, Any, Any], Distribution]

TARGET_ACCEPTANCE = 0.65  # optimal in high dimension: Beskos et al. 2013 (arXiv:1001.4460)


class AnnealedInfo(NamedTuple):
    """Diagnostics of one example: C chains, T temperatures, hence T - 1 moves."""

    log_weights: Float[Array, " C"]  # in nats
    acceptance: Float[Array, " moves"]  # the mean acceptance probability of the chains
    step_sizes: Float[Array, " moves"]
    latents: Any  # [C, *z], where the chains ended


def linear_schedule(num_temperatures: int) -> Float[np.ndarray, " {num_temperatures}"]:
    """num_temperatures inverse temperatures, equally spaced from 0 to 1."""
    return np.linspace(0.0, 1.0, num_temperatures)


def sigmoid_schedule(num_temperatures: int, delta: float = 4.0) -> Float[np.ndarray, " {num_temperatures}"]:
    """sigmoid(linspace(-delta, delta)) rescaled to reach from 0 to 1: dense at both ends.

    Source: Wu et al. 2017 (arXiv:1611.04273), with delta = 4.
    """
    s = 1 / (1 + np.exp(-np.linspace(-delta, delta, num_temperatures)))
    rescaled: np.ndarray = (s - s[0]) / (s[-1] - s[0])
    return rescaled


def prior_base(vae: VAE, params: Any, x: Any) -> Distribution:
    """Anneal from the prior p(z), which knows nothing of x."""
    return vae.prior(params)


def posterior_base(vae: VAE, params: Any, x: Any) -> Distribution:
    """Anneal from the approximate posterior q(z|x): fewer temperatures where q is good."""
    return vae.encode(params, x)


@full_precision
def annealed_log_likelihood(
    vae: VAE,
    params: Any,
    key: Array,
    x: Any,
    *,
    num_temperatures: int = 1000,
    num_chains: int = 16,
    num_leapfrog: int = 10,
    schedule: Schedule = sigmoid_schedule,
    base: Base = prior_base,
    step_sizes: float | Float[AnyArray, ""] | Float[AnyArray, " {num_temperatures}-1"] | None = None,
    initial_step_size: float = 0.5,
) -> Estimate:
    """The annealed-importance-sampling estimate of log p(x) of one example: a lower bound in expectation.

    log f_t(z) = (1 - t) log base(z) + t log p(x, z),   t_0 = 0 < ... < t_{T-1} = 1
    z_0 ~ base;  log w = sum_i log f_{t_i}(z_{i-1}) - log f_{t_{i-1}}(z_{i-1}),  z_i ~ one HMC move at t_i
    log p(x) ~ log (1/C) sum_c w_c

    It runs twice: a pilot with another key adapts one step size per temperature, common to the chains, towards
    an acceptance of 0.65; then these are frozen. Step sizes that adapt in the run itself make the moves depend
    on the past of the chain: they no longer leave f_t invariant, and the estimate is no bound any more.
    `step_sizes`, a scalar or [T - 1], skips the pilot.

    x: [*event]. `schedule(T)` gives the t_i, [T]. Returns log p(x), a scalar in nats, as `value`; the metrics
    `log_likelihood`, `acceptance` (mean over moves and chains), `effective_sample_size` of the C chains and, for
    more than one, `standard_error` by the delta method; and an `AnnealedInfo`. Raises InputError for fewer than 2
    temperatures, 1 chain or 1 leapfrog step, for a schedule that does not rise from 0 to 1, for step sizes of
    another shape, and for latents that are not real numbers.
    Sources: Neal 2001, "Annealed importance sampling"; Wu et al. 2017 (arXiv:1611.04273).
    """
    check_at_least("num_temperatures", num_temperatures, 2)
    check_at_least("num_chains", num_chains, 1)
    check_at_least("num_leapfrog", num_leapfrog, 1)
    path = make_path(schedule, num_temperatures)
    densities = log_densities(vae, params, x, base)
    pilot_key, key = jax.random.split(key)

    def start(key: Array) -> HMCState:
        draw = base(vae, params, x).sample
        return jax.vmap(lambda k: hmc_init(densities, draw(k)))(jax.random.split(key, num_chains))

    if step_sizes is None:
        start_key, adapt_key = jax.random.split(pilot_key)
        step_sizes, _ = adapt(
            densities,
            adapt_key,
            start(start_key),
            path,
            num_leapfrog=num_leapfrog,
            step_size=initial_step_size,
        )
    start_key, run_key = jax.random.split(key)
    info = forward(densities, run_key, start(start_key), path, step_sizes, num_leapfrog=num_leapfrog)
    log_likelihood, ess = log_mean_exp(info.log_weights), effective_sample_size(info.log_weights)
    metrics = {
        "log_likelihood": log_likelihood,
        "effective_sample_size": ess,
        "acceptance": jnp.mean(info.acceptance),
    }
    if num_chains > 1:
        metrics["standard_error"] = relative_error(ess, num_chains)
    return Estimate(log_likelihood, metrics, info)


class Path(NamedTuple):
    """The T - 1 steps of a schedule, each from one inverse temperature to the next."""

    before: Float[Array, " moves"]  # t_{i-1}
    after: Float[Array, " moves"]  # t_i
    increment: Float[Array, " moves"]  # t_i - t_{i-1}, subtracted in float64


def make_path(schedule: Schedule, num_temperatures: int) -> Path:
    """The path of a schedule. Raises InputError unless it rises from 0 to 1 in num_temperatures values."""
    t = np.asarray(schedule(num_temperatures), np.float64)
    if t.shape != (num_temperatures,) or t[0] != 0 or t[-1] != 1 or not np.all(np.diff(t) >= 0):
        raise InputError(f"schedule {t}: expected {num_temperatures} values that rise from 0 to 1")
    return Path(*(jnp.asarray(a) for a in (t[:-1], t[1:], np.diff(t))))


def log_densities(vae: VAE, params: Any, x: Any, base: Base) -> LogDensities:
    """log base(z) and log p(x, z) as functions of z; only the second evaluates the decoder.

    Raises InputError where one of them has latents that are not real numbers.
    """
    start = base(vae, params, x)
    for distribution in (vae.prior(params), start):
        require_real(distribution, "annealed importance sampling")
    return (start.log_prob, lambda z: log_joint(vae, params, x, z))


def forward(
    densities: LogDensities, key: Array, states: HMCState, path: Path, step_sizes: Any, *, num_leapfrog: int
) -> AnnealedInfo:
    """From samples of the base to the posterior, by frozen step sizes. states: [C] of them."""

    def step(carry: tuple[HMCState, Array], inputs: Any) -> tuple[tuple[HMCState, Array], Array]:
        states, log_weights = carry
        key, (_, after, increment), step_size = inputs
        log_weights += increment * _log_ratio(states)
        states, acceptance = _move(densities, key, states, after, step_size, num_leapfrog)
        return (states, log_weights), acceptance

    return _run(step, key, states, path, step_sizes, reverse=False)


def backward(
    densities: LogDensities, key: Array, states: HMCState, path: Path, step_sizes: Any, *, num_leapfrog: int
) -> AnnealedInfo:
    """The same chain backwards, from samples of the posterior to the base: E[w] = 1 / p(x). states: [C]."""

    def step(carry: tuple[HMCState, Array], inputs: Any) -> tuple[tuple[HMCState, Array], Array]:
        states, log_weights = carry
        key, (_, after, increment), step_size = inputs
        states, acceptance = _move(densities, key, states, after, step_size, num_leapfrog)
        return (states, log_weights - increment * _log_ratio(states)), acceptance

    return _run(step, key, states, path, step_sizes, reverse=True)


def adapt(
    densities: LogDensities, key: Array, states: HMCState, path: Path, *, num_leapfrog: int, step_size: float
) -> tuple[Float[Array, " T-1"], Float[Array, " C"]]:
    """A forward run whose step size follows the acceptance: log eps += mean acceptance - 0.65 at each move.

    Returns the step sizes [T - 1], and the run's own log weights [C], which are biased: they are no estimate.
    """

    def step(carry: tuple[HMCState, Array, Array], inputs: Any) -> tuple[tuple[HMCState, Array, Array], Array]:
        states, log_weights, step_size = carry
        key, (_, after, increment) = inputs
        log_weights += increment * _log_ratio(states)
        states, acceptance = _move(densities, key, states, after, step_size, num_leapfrog)
        step_size *= jnp.exp(acceptance - TARGET_ACCEPTANCE).astype(step_size.dtype)
        return (states, log_weights, step_size), step_size

    keys = jax.random.split(key, path.after.shape[0])
    dtype, path = states.log_densities[0].dtype, _path_like(states, path)
    start = (states, jnp.zeros_like(states.log_densities[0]), jnp.asarray(step_size, dtype))
    (_, log_weights, _), step_sizes = jax.lax.scan(step, start, (keys, path))
    return step_sizes, log_weights


def _log_ratio(states: HMCState) -> Array:
    base, joint = states.log_densities
    return joint - base


def _move(
    densities: LogDensities, key: Array, states: HMCState, t: Array, step_size: Array, num_leapfrog: int
) -> tuple[HMCState, Array]:
    def one(key: Array, state: HMCState) -> tuple[HMCState, Any]:
        return hmc_step(densities, key, state, step_size=step_size, num_leapfrog=num_leapfrog, weights=(1 - t, t))

    num_chains = states.log_densities[0].shape[0]
    states, info = jax.vmap(one)(jax.random.split(key, num_chains), states)
    return states, jnp.mean(info.acceptance_probability)


def _run(
    step: Callable[..., Any], key: Array, states: HMCState, path: Path, step_sizes: Any, *, reverse: bool
) -> AnnealedInfo:
    num_moves = path.after.shape[0]
    if jnp.shape(step_sizes) not in ((), (num_moves,)):
        raise InputError(f"step_sizes of shape {jnp.shape(step_sizes)}: expected a scalar or ({num_moves},)")
    step_sizes = jnp.broadcast_to(jnp.asarray(step_sizes, states.log_densities[0].dtype), (num_moves,))
    start = (states, jnp.zeros_like(states.log_densities[0]))
    inputs = (jax.random.split(key, num_moves), _path_like(states, path), step_sizes)
    (states, log_weights), acceptance = jax.lax.scan(step, start, inputs, reverse=reverse)
    return AnnealedInfo(log_weights, acceptance, step_sizes, states.position)


def _path_like(states: HMCState, path: Path) -> Path:
    """The path in the dtype of the densities, so that what a scan carries keeps its dtype under 64 bits too."""
    return Path(*(a.astype(states.log_densities[0].dtype) for a in path))
