"""beta-TCVAE: the rate split in three, the total correlation weighted by beta, from minibatches.

The density of the aggregate posterior, q(z) = 1/N sum_n q(z|x_n), is estimated at the latents of a batch from the
posteriors of that batch alone; `stratified` and `weighted` are two sets of weights for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Float

from vae_jax.distributions import Distribution, log_prob_each, marginals
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.objectives.bound import mean_terms, terms_and_posterior
from vae_jax.objectives.lifting import Array, Trained, over_batch, whole_batch


def stratified(batch_size: int, dataset_size: int) -> Float[Array, "B B"]:
    """Log weights of minibatch stratified sampling: [B, B], row i for z_i, column m for q(.|x_m).

    W_ii = 1/N      W_im = (N - 1) / (N (B - 1)) for m != i

    The rows sum to 1, and sum_m W_im q(z_i|x_m) is unbiased for q(z_i) over batches drawn without replacement; with
    B = N it is exact. Chen et al. give one of the other columns (N - B + 1) / (N (B - 1)) and the rest 1 / (B - 1);
    this is the mean of theirs over which column that is. Many copies put the 1/N in column 0 in place of the
    diagonal, which is another density. Source: Chen et al. 2018 (arXiv:1802.04942), appendix C.2.
    """
    n, b = dataset_size, batch_size
    others = (n - 1) / (n * (b - 1)) if b > 1 else 0.0
    return jnp.log(jnp.where(jnp.eye(b, dtype=bool), 1 / n, others))


def weighted(batch_size: int, dataset_size: int) -> Float[Array, "B B"]:
    """Log weights of minibatch weighted sampling, 1 / (N B) throughout: [B, B].

    Biased: with d latents the total correlation comes out about (d - 1) log N too large, the mutual information
    about log N. The offset is constant, so the gradients serve; the values do not.
    Source: Chen et al. 2018 (arXiv:1802.04942), appendix C.1.
    """
    return jnp.full((batch_size, batch_size), -jnp.log(float(dataset_size)) - jnp.log(float(batch_size)))


def beta_tcvae(
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    batch: Any,
    *,
    beta: float | Float[Array, ""],
    dataset_size: int,
    alpha: float | Float[Array, ""] = 1.0,
    gamma: float | Float[Array, ""] = 1.0,
    weights: Callable[[int, int], Float[Array, "B B"]] = stratified,
) -> Estimate:
    """Minus the ELBO with its rate split in three terms, of which beta weights the total correlation.

    loss = E[ -log p(x|z) ] + alpha I_q(x; z) + beta TC + gamma sum_j KL(q(z_j) || p(z_j))

    I_q(x; z) = E[ log q(z|x) - log q(z) ]                 TC = E[ log q(z) - sum_j log q(z_j) ]
    sum_j KL  = E[ sum_j log q(z_j) - log p(z) ]           q(z_i) = sum_m W_im q(z_i|x_m), q(z_ij) likewise

    With alpha = beta = gamma = 1 the densities of q(z) cancel and the loss is minus the ELBO with a one-sample
    rate. The metric `elbo` and its parts are the usual ones whatever the weights.

    batch: x: [batch, *event], or (x, c), 2 examples or more; z: [d], each latent independent of the others given x.
    dataset_size: N, the number of training examples. `weights`: `stratified` or `weighted`; one that is not the
    default is bound beforehand, `functools.partial(beta_tcvae, weights=weighted)`. Returns the loss and `elbo`,
    `distortion`, `rate`, and the three terms, `mutual_information`, `total_correlation`, `dimension_rate`, each
    followed by the name of the weights, in nats per example. Raises InputError for a batch of one example or
    larger than the data. Source: Chen et al. 2018 (arXiv:1802.04942).
    """
    batch_size = jax.tree.leaves(batch)[0].shape[0]
    if not 2 <= batch_size <= dataset_size:
        raise InputError(f"batch of {batch_size}: expected 2 examples or more, up to dataset_size {dataset_size}")
    at, q = over_batch(terms_and_posterior, vae, params, key, batch)
    if not jax.tree_util.all_leaves([at.z]) or at.z.ndim != 2:
        shapes = jax.tree.map(lambda z: z.shape[1:], at.z)
        raise InputError(f"latents of shape {shapes}: expected one vector, whose total correlation is defined")
    log_q, log_q_each = aggregate_log_density(q, at.z, weights(batch_size, dataset_size))
    log_product = jnp.sum(log_q_each, axis=1)
    information, correlation = jnp.mean(at.log_posterior - log_q), jnp.mean(log_q - log_product)
    dimensions = jnp.mean(log_product - at.log_prior)
    metrics = mean_terms(at)
    loss = metrics["distortion"] + alpha * information + beta * correlation + gamma * dimensions
    name = weights.__name__
    return Estimate(
        loss,
        metrics
        | {
            f"mutual_information_{name}": information,
            f"total_correlation_{name}": correlation,
            f"dimension_rate_{name}": dimensions,
        },
    )


def aggregate_log_density(
    q: Distribution, z: Float[Array, "B d"], log_weights: Float[Array, "B M"]
) -> tuple[Float[Array, " B"], Float[Array, "B d"]]:
    """log q(z_i) [B] and log q(z_ij) [B, d] of the mixtures sum_m W_im q_m(z_i) and sum_m W_im q_m(z_ij).

    q: a batch of M distributions whose marginals are known. z: [B, d]. log_weights: [B, M]. In nats.
    """

    def of_each(z: Array) -> tuple[Array, Array]:  # [M], [M, d]
        return jax.vmap(lambda q: _joint_and_marginals(q, z))(q)

    log_joint, log_marginals = jax.vmap(of_each)(z)
    return logsumexp(log_joint + log_weights, axis=1), logsumexp(log_marginals + log_weights[:, :, None], axis=1)


def _joint_and_marginals(q: Distribution, z: Array) -> tuple[Array, Array]:
    each = log_prob_each(marginals(q), z)
    # The sum where the latents are independent: no second evaluation.
    return (q.log_prob(z) if hasattr(q, "marginals") else jnp.sum(each)), each


@dataclass(frozen=True)
class BetaTCVAE:
    """ELBO with the total correlation of the latents weighted by beta (beta-TCVAE)."""

    beta: float = 6.0
    """Weight of the total correlation."""

    def bind(self, vae: Any, z_shape: tuple[int, ...], num_examples: int) -> Trained:
        """`beta_tcvae` of a batch of `num_examples`. Raises InputError unless z is a vector."""
        if len(z_shape) != 1:
            raise InputError(f"latents of shape {z_shape}: expected one vector, whose total correlation is defined")
        return Trained(vae, whole_batch(beta_tcvae, vae, beta=self.beta, dataset_size=num_examples))
