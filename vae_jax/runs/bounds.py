"""How likely are the data under a finished run: bounds on log p(x) from both sides, with their cost."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae_jax import plots
from vae_jax.data.leading import num_examples
from vae_jax.distributions import center
from vae_jax.errors import InputError, printable
from vae_jax.evaluation import evaluate
from vae_jax.evidence import (
    annealed_log_likelihood,
    bidirectional_bounds,
    importance_log_likelihood,
    posterior_base,
    prior_base,
    require_real,
)
from vae_jax.files import write_text_atomically
from vae_jax.latents import active_units
from vae_jax.model import ConditionalVAE
from vae_jax.objectives import elbo, estimate
from vae_jax.paths import as_path
from vae_jax.runs.bounds_table import Row, figure, summary, table
from vae_jax.runs.finished import Finished, data_of, given_anew, load_run
from vae_jax.runs.folder import write_json
from vae_jax.runs.task import EVALUATION_SEED, test_examples
from vae_jax.training.sharding import make_mesh

SAMPLE_COUNTS = (1, 10, 100, 1000, 5000)
# Long estimates are saved after so many images.
BATCH_SIZE = 25


@dataclasses.dataclass(frozen=True)
class LikelihoodConfig:
    """Bounds on log p(x) of a finished run.

    Prints and saves one table: the ELBO, importance-weighted bounds, annealed importance sampling from the prior
    and from the encoder on test images, and lower and upper bounds on images that the model itself simulates. All
    are in nats, larger is better, with the standard error over images. A second call goes on where the first
    stopped.
    """

    run: str
    """Folder of a finished run."""
    data: str | None = None
    """Where its data are now, if they have moved."""
    num_images: int = 100
    """Test images, and images simulated from the model."""
    num_temperatures: int = 1000
    """Steps of annealed importance sampling from its start to the posterior; more of them tighten the bounds."""
    num_chains: int = 16
    """Chains of each image, whose weights are averaged."""
    num_leapfrog: int = 10
    """Leapfrog steps of Hamiltonian Monte Carlo at each temperature."""
    memory_gib: float = 1.0
    """What the temporaries of one batch may take; the batches are chosen by it."""


def likelihood_of_run(config: LikelihoodConfig, config_type: type) -> dict[str, Any]:
    """Estimates, prints, saves; returns the table as it is saved.

    A subclass of `LikelihoodConfig` may have fields of `config_type` that are `OfThisStart`; they take their place.
    """
    _check(config)
    run = load_run(config.run, config_type)
    data = data_of(run, config.data, **given_anew(config, config_type))
    if config.num_images > num_examples(data.test):
        raise InputError(
            f"{config.num_images} images: expected at most the {num_examples(data.test)} of the test set"
        )
    images = jax.tree.map(lambda a: a[: config.num_images], data.test)
    tested, rows = tested_rows(config, run, images), []
    rows += tested
    if len(tested) > 1 + len(SAMPLE_COUNTS):
        lower, upper = simulated_rows(config, run, images)
        rows += [lower, upper, Row("upper - lower", upper.values - lower.values, lower.evaluations, lower.seconds)]
    differences = _differences(tested)
    units = active_units(_codes(run, test_examples(run.transform, data, 1000)))
    text = table(rows, differences) + (
        f"\n{int(units.num_active)} of {len(units.activity)} latents are active: Var(E_q[z]) > 0.01 over the first "
        f"{min(1000, num_examples(data.test))} test images.\n"
    )
    print(text)
    folder = as_path(run.folder) / "likelihood"
    write_text_atomically(folder / "table.md", text)
    content = {row.estimator: summary(row) for row in [*rows, *differences]}
    write_json(folder / "table.json", content)
    picture = as_path(run.folder) / "figures" / "likelihood.png"
    plots.save(figure(tested), picture)
    print(f"saved: {printable(folder)}; figure: {printable(picture)}")
    return content


def tested_rows(config: LikelihoodConfig, run: Finished, images: Any) -> list[Row]:
    """ELBO, importance-weighted bounds and, where latents are real, annealing, on the same test images."""
    wanted: list[tuple[str, str, Callable[..., Any], str, int, dict[str, Any]]] = [
        ("ELBO, 1 sample", "elbo", elbo, "elbo", 1, {})
    ]
    for k in SAMPLE_COUNTS:
        wanted.append(
            (f"L_{k}", f"importance_{k}", importance_log_likelihood, "log_likelihood", k, {"num_samples": k})
        )
    cost = 2 * config.num_temperatures * config.num_chains * config.num_leapfrog
    for start, base in (("prior", prior_base), ("encoder", posterior_base)) if _is_real(run, images) else ():
        title, file = f"AIS from the {start}, {_words(config)}", f"annealed_{start}_{_numbers(config)}"
        options: dict[str, Any] = {"base": base, **_annealing(config)}
        wanted.append((title, file, annealed_log_likelihood, "log_likelihood", cost, options))
    rows = []
    for title, file, estimator, metric, evaluations, options in wanted:
        values, seconds = _kept(config, run, file, estimator, images, **options)
        rows.append(Row(title, values[metric], evaluations, seconds))
    return rows


def simulated_rows(config: LikelihoodConfig, run: Finished, images: Any) -> tuple[Row, Row]:
    """Lower and upper bounds on images simulated from the model (under the test images' conditions)."""
    of = _conditions(run, images) if isinstance(run.model, ConditionalVAE) else num_examples(images)
    values, seconds = _kept(
        config, run, f"bidirectional_{_numbers(config)}", bidirectional_bounds, of, **_annealing(config)
    )
    cost = 3 * config.num_temperatures * config.num_chains * config.num_leapfrog
    lower, upper = (
        Row(f"simulated images, {name} bound (BDMC)", values[name], cost, seconds) for name in ("lower", "upper")
    )
    return lower, upper


def _kept(
    config: LikelihoodConfig, run: Finished, name: str, estimator: Any, data: Any, **options: Any
) -> tuple[dict[str, np.ndarray], float]:
    """The metrics of an estimator, kept in a file after each batch, and the seconds that they took this time."""
    begin = time.perf_counter()

    def report(done: int, total: int, left: float) -> None:
        print(f"{name}: {done}/{total} images, {left:.0f} s left", flush=True)

    values = evaluate(
        estimator,
        run.model,
        run.params,
        jax.random.key(EVALUATION_SEED),
        data,
        batch_size=BATCH_SIZE,
        transform=run.transform,
        mesh=make_mesh(),
        memory=config.memory_gib * 2**30,
        file=as_path(run.folder) / "likelihood" / f"{name}.npz",
        report=report,
        **options,
    )
    return values, time.perf_counter() - begin


def _check(config: LikelihoodConfig) -> None:
    if config.num_images < 1 or not config.memory_gib > 0:
        raise InputError(
            f"{config.num_images} images, {config.memory_gib} GiB: expected at least one image and memory above 0"
        )
    numbers = (config.num_temperatures, config.num_chains, config.num_leapfrog)
    if config.num_temperatures < 2 or min(numbers) < 1 or max(numbers) >= 2**31:
        raise InputError(
            f"num_temperatures {config.num_temperatures}, num_chains {config.num_chains}, num_leapfrog "
            f"{config.num_leapfrog}: expected at least 2, 1 and 1, and less than 2^31"
        )


def _is_real(run: Finished, images: Any) -> bool:
    """Whether annealing can follow gradients in the latents; prints why not."""

    def prior(params: Any, image: Any) -> None:
        conditional = isinstance(run.model, ConditionalVAE)
        model = run.model.given(run.transform(jax.random.key(0), image)[1]) if conditional else run.model
        require_real(model.prior(params), "annealed importance sampling")

    try:
        jax.eval_shape(prior, run.params, jax.tree.map(lambda a: a[0], images))
    except InputError as error:
        print(f"annealing and simulated images are left out: {error}")
        return False
    return True


def _conditions(run: Finished, images: Any) -> Any:
    """Those of the model: a label as it is stored, the size of an example of counts as the transform finds it."""
    keys = jax.random.split(jax.random.key(EVALUATION_SEED), num_examples(images))
    return jax.jit(jax.vmap(lambda key, image: run.transform(key, image)[1]))(keys, images)


def _annealing(config: LikelihoodConfig) -> dict[str, int]:
    return {name: getattr(config, name) for name in ("num_temperatures", "num_chains", "num_leapfrog")}


def _numbers(config: LikelihoodConfig) -> str:
    return "_".join(str(value) for value in _annealing(config).values())


def _words(config: LikelihoodConfig) -> str:
    return (
        f"{config.num_temperatures} temperatures, {config.num_chains} chains, {config.num_leapfrog} leapfrog steps"
    )


def _differences(tested: list[Row]) -> list[Row]:
    """Paired differences of the estimates that cost most."""
    best_sampled = tested[len(SAMPLE_COUNTS)]
    annealed = tested[1 + len(SAMPLE_COUNTS) :]
    if not annealed:
        return []
    from_prior, from_encoder = annealed
    pairs = ((from_encoder, from_prior), (from_prior, best_sampled), (from_encoder, best_sampled))
    return [Row(f"{a.estimator} minus {b.estimator}", a.values - b.values, 0, 0.0) for a, b in pairs]


def _codes(run: Finished, examples: Any) -> jax.Array:
    def code(vae: Any, params: Any, key: Any, x: Any) -> Any:
        return jax.flatten_util.ravel_pytree(center(vae.encode(params, x)))[0]

    of = functools.partial(estimate, run.model, code, run.params, None)  # type: ignore[arg-type]
    codes: jax.Array = jax.jit(jax.vmap(of))(examples)
    return codes
