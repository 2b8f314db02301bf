"""The Kullback-Leibler divergence: a table of pairs in closed form, and one sample where a pair has none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.distributions.base import Distribution, log_prob_each

Array = jax.Array
Terms = Callable[[Any, Any, Any], Any]  # q, p, z ~ q -> terms whose sum is KL(q || p)
SomeTerms = TypeVar("SomeTerms", bound=Terms)
_TABLE: dict[tuple[type, type], Terms] = {}


def register_kl(q_type: type, p_type: type) -> Callable[[SomeTerms], SomeTerms]:
    """A decorator that enters KL(q || p) of a pair of types, from the file of the distribution.

    The function is given q, p and a sample z of q, for pairs that need one. It returns terms in nats, an array or a
    tree of arrays, whose sum over everything is the divergence: one a latent where it is a sum over latents.
    """

    def enter(terms: SomeTerms) -> SomeTerms:
        _TABLE[q_type, p_type] = terms
        return terms

    return enter


def kl_divergence(q: Distribution, p: Distribution, z: Any) -> Float[Array, ""]:
    """KL(q || p) in nats: in closed form where the pair has one, else the one-sample estimate at z ~ q.

    Normal against Normal:       sum_i [ (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2 - log(s_q / s_p) ]
    Bernoulli against Bernoulli: sum_i [ P_q (l_q - l_p) - softplus(l_q) + softplus(l_p) ]
    Poisson against Poisson:     sum_i [ m_p - m_q + m_q log(m_q / m_p) ]
    Joint, Chain:                the sum over their parts or levels
    any other pair:              log q(z) - log p(z), unbiased for z ~ q

    Args: q, p: distributions over the same event. z: a sample of q, used only where there is no closed form.
    Returns: a scalar. Source: Kingma and Welling 2013 (arXiv:1312.6114), appendix B.
    """
    return total(rates(q, p, z))


def rates(q: Distribution, p: Distribution, z: Any, log_q: Float[Array, ""] | None = None) -> Any:
    """The terms whose sum is `kl_divergence(q, p, z)`, in nats.

    [*event] for a pair that is a sum over latents, a tree of such for `Joint` and `Chain`, a scalar where the
    latents depend on each other. `log_q`: log q(z) where it is known, as `sample_and_log_prob` gives it.
    """
    closed = _TABLE.get((type(q), type(p)))
    if closed is not None:
        return closed(q, p, z)
    if hasattr(q, "log_prob_each") and hasattr(p, "log_prob_each"):
        of_q, of_p = log_prob_each(q, z), log_prob_each(p, z)
        if jax.tree.map(jnp.shape, of_q) == jax.tree.map(jnp.shape, of_p):
            return jax.tree.map(jnp.subtract, of_q, of_p)
    return (q.log_prob(z) if log_q is None else log_q) - p.log_prob(z)


def total(terms: Any) -> Float[Array, ""]:
    """The sum over all elements of all leaves, a scalar."""
    # No start of a dtype of its own: it would decide that of the sum.
    return functools.reduce(jnp.add, [jnp.sum(leaf) for leaf in jax.tree.leaves(terms)])
