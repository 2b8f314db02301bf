"""Seconds and memory of the sampled mutual information gap: 1,000 samples over 100,000 points.

python -m experiments.benchmarks.sampled_mig
"""

from __future__ import annotations

import resource
import time

import jax
import numpy as np

from vae_jax.data.sprites import FACTOR_SIZES
from vae_jax.disentanglement import sampled_mutual_information_gap

NUM_POINTS, NUM_SAMPLES, LATENT = 100_000, 1000, 10


def main() -> dict[str, float]:
    """Prints the seconds, compilation included, and the growth of the process; returns them."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(0, n, NUM_POINTS) for n in FACTOR_SIZES], axis=1)
    loc = rng.normal(size=(NUM_POINTS, LATENT)).astype(np.float32)
    scale = np.exp(rng.normal(size=loc.shape) - 1).astype(np.float32)
    before, begin = _peak_gib(), time.perf_counter()
    found = sampled_mutual_information_gap(jax.random.key(0), loc, scale, factors, num_samples=NUM_SAMPLES)
    jax.block_until_ready(found)
    seconds, grown = time.perf_counter() - begin, _peak_gib() - before
    print(
        f"\nSampled MIG, {NUM_SAMPLES} samples over {NUM_POINTS} points, {LATENT} latents, {len(FACTOR_SIZES)} "
        f"factors: {seconds:.1f} s, peak memory of the process grows by {grown:.2f} GiB"
    )
    return {"seconds": seconds, "peak_memory_growth_gib": grown}


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
