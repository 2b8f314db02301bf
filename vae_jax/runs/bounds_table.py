"""The table and the figure of estimates of log p(x)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vae_jax.evaluation import mean_and_error
from vae_jax.runs.markdown import table_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One estimator: its values over images, and the decoder evaluations that each image took."""

    estimator: str
    values: Float[np.ndarray, " N"]
    evaluations: int
    seconds: float


def summary(row: Row) -> dict[str, Any]:
    """A row as it is saved, in nats."""
    mean, error = mean_and_error(row.values)
    return {
        "nats": mean,
        "standard_error": error if np.isfinite(error) else None,  # of one image there is none
        "num_images": len(row.values),
        "decoder_evaluations_per_image": row.evaluations,
        "seconds": round(row.seconds, 1),
    }


def table(rows: list[Row], differences: list[Row]) -> str:
    """Markdown: a row an estimator, and a line a difference."""
    titles = ("estimator", "nats", "standard error", "decoder evaluations per image", "seconds")
    lines = [*table_lines(titles, map(_cells, rows))]
    if differences:
        lines.append(f"\nPaired differences over the same {len(rows[0].values)} test images, in nats:\n")
    for row in differences:
        mean, error = mean_and_error(row.values)
        lines.append(f"- {row.estimator}: {mean:+.3f} +- {error:.3f}")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    mean, error = mean_and_error(row.values)
    return row.estimator, f"{mean:.3f}", f"{error:.3f}", f"{row.evaluations:,}", f"{row.seconds:.1f}"


def figure(rows: list[Row]) -> Figure:
    """The estimates on test images against their cost; what differs between images is taken out of the bars."""
    from matplotlib.figure import Figure  # here, for a command starts without the second that it takes

    drawn = Figure(figsize=(7, 4), layout="constrained")
    axes = drawn.subplots()
    # All rows see the same images: what differs between images hides what differs between estimators, unless it
    # is taken out first.
    middle = rows[-1]
    for label, start, style in (
        ("importance-weighted bound L_k", "L_", "o-"),
        ("ELBO", "ELBO", "s"),
        ("AIS from the prior", "AIS from the prior", "^"),
        ("AIS from the encoder", "AIS from the encoder", "v"),
    ):
        chosen = [row for row in rows if row.estimator.startswith(start)]
        if chosen:
            cost = [row.evaluations for row in chosen]
            mean = [row.values.mean() for row in chosen]
            error = [mean_and_error(row.values - middle.values)[1] for row in chosen]
            axes.errorbar(cost, mean, yerr=np.nan_to_num(error), fmt=style, label=label, capsize=3, markersize=5)
    axes.set_xscale("log")
    axes.set_xlabel("decoder evaluations per image")
    axes.set_ylabel("lower bound on log p(x) (nats per image)")
    axes.set_title(f"Bars: standard error of the difference to {middle.estimator.split(',')[0]}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return drawn
