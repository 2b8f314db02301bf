"""Expected losses of the objectives on the linear-Gaussian VAE of `tests.oracles`, in NumPy and float64."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from vae_jax.testing.oracles import exact_elbo


def _posterior(params: dict, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means [B, d] and the variances [d] of q(z|x)."""
    loc = (xs - np.asarray(params["b"], np.float64)) @ np.asarray(params["V"], np.float64).T
    return loc, np.exp(np.asarray(params["log_v"], np.float64))


def exact_rate(params: dict, xs: np.ndarray) -> np.ndarray:
    """KL(q(z|x) || p(z)): [B]."""
    loc, v = _posterior(params, xs)
    return 0.5 * np.sum(v + loc**2 - 1 - np.log(v), -1)


def exact_distortion(params: dict, xs: np.ndarray) -> np.ndarray:
    """E_q[-log p(x|z)]: [B]."""
    return -exact_elbo(params, xs) - exact_rate(params, xs)


def exact_dip(params: dict, xs: np.ndarray, off_diagonal: float, diagonal: float, *, within: float) -> float:
    """The loss of DIP-VAE I (within = 0) and II (within = 1), element by element."""
    loc, v = _posterior(params, xs)
    centred = loc - loc.mean(0)
    penalty = 0.0
    for i in range(loc.shape[1]):
        for j in range(loc.shape[1]):
            covariance = np.mean(centred[:, i] * centred[:, j])
            if i == j:
                penalty += diagonal * (covariance + within * v[i] - 1) ** 2
            else:
                penalty += off_diagonal * covariance**2
    return float(penalty - np.mean(exact_elbo(params, xs)))


def exact_quadratic(params: dict, xs: np.ndarray, weights: np.ndarray) -> float:
    """The mean over the batch of E_q[z'Az] = mu'A mu + sum_j A_jj v_j."""
    loc, v = _posterior(params, xs)
    return float(np.mean(np.einsum("bi,ij,bj->b", loc, weights.astype(np.float64), loc)) + np.diag(weights) @ v)


def exact_tcvae(params: dict, xs: np.ndarray, alpha: float, beta: float, gamma: float) -> float:
    """The loss of beta-TCVAE where the batch is the data set, q(z) a mixture of B normals: by quadrature."""
    information, correlation, dimensions = exact_rate_parts(params, xs)
    parts = alpha * information + beta * correlation + gamma * dimensions
    return float(np.mean(exact_distortion(params, xs)) + parts)


def exact_rate_parts(params: dict, xs: np.ndarray) -> tuple[float, float, float]:
    """I_q(x; z), TC and sum_j KL(q(z_j) || p(z_j)) of two latents, by the trapezoidal rule around each mean."""
    loc, v = _posterior(params, xs)
    steps = np.linspace(-8, 8, 81)
    weight = np.exp(-0.5 * steps**2) / np.sum(np.exp(-0.5 * steps**2))
    joint_weight = weight[:, None] * weight[None, :]

    def log_normal(z: np.ndarray, j: int) -> np.ndarray:  # [B components, *z.shape]
        standardized = (z[None] - loc[:, j].reshape(-1, *[1] * z.ndim)) / math.sqrt(v[j])
        return -0.5 * standardized**2 - 0.5 * math.log(2 * math.pi * v[j])

    joint, marginal, own, prior = [], [], [], []
    for mean in loc:
        axes = [mean[j] + math.sqrt(v[j]) * steps for j in range(2)]
        each = [log_normal(axes[j], j) for j in range(2)]
        log_joint = logsumexp(each[0][:, :, None] + each[1][:, None, :], axis=0) - math.log(len(loc))
        joint.append(np.sum(joint_weight * log_joint))
        marginal.append(sum(weight @ (logsumexp(e, axis=0) - math.log(len(loc))) for e in each))
        own.append(-0.5 * np.sum(1 + np.log(2 * math.pi * v)))
        prior.append(sum(weight @ (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)) for z in axes))
    joint_mean, marginal_mean = np.mean(joint), np.mean(marginal)
    return np.mean(own) - joint_mean, joint_mean - marginal_mean, marginal_mean - np.mean(prior)
