"""Training steps on counts of 3,012 columns under the negative binomial likelihood, against PyTorch.

    python -m experiments.benchmarks.counts

An MLP 3012-128-20-128-3012, batch 128, Adam, on synthetic counts of which most are 0, as of words in articles.
PyTorch has its density twice: written with `torch.lgamma`, and from `torch.distributions`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from experiments.benchmarks.training import steps, torch_forward, torch_rate
from vae_jax import VAE, elbo, make_vae, per_example
from vae_jax.data.batches import shuffled_batches
from vae_jax.likelihoods import NegativeBinomial
from vae_jax.networks import MLPDecoder, MLPEncoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Steps of the fully connected VAE of counts."""

    event: int = 3012
    hidden: int = 128
    latent_size: int = 20
    batch_size: int = 128
    num_rows: int = 2560
    mean: float = 0.05
    """Of all counts."""
    num_steps: int = 50
    """Of one turn."""
    repeats: int = 9


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "vae_jax": partial(_steps, config),
        "PyTorch, torch.lgamma": partial(_torch_steps, config, torch_log_mass),
        "PyTorch, torch.distributions": partial(_torch_steps, config, torch_distributions_log_mass),
    }
    sizes = f"{config.event}-{config.hidden}-{config.latent_size}"
    title = f"MLP VAE {sizes}, negative binomial, {config.num_steps} steps of {config.batch_size}"
    return {title: report(title, interleaved(sides, repeats=config.repeats), of="vae_jax")}


def model(config: Config) -> VAE:
    """Ours."""
    encoder = MLPEncoder(config.latent_size, (config.hidden,))
    return make_vae(encoder, MLPDecoder((config.event,), (config.hidden,)), likelihood=NegativeBinomial())


def counts(config: Config) -> np.ndarray:
    """Poisson counts, uint16 [num_rows, event], whose rates differ between columns and, more, from row to row."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(1.0, config.mean, config.event) * rng.gamma(0.3, 1 / 0.3, (config.num_rows, config.event))
    return rng.poisson(rates).astype(np.uint16)


def _steps(config: Config) -> Callable[[], None]:
    vae = model(config)
    next_batch = shuffled_batches(config.batch_size)
    return steps(per_example(elbo, vae), next_batch, vae.init, counts(config), config.num_steps)


def torch_log_mass(x: Any, log_mean: Any, log_r: Any) -> Any:
    """The masses of counts in PyTorch, written out. x, log_mean: [batch, event]; log_r: [event]."""
    torch: Any = peers.torch()
    r = log_r.exp()
    log_sum = torch.log(r + log_mean.exp())
    gammas = torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)
    return gammas + r * (log_r - log_sum) + x * (log_mean - log_sum)


def torch_distributions_log_mass(x: Any, log_mean: Any, log_r: Any) -> Any:
    """The same from `torch.distributions`, without the checks of its arguments."""
    of: Any = peers.torch().distributions.NegativeBinomial
    return of(log_r.exp(), logits=log_mean - log_r, validate_args=False).log_prob(x)


def torch_loss(params: Any, x: Any, eps: Any, log_mass: Callable[[Any, Any, Any], Any] = torch_log_mass) -> Any:
    """The mean loss of a batch in PyTorch. x: [batch, event], counts as floats."""
    mu, log_scale, log_mean = torch_forward(params, x.log1p(), eps)
    log_r = 35 * (params["likelihood"]["log_r"] / 35).tanh()
    return (torch_rate(mu, log_scale) - log_mass(x, log_mean, log_r).sum()) / len(x)


def _torch_steps(config: Config, log_mass: Callable[[Any, Any, Any], Any]) -> Callable[[], None] | None:
    torch = peers.torch()
    if torch is None:
        return None
    params = peers.tensors(jax.jit(model(config).init)(jax.random.key(0)))
    data = torch.tensor(counts(config).astype(np.int32))

    def loss() -> Any:
        x = data[torch.randint(len(data), (config.batch_size,))].float()
        return torch_loss(params, x, torch.randn(config.batch_size, config.latent_size), log_mass)

    return peers.adam_steps(params, loss, config.num_steps)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
