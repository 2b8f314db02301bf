"""One HMC transition of 1,600 chains through the 50-200-200-784 decoder, against PyTorch and the bare matmuls.

    python -m experiments.benchmarks.annealing

A transition has 10 leapfrog steps, each with the log density and its gradient in z: six matrix products. The floor
is these products alone, in the same library, dtype and shapes. PyTorch comes with the extra `bench`.
"""

from __future__ import annotations

import math
import os

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import interleaved, report
from vae_jax import Bernoulli, make_vae
from vae_jax.likelihood import hmc_init, hmc_step, prior_base
from vae_jax.likelihood.annealed import log_densities
from vae_jax.networks import MLPDecoder, MLPEncoder

CHAINS, LATENT, HIDDEN, EVENT, LEAPFROG, STEP_SIZE, TEMPERATURE = 1600, 50, 200, 784, 10, 0.05, 0.7


def main() -> dict[str, dict[str, float]]:
    """Prints the table and returns it."""
    vae = make_vae(
        MLPEncoder(LATENT, (HIDDEN, HIDDEN), activation=jnp.tanh),
        MLPDecoder((EVENT,), (HIDDEN, HIDDEN), activation=jnp.tanh),
    )
    params = vae.init(jax.random.key(0))
    x = Bernoulli(jnp.zeros(EVENT)).sample(jax.random.key(1))
    z = jax.random.normal(jax.random.key(2), (CHAINS, LATENT))
    densities = log_densities(vae, params, x, prior_base)
    states = jax.jit(jax.vmap(lambda z: hmc_init(densities, z)))(z)

    @jax.jit
    def transition(key, states):
        def one(key, state):
            weights = (1 - TEMPERATURE, TEMPERATURE)
            return hmc_step(densities, key, state, step_size=STEP_SIZE, num_leapfrog=LEAPFROG, weights=weights)

        return jax.vmap(one)(jax.random.split(key, CHAINS), states)

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

        return jax.lax.fori_loop(0, LEAPFROG, step, z)

    def bare():
        return jax.block_until_ready(matmuls(z))

    def ours():
        return jax.block_until_ready(transition(jax.random.key(3), states))

    calls = {"the matmuls alone": bare, "vae_jax": ours}
    torch_call = _torch_transition(params, x, z)
    if torch_call is not None:
        calls["PyTorch"] = torch_call
    seconds = interleaved(calls)
    title = (
        f"HMC transition, {CHAINS} chains, {LEAPFROG} leapfrog steps, {LATENT}-{HIDDEN}-{HIDDEN}-{EVENT} decoder"
    )
    table = report(title, seconds, of="vae_jax")
    share = 1 / np.median(seconds["vae_jax"] / seconds["the matmuls alone"])
    print(f"\nvae_jax runs at {100 * share:.0f} % of the rate of the bare matmuls")
    return table


def _torch_transition(params, x, z):
    """The same transition as a loop in PyTorch, with autograd for the gradient; None without PyTorch."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed (pip install 'vae-jax[bench]'): measured without it")
        return None
    torch.set_num_threads(len(os.sched_getaffinity(0)))
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
        prior = -0.5 * (z**2).sum(1) - 0.5 * LATENT * math.log(2 * math.pi)
        return prior + TEMPERATURE * likelihood.detach(), TEMPERATURE * gradient - z

    value, gradient = densities(start)

    def transition():
        z, g = start, gradient
        v = torch.randn_like(z)
        energy = 0.5 * (v**2).sum(1) - value
        for _ in range(LEAPFROG):
            v = v + 0.5 * STEP_SIZE * g
            z = z + STEP_SIZE * v
            new_value, g = densities(z)
            v = v + 0.5 * STEP_SIZE * g
        error = 0.5 * (v**2).sum(1) - new_value - energy
        accepted = torch.rand(CHAINS) < torch.exp(torch.clamp(-error, max=0.0))
        return torch.where(accepted[:, None], z, start)

    return transition


if __name__ == "__main__":
    main()
