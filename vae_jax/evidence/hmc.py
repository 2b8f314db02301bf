"""Hamiltonian Monte Carlo: one transition, as a pure function.

The target is exp(sum_i weights_i f_i(z)) for a tuple of log densities f_i. The state holds every f_i and its
gradient at the current position, so that annealed importance sampling, whose next target differs only in the
weights, goes on without evaluating the model again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float

from vae_jax.distributions import Distribution, support
from vae_jax.errors import InputError, check_at_least

Array = jax.Array
LogDensities = tuple[Callable[[Any], Array], ...]


class HMCState(NamedTuple):
    """What the next transition needs."""

    position: Any  # z, a pytree of floating-point arrays
    log_densities: tuple[Float[Array, ""], ...]  # f_i(z), in nats
    gradients: tuple[Any, ...]  # of f_i at z, each of the structure of z


class HMCInfo(NamedTuple):
    """What diagnostics need."""

    acceptance_probability: Float[Array, ""]  # min(1, exp(-energy_error)); 0 where the energy is not finite
    accepted: Bool[Array, ""]
    energy_error: Float[Array, ""]  # H(proposal) - H(start), in nats


def hmc_init(log_densities: LogDensities, position: Any) -> HMCState:
    """The state at a position: the one evaluation that a chain makes besides those of its transitions.

    The position takes the widest dtype of itself and the densities, which the chain then keeps. Raises InputError
    for latents that are not floating point.
    """
    for leaf in jax.tree.leaves(position):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise InputError(
                f"discrete latents (dtype {jnp.result_type(leaf)}): Hamiltonian Monte Carlo needs continuous "
                "ones; use importance_log_likelihood"
            )
    dtype = jnp.result_type(*(jax.eval_shape(f, position).dtype for f in log_densities))
    position = jax.tree.map(lambda a: jnp.asarray(a, jnp.promote_types(jnp.result_type(a), dtype)), position)
    values, gradients = zip(*(jax.value_and_grad(f)(position) for f in log_densities), strict=True)
    return HMCState(position, values, gradients)


def require_real(distribution: Distribution, what: str) -> None:
    """Raises InputError unless every element of a distribution over z may be any real number.

    Gradients in z lead out of any other support, and densities there are numbers that mean nothing: one-hot codes,
    bits, points of a simplex or a sphere. `what`: what needs the gradients.
    """
    found = sorted({str(part) for part in jax.tree.leaves(support(distribution))} - {"real"})
    if found:
        raise InputError(
            f"latents of support {', '.join(found)} ({type(distribution).__name__}): expected real ones, for "
            f"{what} follows gradients in all of z; use importance_log_likelihood"
        )


def hmc_step(
    log_densities: LogDensities,
    key: Array,
    state: HMCState,
    *,
    step_size: float | Float[Array, ""],
    num_leapfrog: int,
    weights: tuple[float | Float[Array, ""], ...] = (1.0,),
) -> tuple[HMCState, HMCInfo]:
    """One transition that leaves exp(sum_i weights_i f_i(z)) invariant, with unit masses.

    v ~ N(0, I);  (z', v') = leapfrog^L(z, v);  accept z' with probability min(1, exp(H(z, v) - H(z', v')))
    H(z, v) = -sum_i weights_i f_i(z) + |v|^2 / 2

    The gradient of each f_i is evaluated `num_leapfrog` times, its value kept at the end alone. A trajectory to
    where the energy is not finite is rejected. Raises InputError for `num_leapfrog` below 1.
    Source: Neal 2011, "MCMC using Hamiltonian dynamics" (arXiv:1206.1901).
    """
    momentum_key, accept_key = jax.random.split(key)
    flat, unravel = ravel_pytree(state.position)
    momentum = unravel(jax.random.normal(momentum_key, flat.shape, flat.dtype))
    proposal, end_momentum = leapfrog(
        log_densities, state, momentum, step_size=step_size, num_leapfrog=num_leapfrog, weights=weights
    )
    energy_error = _energy(proposal, end_momentum, weights) - _energy(state, momentum, weights)
    acceptance = jnp.where(jnp.isfinite(energy_error), jnp.exp(jnp.minimum(-energy_error, 0.0)), 0.0)
    accepted = jax.random.uniform(accept_key) < acceptance
    state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposal, state)
    return state, HMCInfo(acceptance, accepted, energy_error)


def leapfrog(
    log_densities: LogDensities,
    state: HMCState,
    momentum: Any,
    *,
    step_size: float | Float[Array, ""],
    num_leapfrog: int,
    weights: tuple[float | Float[Array, ""], ...] = (1.0,),
) -> tuple[HMCState, Any]:
    """L steps of v += eps/2 g(z); z += eps v; v += eps/2 g(z), with g = sum_i weights_i grad f_i.

    Reversible (negate v) and volume preserving. num_leapfrog: L. Returns the state and the momentum at the end.
    Raises InputError for L below 1.
    """
    check_at_least("num_leapfrog", num_leapfrog, 1)

    def kicked(momentum: Any, gradients: tuple[Any, ...]) -> Any:
        return _add(momentum, 0.5 * step_size, _mix(weights, gradients))

    def step(_: Array, carry: tuple[Any, tuple[Any, ...], Any]) -> tuple[Any, tuple[Any, ...], Any]:
        position, gradients, momentum = carry
        momentum = kicked(momentum, gradients)
        position = _add(position, step_size, momentum)
        gradients = tuple(jax.grad(f)(position) for f in log_densities)
        return position, gradients, kicked(momentum, gradients)

    # On the way only the gradients are needed; the densities, a tenth of the time, are those of the end.
    start = (state.position, state.gradients, momentum)
    position, gradients, momentum = jax.lax.fori_loop(0, num_leapfrog - 1, step, start)
    momentum = kicked(momentum, gradients)
    end = hmc_init(log_densities, _add(position, step_size, momentum))
    return end, kicked(momentum, end.gradients)


def _energy(state: HMCState, momentum: Any, weights: tuple[float | Array, ...]) -> Array:
    kinetic = 0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(momentum))
    energy: Array = kinetic - _mix(weights, state.log_densities)
    return energy


def _mix(weights: tuple[float | Array, ...], trees: tuple[Any, ...]) -> Any:
    return jax.tree.map(lambda *leaves: sum(w * a for w, a in zip(weights, leaves, strict=True)), *trees)


def _add(tree: Any, factor: float | Array, other: Any) -> Any:
    return jax.tree.map(lambda a, b: a + factor * b, tree, other)
