"""Codes and factors with known scores."""

import numpy as np


def grid(*sizes: int) -> np.ndarray:
    """Every combination of factors with these numbers of values once: integers [prod(sizes), len(sizes)]."""
    return np.stack(np.meshgrid(*[np.arange(n) for n in sizes], indexing="ij"), -1).reshape(-1, len(sizes))


def random_factors(seed: int, num: int, *sizes: int) -> np.ndarray:
    """Independent uniform factors: integers [num, len(sizes)]."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, n, num) for n in sizes], axis=1)


def noise(seed: int, num: int, num_latents: int) -> np.ndarray:
    """Codes that tell nothing: float32 [num, num_latents]."""
    return np.random.default_rng(seed).normal(size=(num, num_latents)).astype(np.float32)


def noisy_codes(seed: int, factors: np.ndarray, num_latents: int) -> np.ndarray:
    """Each latent another mixture of the factors, and noise: float32 [N, num_latents]."""
    rng = np.random.default_rng(seed)
    mixing = (
        rng.normal(size=(factors.shape[1], num_latents)) * rng.uniform(size=(factors.shape[1], num_latents)) ** 3
    )
    return (factors @ mixing + rng.normal(size=(len(factors), num_latents))).astype(np.float32)
