"""FactorVAE: the total correlation estimated by a discriminator that is trained in the same step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Key

from vae_jax.distributions import Distribution
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.fast.activations import softplus
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.networks import Discriminator
from vae_jax.objectives.bound import mean_terms, terms
from vae_jax.objectives.lifting import Array, Trained, over_batch, whole_batch


class DiscriminatedVAE(NamedTuple):
    """A VAE with a fifth function; it serves wherever a VAE does."""

    init: Callable[[Key[Array, ""]], Any]  # key -> params, {"vae": ..., "discriminator": ...}
    encode: Callable[[Any, Any], Distribution]  # params, x -> q(z|x)
    decode: Callable[[Any, Any], Distribution]  # params, z -> p(x|z)
    prior: Callable[[Any], Distribution]  # params -> p(z)
    # params, z -> the logit of "z is from q(z)"
    discriminate: Callable[[Any, Float[Array, " d"]], Float[Array, ""]]
    terms: Callable[[Any, Key[Array, ""], Any], Any] | None = None  # as those of the VAE
    log_joint: Callable[[Any, Any, Any], Float[Array, ""]] | None = None


def with_discriminator(
    vae: VAE | ConditionalVAE, network: Any, latent_size: int
) -> DiscriminatedVAE | ConditionalVAE:
    """Puts a discriminator of latents beside a VAE. network: `init(key, z)`, `apply(params, z)` -> one logit.

    Beside a `ConditionalVAE` it is one for all conditions, for q(z) is the mean of q(z|x, c) over all (x, c); its
    `given(c)` is a `DiscriminatedVAE`.

    The two parts of the parameters can be given optimizers of their own; with the settings of Kim and Mnih:
    `optax.partition({"vae": optax.adam(1e-4), "discriminator": optax.adam(1e-4, b1=0.5, b2=0.9)}, labels)`
    with labels `{"vae": "vae", "discriminator": "discriminator"}`.
    """

    def init(key: Array) -> Any:
        vae_key, discriminator_key = jax.random.split(key)
        z = jnp.zeros((latent_size,))
        return {"vae": vae.init(vae_key), "discriminator": network.init(discriminator_key, z)}

    def of_vae(function: Callable[..., Any] | None) -> Any:
        return function and (lambda params, *rest: function(params["vae"], *rest))

    def discriminated(vae: VAE) -> Any:
        return DiscriminatedVAE(
            init=init,
            encode=of_vae(vae.encode),
            decode=of_vae(vae.decode),
            prior=of_vae(vae.prior),
            discriminate=lambda params, z: jnp.reshape(network.apply(params["discriminator"], z), ()),
            terms=of_vae(getattr(vae, "terms", None)),
            log_joint=of_vae(getattr(vae, "log_joint", None)),
        )

    if isinstance(vae, ConditionalVAE):
        given = vae.given
        return ConditionalVAE(init, lambda c: discriminated(given(c)))
    return discriminated(vae)  # type: ignore[no-any-return]


def factor_vae(
    vae: DiscriminatedVAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    gamma: float | Float[Array, ""],
) -> Estimate:
    """Minus the ELBO plus gamma times the total correlation that the discriminator sees; one step trains both.

    loss               = mean[ distortion + rate ] + gamma TC,     TC = mean_i logit(z_i)
    discriminator loss = mean_i [ softplus(-logit(z_i)) + softplus(logit(z'_i)) ] / 2

    z_i ~ q(z|x_i), and z' has each latent permuted over the batch on its own, a sample of prod_j q(z_j). At the
    best discriminator logit(z) = log q(z) - sum_j log q(z_j). The value is the loss of the VAE; its gradient is
    that of this loss for the encoder and the decoder, with the discriminator held fixed, and that of the
    discriminator loss for the discriminator, with the latents held fixed: one gradient, two descents. Kim and Mnih
    permute the latents of a second batch; here, as in disentanglement_lib, one batch serves both.

    vae: from `with_discriminator`. batch: x: [batch, *event], or (x, c), 2 examples or more. z: [d].
    Returns the loss and `elbo`, `distortion`, `rate`, `total_correlation_discriminator`, `discriminator_loss` (log
    2 where it is lost) in nats. Raises InputError for a batch of one. Source: Kim and Mnih 2018 (arXiv:1802.05983).
    """
    batch_size = jax.tree.leaves(batch)[0].shape[0]
    if batch_size < 2:
        raise InputError(f"batch of {batch_size}: expected 2 examples or more to permute latents over")
    noise_key, permutation_key = jax.random.split(key)
    at = over_batch(terms, vae, params, noise_key, batch)
    # The discriminator is the same at every condition.
    any_vae: Any = vae.given(jax.tree.map(lambda c: c[0], batch[1])) if isinstance(vae, ConditionalVAE) else vae

    def logits(params: Any, z: Array) -> Array:
        logit: Array = jax.vmap(lambda z: any_vae.discriminate(params, z))(z)
        return logit

    total_correlation = jnp.mean(logits(jax.lax.stop_gradient(params), at.z))
    z = jax.lax.stop_gradient(at.z)
    of_joint, of_product = logits(params, z), logits(params, permute_latents(permutation_key, z))
    discriminator_loss = 0.5 * jnp.mean(softplus(-of_joint) + softplus(of_product))

    metrics = mean_terms(at)
    loss = metrics["distortion"] + metrics["rate"] + gamma * total_correlation
    gradient_only = discriminator_loss - jax.lax.stop_gradient(discriminator_loss)
    metrics |= {"total_correlation_discriminator": total_correlation, "discriminator_loss": discriminator_loss}
    return Estimate(loss + gradient_only, metrics)


def permute_latents(key: Array, z: Float[Array, "B d"]) -> Float[Array, "B d"]:
    """Each latent permuted over the batch on its own, a sample of prod_j q(z_j). z: [B, d]. Returns [B, d]."""
    keys = jax.random.split(key, z.shape[1])
    return jax.vmap(jax.random.permutation, in_axes=(0, 1), out_axes=1)(keys, z)


@dataclass(frozen=True)
class FactorVAE:
    """ELBO with the total correlation that a discriminator sees, weighted by gamma (FactorVAE)."""

    gamma: float = 10.0
    """Weight of the total correlation."""
    hidden: tuple[int, ...] = (1000,) * 6
    """Layers of the discriminator."""
    learning_rate: float = 1e-4
    """Of the discriminator's Adam, whose decays are 0.5 and 0.9."""

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """`factor_vae` of a batch, and the model with its discriminator. Raises InputError unless z is a vector."""
        if len(z_shape) != 1:
            raise InputError(f"latents of shape {z_shape}: expected one vector, whose elements can be permuted")
        both: Any = with_discriminator(vae, Discriminator(self.hidden), *z_shape)
        adam = optax.adam(self.learning_rate, b1=0.5, b2=0.9)
        return Trained(both, whole_batch(factor_vae, both, gamma=self.gamma), {"discriminator": adam})
