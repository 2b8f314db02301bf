"""Independent Bernoullis, which keep their logits to the end: finite in float32 for logits of +-1e3."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from vae_jax.distributions.base import Support, check_event
from vae_jax.distributions.kl import register_kl
from vae_jax.fast.activations import softplus

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoullis with P(x_i = 1) = sigmoid(logits_i).

    log p(x) = sum_i [ x_i logits_i - softplus(logits_i) ]

    which is finite for every finite logit. `logits`: [*event]. Support: {0, 1}. For x strictly between 0 and 1
    the same expression is minus a cross-entropy and no log-likelihood; binarize first, or use another
    likelihood. Outside [0, 1] it is -inf, so that 8-bit images which nobody divided by 255 cannot train.
    """

    logits: Float[Array, "*event"]

    def sample(self, key: Array) -> Float[Array, "*event"]:
        """0 or 1 in the dtype of the logits: [*event]."""
        draw = jax.random.bernoulli(key, jax.nn.sigmoid(self.logits))
        return draw.astype(jnp.result_type(self.logits, jnp.float32))

    def log_prob(self, x: Num[Array, "*event"]) -> Float[Array, ""]:
        """log p(x) summed over the event, a scalar in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.logits), "Bernoulli.log_prob got an array")
        # Flat, because XLA on CPU sums over a last axis of length 1, as images have, ten times more slowly.
        x, logits = jnp.ravel(x), jnp.ravel(self.logits)
        # Of x alone, so that under `vmap` over z the pixels are compared once.
        inside = jnp.all((x >= 0) & (x <= 1))
        return jnp.where(inside, jnp.sum(x * logits - softplus(logits)), -jnp.inf)

    def log_prob_each(self, x: Num[Array, "*event"]) -> Float[Array, "*event"]:
        """x_i logits_i - softplus(logits_i), -inf where x_i is outside [0, 1]: [*event] in nats. x: [*event]."""
        check_event(jnp.shape(x), jnp.shape(self.logits), "Bernoulli.log_prob_each got an array")
        return jnp.where((x >= 0) & (x <= 1), x * self.logits - softplus(self.logits), -jnp.inf)

    def mean(self) -> Float[Array, "*event"]:
        """P(x_i = 1): [*event]."""
        return jax.nn.sigmoid(self.logits)

    def stddev(self) -> Float[Array, "*event"]:
        """sqrt(P (1 - P)): [*event]."""
        return jnp.sqrt(jax.nn.sigmoid(self.logits) * jax.nn.sigmoid(-self.logits))

    def support(self) -> Support:
        """0 and 1."""
        return "binary"


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(q: Bernoulli, p: Bernoulli, z: Array) -> Array:
    check_event(jnp.shape(q.logits), jnp.shape(p.logits), "kl_divergence got a q")
    terms = q.mean() * (q.logits - p.logits)
    return terms + (softplus(p.logits) - softplus(q.logits))
