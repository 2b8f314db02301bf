"""One HMC transition of 1,600 chains through the 50-200-200-784 decoder, against PyTorch and the bare matmuls.

    python -m experiments.benchmarks.annealing

A transition has 10 leapfrog steps, each with the log density and its gradient in z: six matrix products. The floor
is these products alone, in the same library, dtype and shapes. PyTorch comes with the extra `bench`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Table, interleaved, report
from vae_jax import Bernoulli, make_vae
from vae_jax.likelihood import hmc_init, hmc_step, prior_base
from vae_jax.likelihood.annealed import log_densities
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
    vae = make_vae(
        MLPEncoder(config.latent_size, (config.hidden, config.hidden), activation=jnp.tanh),
        MLPDecoder((config.event,), (config.hidden, config.hidden), activation=jnp.tanh),
    )
    params = vae.init(jax.random.key(0))
    x = Bernoulli(jnp.zeros(config.event)).sample(jax.random.key(1))
    z = jax.random.normal(jax.random.key(2), (config.chains, config.latent_size))
    densities = log_densities(vae, params, x, prior_base)
    states = jax.jit(jax.vmap(lambda z: hmc_init(densities, z)))(z)

    @jax.jit
    def transition(key, states):
        def one(key, state):
            weights = (1 - TEMPERATURE, TEMPERATURE)
            return hmc_step(
                densities, key, state, step_size=STEP_SIZE, num_leapfrog=config.leapfrog, weights=weights
            )

        return jax.vmap(one)(jax.random.split(key, config.chains), states)

    layers = [layer["kernel"] for layer in params["decoder"]["params"].values()]

    @jax.jit
    def matmuls(z):
        def step(_, z):
            h = z
            for kernel in layers:
                h = h @ kernel
            for kernel in reversed(layers):
                h = h @ kernel.T
            return h

        return jax.lax.fori_loop(0, config.leapfrog, step, z)

    def bare():
        return jax.block_until_ready(matmuls(z))

    def ours():
        return jax.block_until_ready(transition(jax.random.key(3), states))

    calls: dict[str, Callable[[], object]] = {"the matmuls alone": bare, "vae_jax": ours}
    torch_call = _torch_transition(config, params, x, z)
    if torch_call is not None:
        calls["PyTorch"] = torch_call
    seconds = interleaved(calls, repeats=config.repeats)
    sizes = "-".join(map(str, (config.latent_size, config.hidden, config.hidden, config.event)))
    title = f"HMC transition, {config.chains} chains, {config.leapfrog} leapfrog steps, {sizes} decoder"
    table = report(title, seconds, of="vae_jax")
    share = 1 / np.median(seconds["vae_jax"] / seconds["the matmuls alone"])
    print(f"\nvae_jax runs at {100 * share:.0f} % of the rate of the bare matmuls")
    return {title: table}


def _torch_transition(config, params, x, z):
    """The same transition as a loop in PyTorch, with autograd for the gradient; None without PyTorch."""
    torch = peers.torch()
    if torch is None:
        return None
    layers = [
        (torch.tensor(np.asarray(layer["kernel"])), torch.tensor(np.asarray(layer["bias"])))
        for layer in params["decoder"]["params"].values()
    ]
    x, start = torch.tensor(np.asarray(x)), torch.tensor(np.asarray(z))

    def densities(z):
        z = z.detach().requires_grad_(True)
        h = z
        for i, (kernel, bias) in enumerate(layers):
            h = torch.addmm(bias, h, kernel)
            h = torch.tanh(h) if i < len(layers) - 1 else h
        likelihood = (x * h - torch.nn.functional.softplus(h)).sum(1)
        (gradient,) = torch.autograd.grad(likelihood.sum(), z)
        z = z.detach()
        prior = -0.5 * (z**2).sum(1) - 0.5 * config.latent_size * math.log(2 * math.pi)
        return prior + TEMPERATURE * likelihood.detach(), TEMPERATURE * gradient - z

    value, gradient = densities(start)

    def transition():
        z, g = start, gradient
        v = torch.randn_like(z)
        energy = 0.5 * (v**2).sum(1) - value
        for _ in range(config.leapfrog):
            v = v + 0.5 * STEP_SIZE * g
            z = z + STEP_SIZE * v
            new_value, g = densities(z)
            v = v + 0.5 * STEP_SIZE * g
        error = 0.5 * (v**2).sum(1) - new_value - energy
        accepted = torch.rand(config.chains) < torch.exp(torch.clamp(-error, max=0.0))
        return torch.where(accepted[:, None], z, start)

    return transition


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
