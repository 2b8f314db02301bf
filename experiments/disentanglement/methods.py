"""The methods of the study: each one objective, with one number that says how strongly it regularizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from vae_jax import (
    beta_tcvae,
    controlled_capacity,
    dip_vae_i,
    dip_vae_ii,
    elbo,
    factor_vae,
    per_example,
    whole_batch,
    with_discriminator,
)
from vae_jax.networks import Discriminator
from vae_jax.objectives import Loss


class Setting(NamedTuple):
    """What the methods need to know of the study beside their strength."""

    dataset_size: int
    latent_size: int
    learning_rate: float
    capacity_gamma: float
    capacity_steps: int  # over which the capacity grows from 0 to the strength
    discriminator: tuple[int, ...]  # hidden layers


class Method(NamedTuple):
    """A row of the study."""

    name: str
    strength: str  # what the number is in its paper
    quick: tuple[float, ...]  # strengths of the two presets
    paper: tuple[float, ...]
    objective: Callable[[Any, Any, Setting], Loss]  # model, strength, setting
    adversarial: bool = False


def _beta_vae(model: Any, beta: Any, setting: Setting) -> Loss:
    return per_example(elbo, model, beta=beta)


def _annealed(model: Any, capacity: Any, setting: Setting) -> Loss:
    def schedule(step: Any) -> Any:
        return capacity * jnp.minimum(step / setting.capacity_steps, 1.0)

    return whole_batch(controlled_capacity, model, gamma=setting.capacity_gamma, capacity=schedule)


def _factor(model: Any, gamma: Any, setting: Setting) -> Loss:
    return whole_batch(factor_vae, model, gamma=gamma)


def _tcvae(model: Any, beta: Any, setting: Setting) -> Loss:
    return whole_batch(beta_tcvae, model, beta=beta, dataset_size=setting.dataset_size)


def _dip_i(model: Any, weight: Any, setting: Setting) -> Loss:
    return whole_batch(dip_vae_i, model, lambda_off_diagonal=weight, lambda_diagonal=10 * weight)


def _dip_ii(model: Any, weight: Any, setting: Setting) -> Loss:
    return whole_batch(dip_vae_ii, model, lambda_off_diagonal=weight, lambda_diagonal=weight)


METHODS = (
    Method("VAE", "beta", (1.0,), (1.0,), _beta_vae),
    Method("beta-VAE", "beta", (2.0, 3.0, 4.0), (2.0, 4.0, 6.0, 8.0, 16.0), _beta_vae),
    Method("AnnealedVAE", "C", (3.0, 4.0, 5.0), (5.0, 10.0, 25.0, 50.0, 75.0, 100.0), _annealed),
    Method("FactorVAE", "gamma", (5.0, 10.0, 20.0), (10.0, 20.0, 30.0, 40.0, 50.0, 100.0), _factor, True),
    Method("beta-TCVAE", "beta", (2.0, 4.0, 6.0), (2.0, 4.0, 6.0, 8.0, 10.0), _tcvae),
    Method("DIP-VAE-I", "lambda_od", (1.0, 5.0, 20.0), (1.0, 2.0, 5.0, 10.0, 20.0, 50.0), _dip_i),
    Method("DIP-VAE-II", "lambda_od", (1.0, 5.0, 20.0), (1.0, 2.0, 5.0, 10.0, 20.0, 50.0), _dip_ii),
)
NAMES = tuple(method.name for method in METHODS)


def model_and_optimizer(method: Method, vae: Any, setting: Setting) -> tuple[Any, optax.GradientTransformation]:
    """The VAE, with a discriminator where the method has one, and Adam for each network."""
    adam = optax.adam(setting.learning_rate)
    if not method.adversarial:
        return vae, adam
    model = with_discriminator(vae, Discriminator(setting.discriminator), setting.latent_size)
    parts = {"vae": adam, "discriminator": optax.adam(setting.learning_rate, b1=0.5, b2=0.9)}
    return model, optax.partition(parts, {"vae": "vae", "discriminator": "discriminator"})
