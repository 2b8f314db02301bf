"""One HMC transition of 1,600 chains through the 50-200-200-784 decoder, against PyTorch and the bare matmuls.

    python -m experiments.benchmarks.annealing

A transition has 10 leapfrog steps, each with the gradient of the log density in z, six matrix products; on both
sides the log density itself is evaluated at the last step alone. The floor is these products alone, in the same
library, dtype and shapes. PyTorch comes with the extra `bench`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Side, Table, interleaved, report
from vae_jax import VAE, Bernoulli, make_vae
from vae_jax.evidence import HMCState, hmc_init, hmc_step, prior_base
from vae_jax.evidence.annealing import log_densities
from vae_jax.networks import MLPDecoder, MLPEncoder

STEP_SIZE, TEMPERATURE = 0.05, 0.7


@dataclasses.dataclass(frozen=True)
class Config:
    """One transition of many chains."""

    chains: int = 1600
    latent_size: int = 50
    hidden: int = 200
    event: int = 784
    leapfrog: int = 10
    repeats: int = 9


def main(config: Config = Config()) -> dict[str, Table]:
    """Prints the table and returns it by its title."""
    sides: dict[str, Side] = {
        "the matmuls alone": partial(_matmuls, config),
        "vae_jax": partial(_transition, config),
        "PyTorch": partial(_torch_transition, config),
        "the matmuls alone, PyTorch": partial(_torch_matmuls, config),
    }
    seconds = interleaved(sides, repeats=config.repeats)
    sizes = "-".join(map(str, (config.latent_size, config.hidden, config.hidden, config.event)))
    title = f"HMC transition, {config.chains} chains, {config.leapfrog} leapfrog steps, {sizes} decoder"
    table = report(title, seconds, of="vae_jax")
    share = 1 / np.median(seconds["vae_jax"] / seconds["the matmuls alone"])
    print(f"\nvae_jax runs at {100 * share:.0f} % of the rate of the bare matmuls")
    return {title: table}


def model(config: Config) -> tuple[VAE, Any, jax.Array, jax.Array]:
    """The model, its parameters, one image, and where the chains start."""
    vae = make_vae(
        MLPEncoder(config.latent_size, (config.hidden, config.hidden), activation=jnp.tanh),
        MLPDecoder((config.event,), (config.hidden, config.hidden), activation=jnp.tanh),
    )
    x = Bernoulli(jnp.zeros(config.event)).sample(jax.random.key(1))
    z = jax.random.normal(jax.random.key(2), (config.chains, config.latent_size))
    return vae, jax.jit(vae.init)(jax.random.key(0)), x, z


def _kernels(params: Any) -> list[jax.Array]:
    return [layer["kernel"] for layer in params["decoder"]["params"].values()]


def _transition(config: Config) -> Callable[[], object]:
    vae, params, x, z = model(config)
    densities = log_densities(vae, params, x, prior_base)
    states = jax.jit(jax.vmap(lambda z: hmc_init(densities, z)))(z)

    @jax.jit
    def transition(key: jax.Array, states: HMCState) -> Any:
        def one(key: jax.Array, state: HMCState) -> Any:
            weights = (1 - TEMPERATURE, TEMPERATURE)
            return hmc_step(
                densities, key, state, step_size=STEP_SIZE, num_leapfrog=config.leapfrog, weights=weights
            )

        return jax.vmap(one)(jax.random.split(key, config.chains), states)

    return lambda: jax.block_until_ready(transition(jax.random.key(3), states))


def _matmuls(config: Config) -> Callable[[], object]:
    _, params, _, z = model(config)
    kernels = _kernels(params)

    @jax.jit
    def products(z: jax.Array) -> jax.Array:
        def step(_: jax.Array, z: jax.Array) -> jax.Array:
            h = z
            for kernel in kernels:
                h = h @ kernel
            for kernel in reversed(kernels):
                h = h @ kernel.T
            return h

        return jax.lax.fori_loop(0, config.leapfrog, step, z)

    return lambda: jax.block_until_ready(products(z))


def _torch_matmuls(config: Config) -> Callable[[], object] | None:
    if peers.torch() is None:
        return None
    _, params, _, z = model(config)
    kernels, start = peers.tensors((_kernels(params), z), gradients=False)

    def products() -> None:
        for _ in range(config.leapfrog):
            h = start
            for kernel in kernels:
                h = h @ kernel
            for kernel in reversed(kernels):
                h = h @ kernel.T

    return products


def torch_densities(config: Config, params: Any, x: jax.Array) -> tuple[Callable, Callable]:
    """The tempered target in PyTorch: z -> gradient, logits; and z, logits -> log density. z: [chains, latent]."""
    torch = peers.torch()
    layers = [
        (torch.tensor(np.asarray(layer["kernel"])), torch.tensor(np.asarray(layer["bias"])))
        for layer in params["decoder"]["params"].values()
    ]
    image = torch.tensor(np.asarray(x))

    def gradient_and_logits(z: Any) -> tuple[Any, Any]:
        z = z.detach().requires_grad_(True)
        h = z
        for i, (kernel, bias) in enumerate(layers):
            h = torch.addmm(bias, h, kernel)
            h = torch.tanh(h) if i < len(layers) - 1 else h
        (gradient,) = torch.autograd.grad(h, z, image - torch.sigmoid(h.detach()))
        return TEMPERATURE * gradient - z.detach(), h.detach()

    def log_density(z: Any, logits: Any) -> Any:
        likelihood = (image * logits - torch.nn.functional.softplus(logits)).sum(1)
        prior = -0.5 * (z**2).sum(1) - 0.5 * config.latent_size * math.log(2 * math.pi)
        return prior + TEMPERATURE * likelihood

    return gradient_and_logits, log_density


def _torch_transition(config: Config) -> Callable[[], object] | None:
    """The same transition as a loop in PyTorch, with autograd for the gradient; None without PyTorch."""
    torch = peers.torch()
    if torch is None:
        return None
    _, params, x, z = model(config)
    gradient_and_logits, log_density = torch_densities(config, params, x)
    start = torch.tensor(np.asarray(z))
    gradient, logits = gradient_and_logits(start)
    value = log_density(start, logits)

    def transition() -> Any:
        z, g = start, gradient
        v = torch.randn_like(z)
        energy = 0.5 * (v**2).sum(1) - value
        for _ in range(config.leapfrog):
            v = v + 0.5 * STEP_SIZE * g
            z = z + STEP_SIZE * v
            g, logits = gradient_and_logits(z)
            v = v + 0.5 * STEP_SIZE * g
        error = 0.5 * (v**2).sum(1) - log_density(z, logits) - energy
        accepted = torch.rand(config.chains) < torch.exp(torch.clamp(-error, max=0.0))
        return torch.where(accepted[:, None], z, start)

    return transition


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
