"""The figures of a finished run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vae_jax import VAE, interpolate, plots, rate_per_latent, reconstruct, sample_means, spherical, traverse
from vae_jax.errors import printable
from vae_jax.paths import as_path
from vae_jax.runs.folder import read_rows


def write_figures(out: str, vae: VAE, params: Any, x: jax.Array) -> None:
    """Draws a model into `out`/figures. x: test images [N, H, W, C] in [0, 1], N at least 2."""
    folder, half = as_path(out) / "figures", min(8, len(x) // 2)

    @jax.jit
    def pictures(params: Any, key: jax.Array, x: jax.Array) -> tuple[jax.Array, ...]:
        first = x[: 2 * half]
        key, reconstruct_key = jax.random.split(key)
        keys = jax.random.split(reconstruct_key, 2 * half)
        x_hat = jax.vmap(lambda k, x: reconstruct(vae, params, k, x))(keys, first)
        samples = sample_means(vae, params, key, 64)
        paths = jax.vmap(lambda a, b: interpolate(vae, params, a, b, path=spherical))(first[:half], first[half:])
        moved = traverse(vae, params, vae.encode(params, x[0]).mean())
        rates = jnp.mean(jax.vmap(lambda x: rate_per_latent(vae, params, x))(x), axis=0)
        return x_hat, samples, paths, moved, rates

    x_hat, samples, paths, moved, rates = pictures(params, jax.random.key(0), x)
    plots.save(plots.reconstructions(x[: 2 * half], x_hat), folder / "reconstructions.png")
    plots.save(plots.prior_samples(samples), folder / "samples.png")
    plots.save(plots.interpolations(paths), folder / "interpolations.png")
    plots.save(plots.traversals(moved, rates), folder / "traversals.png")
    plots.save(plots.training_curves(read_rows(as_path(out))), folder / "training.png")
    print(f"figures: {printable(folder)}")
