"""Words of newspaper articles: the perplexity of the half of each test article that the model has not read.

    python -m experiments.words --data counts.npz

data: counts [articles, words], as .npy or .npz. The tokens of each test article are split at random in halves. From
one half comes what the article is about, from that the probability of each word, and with it the perplexity of the
other half, exp(-sum log p(word) / tokens) (document completion; Wallach et al. 2009, "Evaluation methods for topic
models", section 5). Of ours p(word) is the mean of the normalised rates over the posterior given the first half, by
importance samples; of latent Dirichlet allocation (scikit-learn, in the same run) it is the mean topic mixture. A
unigram knows no article. experiments/results.md has the numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from experiments.reporting import report, trained
from vae_jax.cli.train import TrainConfig
from vae_jax.data import find
from vae_jax.distributions import sample_and_log_prob
from vae_jax.errors import InputError
from vae_jax.likelihoods import Likelihood, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from vae_jax.objectives import log_joint
from vae_jax.runs import Finished, RunConfig, run_command
from vae_jax.runs.shown import name_of
from vae_jax.runs.using import mapped, read_example

LIKELIHOODS: tuple[Likelihood, ...] = (NegativeBinomial(), ZeroInflatedNegativeBinomial(), Poisson())
HALVES_SEED = 0

Counts = Int[np.ndarray, "N words"]
Shares = Float[np.ndarray, "N words"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Document completion by count likelihoods and by latent Dirichlet allocation."""

    data: str = ""
    """Counts [articles, words], a .npy or .npz file."""
    out: str = "runs/words"
    """Folder of the runs and of the table. What is finished there is not trained again."""
    num_steps: int | None = None
    """Updates of each model; by default those of the command."""
    latent_size: int = 20
    """Number of latents."""
    topics: tuple[int, ...] = (20, 50)
    """Numbers of topics of latent Dirichlet allocation."""
    learning: Literal["online", "batch"] = "online"
    """Of latent Dirichlet allocation: from 128 articles at a time, or from all, which is slower and better."""
    passes: int = 10
    """Over the training articles, of latent Dirichlet allocation."""
    seed: int = 0
    """Of the runs and of latent Dirichlet allocation."""
    num_samples: int = 200
    """Importance samples of the posterior."""


def main(config: Config) -> dict[str, float]:
    """Trains all, writes the table; returns perplexities by name."""
    if not config.data:
        raise InputError("no --data: expected counts [articles, words], a .npy or .npz file")
    begin, found = time.perf_counter(), find(config.data)
    if found.layout.stored != "counts" or found.layout.missing or len(found.layout.event) != 1:
        raise InputError(
            f"{config.data} holds {found.layout.form}, {found.layout.stored}: expected a table of counts"
        )
    train, test = np.asarray(found.train.values), np.asarray(found.test.values)
    first, second = halves(test, HALVES_SEED)
    measured: list[tuple[str, Shares, float]] = [("unigram", np.tile(_unigram(train), (len(test), 1)), 0.0)]
    for topics in config.topics:
        start = time.perf_counter()
        shares = latent_dirichlet_allocation(train, first, topics, config)
        measured.append((f"latent Dirichlet allocation, {topics} topics", shares, time.perf_counter() - start))
    for likelihood in LIKELIHOODS:
        name = name_of(type(likelihood))
        run = RunConfig(out=f"{config.out}/{name}", resume=True, seed=config.seed, num_steps=config.num_steps)
        given = TrainConfig(config.data, run, likelihood=likelihood, latent_size=config.latent_size)
        finished, seconds = trained(given)
        shares = predicted(finished, first, config.num_samples)
        measured.append((f"ours, {name}, {config.latent_size} latents", shares, seconds))
    scored = sorted(
        ((name, *perplexity(shares, second), seconds) for name, shares, seconds in measured), key=_value
    )
    rows = [(name, f"{value:.1f} +- {error:.1f}", f"{seconds:.0f}") for name, value, error, seconds in scored]
    notes = (
        f"{len(test):,} test articles, {int(second.sum()):,} tokens in their second halves; seed {config.seed}.",
        "The standard error is over articles. Seconds of latent Dirichlet allocation include its inference.",
    )
    report(config.out, "words", ("model", "perplexity", "seconds of training"), rows, begin=begin, notes=notes)
    return {name: value for name, value, _, _ in scored}


