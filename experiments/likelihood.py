"""How likely are the data under a finished run: bounds on log p(x) from both sides, with their cost.

    python -m experiments.likelihood runs/mnist

Prints and saves one table: the ELBO, importance-weighted bounds, annealed importance sampling from the prior and
from the encoder on test images, and lower and upper bounds on images that the model itself simulates. All are
in nats, larger is better, with the standard error over images. A second call goes on where the first stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro

from vae_jax import (
    ConditionalVAE,
    InputError,
    active_units,
    annealed_log_likelihood,
    bidirectional_bounds,
    elbo,
    importance_log_likelihood,
    mean_and_error,
    plots,
)
from vae_jax.evaluation.resumable import estimate_images
from vae_jax.evidence import Base, posterior_base, prior_base
from vae_jax.files import write_text_atomically
from vae_jax.objectives import estimate
from vae_jax.paths import as_path
from vae_jax.runs.command import command_line
from vae_jax.runs.folder import write_json
from vae_jax.runs.tasks import EVALUATION_SEED, Task, load_run, test_examples
from vae_jax.training.sharding import make_mesh, replicate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE_COUNTS = (1, 10, 100, 1000, 5000)


@dataclasses.dataclass(frozen=True)
class Config:
    """Bounds on log p(x) of a finished run."""

    run: Annotated[str, tyro.conf.Positional]
    """Folder of a finished run."""
    num_images: int = 100
    """Test images, and images simulated from the model."""
    num_temperatures: int = 1000
    num_chains: int = 16
    num_leapfrog: int = 10
    memory_gib: float = 1.0
    """What the temporaries of one batch may take; the batches are chosen by it."""


class Row(NamedTuple):
    """One estimator: its values over images, and the decoder evaluations that each image took."""

    estimator: str
    values: np.ndarray
    evaluations: int
    seconds: float


def main(config: Config) -> dict[str, Any]:
    """Estimates, prints, saves; returns the table as it is saved."""
    if config.num_images < 1 or config.memory_gib <= 0:
        raise InputError(
            f"{config.num_images} images, {config.memory_gib} GiB: expected at least one image and memory above 0"
        )
    if config.num_temperatures < 2 or min(config.num_chains, config.num_leapfrog) < 1:
        raise InputError(
            f"num_temperatures {config.num_temperatures}, num_chains {config.num_chains}, num_leapfrog "
            f"{config.num_leapfrog}: expected at least 2, 1 and 1"
        )
    task, params = load_run(config.run)
    params, images = replicate(make_mesh(), (params, _test_images(task, config.num_images)))
    tested = {row.estimator: row for row in test_rows(config, task, params, images)}
    lower, upper = simulated_rows(config, task, params, images)
    gap = Row("upper - lower", upper.values - lower.values, lower.evaluations, lower.seconds)
    rows = [*tested.values(), lower, upper, gap]
    names = list(tested)
    best_sampled, from_prior, from_encoder = names[-3:]
    differences = [
        Row(f"{a} minus {b}", tested[a].values - tested[b].values, 0, 0.0)
        for a, b in ((from_encoder, from_prior), (from_prior, best_sampled), (from_encoder, best_sampled))
    ]
    table = _report(rows, differences)
    means = _posterior_means(task, params, _test_images(task, min(1000, _num_test(task))))
    units = active_units(means)
    table += (
        f"\n{int(units.num_active)} of {means.shape[1]} latents are active: Var(E_q[z]) > 0.01 over the first "
        f"{len(means)} test images.\n"
    )
    print(table)
    folder = as_path(config.run) / "likelihood"
    write_text_atomically(folder / "table.md", table)
    content = {row.estimator: _summary(row) for row in [*rows, *differences]}
    write_json(folder / "table.json", content)
    plots.save(_figure(list(tested.values())), as_path(config.run) / "figures" / "likelihood.png")
    print(f"saved: {folder}; figure: {as_path(config.run) / 'figures' / 'likelihood.png'}")
    return content


def test_rows(config: Config, task: Task, params: Any, images: Any) -> list[Row]:
    """ELBO, importance-weighted bounds and annealed importance sampling on the same test images."""

    def of_elbo(*args: Any) -> dict[str, jax.Array]:
        return elbo(*args)[1]

    def of_importance(num_samples: int) -> Callable:
        return lambda *args: {
            "log_likelihood": (e := importance_log_likelihood(*args, num_samples=num_samples)).log_likelihood,
            "effective_sample_size": e.effective_sample_size,
        }

    def of_annealing(base: Base) -> Callable:
        def estimator(*args: Any) -> dict[str, jax.Array]:
            value, info = annealed_log_likelihood(*args, base=base, **_annealing(config))
            return {
                "log_likelihood": value,
                "effective_sample_size": info.effective_sample_size,
                "acceptance": info.acceptance.mean(),
            }

        return estimator

    t, c, l = config.num_temperatures, config.num_chains, config.num_leapfrog  # noqa: E741
    annealing = f"{t} temperatures, {c} chains, {l} leapfrog steps"
    runs = [("ELBO, 1 sample", "elbo", of_elbo, "elbo", 1)]
    runs += [(f"L_{k}", f"importance_{k}", of_importance(k), "log_likelihood", k) for k in SAMPLE_COUNTS]
    for start, base in (("prior", prior_base), ("encoder", posterior_base)):
        file = f"annealed_{start}_{t}_{c}_{l}"
        runs.append(
            (f"AIS from the {start}, {annealing}", file, of_annealing(base), "log_likelihood", 2 * t * c * l)
        )
    rows = []
    for title, file, estimator, field, cost in runs:

        def one(params: Any, key: jax.Array, example: Any, estimator: Callable = estimator) -> dict[str, jax.Array]:
            return estimate(task.vae, estimator, params, key, example)

        values, seconds = _run(config, file, one, params, images)
        rows.append(Row(title, values[field], cost, seconds))
    return rows


def simulated_rows(config: Config, task: Task, params: Any, images: Any) -> tuple[Row, Row]:
    """Lower and upper bounds on images simulated from the model (under the test images' conditions)."""

    def one(params: Any, key: jax.Array, example: Any) -> dict[str, jax.Array]:
        vae = task.vae.given(example[1]) if isinstance(task.vae, ConditionalVAE) else task.vae
        lower, upper, _ = bidirectional_bounds(vae, params, key, **_annealing(config))
        return {"lower": lower, "upper": upper}

    t, c, l = config.num_temperatures, config.num_chains, config.num_leapfrog  # noqa: E741
    values, seconds = _run(config, f"bidirectional_{t}_{c}_{l}", one, params, images)
    lower, upper = (
        Row(f"simulated images, {name} bound (BDMC)", values[name], 3 * t * c * l, seconds)
        for name in ("lower", "upper")
    )
    return lower, upper


def _annealing(config: Config) -> dict[str, Any]:
    return {
        "num_temperatures": config.num_temperatures,
        "num_chains": config.num_chains,
        "num_leapfrog": config.num_leapfrog,
    }


def _run(config: Config, name: str, estimator: Callable, params: Any, images: Any) -> tuple[dict, float]:
    return estimate_images(
        estimator,
        params,
        jax.random.key(EVALUATION_SEED),
        images,
        name=name,
        folder=as_path(config.run) / "likelihood",
        memory=config.memory_gib * 2**30,
        mesh=make_mesh(),
    )


def _test_images(task: Task, num_images: int) -> Any:
    """The first test examples as the evaluation of the run saw them: the same binarization."""
    if num_images > _num_test(task):
        raise InputError(f"{num_images} images: expected at most the {_num_test(task)} of the test set")
    return test_examples(task, num_images)


def _num_test(task: Task) -> int:
    return jax.tree.leaves(task.test)[0].shape[0]


def _posterior_means(task: Task, params: Any, images: Any) -> jax.Array:
    def mean(vae: Any, params: Any, key: Any, x: Any) -> jax.Array:
        return vae.encode(params, x).mean()

    return jax.vmap(lambda example: estimate(task.vae, mean, params, None, example))(images)  # type: ignore[arg-type]


def _summary(row: Row) -> dict[str, float]:
    mean, error = mean_and_error(row.values)
    return {
        "nats": mean,
        "standard_error": error,
        "num_images": len(row.values),
        "decoder_evaluations_per_image": row.evaluations,
        "seconds": round(row.seconds, 1),
    }


def _report(rows: list[Row], differences: list[Row]) -> str:
    lines = [
        "| estimator | nats | standard error | decoder evaluations per image | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        mean, error = mean_and_error(row.values)
        lines.append(f"| {row.estimator} | {mean:.3f} | {error:.3f} | {row.evaluations:,} | {row.seconds:.1f} |")
    lines.append(f"\nPaired differences over the same {len(rows[0].values)} test images, in nats:\n")
    for row in differences:
        mean, error = mean_and_error(row.values)
        lines.append(f"- {row.estimator}: {mean:+.3f} +- {error:.3f}")
    return "\n".join(lines) + "\n"


def _figure(rows: list[Row]) -> Figure:
    from matplotlib.figure import Figure  # here, when the command has started: it looks for a home at once

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    # All rows see the same images: what differs between images hides what differs between estimators, unless it
    # is taken out first.
    center = rows[-1].values
    for label, chosen, style in (
        ("importance-weighted bound L_k", [r for r in rows if r.estimator.startswith("L_")], "o-"),
        ("ELBO, KL in closed form", rows[:1], "s"),
        ("AIS from the prior", rows[-2:-1], "^"),
        ("AIS from the encoder", rows[-1:], "v"),
    ):
        cost = [row.evaluations for row in chosen]
        mean = [row.values.mean() for row in chosen]
        error = [mean_and_error(row.values - center)[1] for row in chosen]
        axes.errorbar(cost, mean, yerr=np.nan_to_num(error), fmt=style, label=label, capsize=3, markersize=5)
    axes.set_xscale("log")
    axes.set_xlabel("decoder evaluations per image")
    axes.set_ylabel("lower bound on log p(x) (nats per image)")
    axes.set_title("Bars: standard error of the difference to AIS from the encoder", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    command_line(main, Config, __doc__)