def halves(counts: Counts, seed: int) -> tuple[Counts, Counts]:
    """The tokens of each row in two random halves, the first the larger by one of an odd number: [N, words]."""
    generator = np.random.default_rng(seed)
    first = np.zeros_like(counts)
    for i, row in enumerate(counts):
        tokens = np.repeat(np.arange(len(row)), row)
        chosen = generator.permutation(tokens)[: (len(tokens) + 1) // 2]
        first[i] = np.bincount(chosen, minlength=len(row))
    return first, counts - first


def perplexity(shares: Shares, counts: Counts) -> tuple[float, float]:
    """exp(-sum log p(word) / tokens) and its standard error over the rows. shares: p(word), rows that sum to 1."""
    nats = -(counts * np.log(np.maximum(shares, 1e-30))).sum(axis=1, dtype=np.float64)
    tokens = counts.sum(axis=1)
    mean = nats.sum() / tokens.sum()
    error = math.sqrt(((nats - mean * tokens) ** 2).sum()) / tokens.sum()
    return math.exp(mean), math.exp(mean) * error


def latent_dirichlet_allocation(train: Counts, first: Counts, topics: int, config: Config) -> Shares:
    """p(word) given the first half, by scikit-learn's variational Bayes: [N, words]."""
    from sklearn.decomposition import LatentDirichletAllocation

    fitted = LatentDirichletAllocation(
        topics, learning_method=config.learning, max_iter=config.passes, random_state=config.seed
    )
    fitted.fit(train)
    words = fitted.components_ / fitted.components_.sum(axis=1, keepdims=True)
    shares: Shares = fitted.transform(first) @ words
    return shares


def predicted(run: Finished, first: Counts, num_samples: int) -> Shares:
    """p(word) given the first half, the mean of the normalised rates over z ~ p(z | first half): [N, words].

    By importance samples z_k ~ q(z|x) of weight w_k = p(x, z_k) / q(z_k|x): sum_k w_k rates(z_k) / sum_k w_k.
    """
    shares: Shares = mapped(_predictor(num_samples), run, run.units.store(first), 32)
    return shares


@functools.cache
def _predictor(num_samples: int) -> Any:
    def shares(model: Any, transform: Any, params: Any, i: jax.Array, stored: Any) -> jax.Array:
        vae, x, key = read_example(model, transform, i, stored)
        q = vae.encode(params, x)

        def weighed(carry: Any, key: jax.Array) -> tuple[Any, None]:
            largest, total, mean = carry
            z, log_q = sample_and_log_prob(q, key)
            rates = vae.decode(params, z).mean()
            log_w = log_joint(vae, params, x, z) - log_q
            new = jnp.maximum(largest, log_w)
            old, now = jnp.exp(largest - new), jnp.exp(log_w - new)
            return (new, old * total + now, old * mean + now * rates / jnp.sum(rates)), None

        start = (jnp.float32(-jnp.inf), jnp.float32(0), jnp.zeros(jnp.shape(x)))
        (_, total, mean), _ = jax.lax.scan(weighed, start, jax.random.split(key, num_samples))
        return mean / total

    return shares


def _unigram(train: Counts) -> Float[np.ndarray, " words"]:
    """How often each word occurs, and each once more."""
    counts = train.sum(axis=0, dtype=np.float64) + 1
    return counts / counts.sum()


def _value(scored: tuple[str, float, float, float]) -> float:
    return scored[1]


if __name__ == "__main__":
    run_command(main, Config, __doc__)
