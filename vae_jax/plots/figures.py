"""Figures from arrays, as matplotlib figures that `save` writes to PNG; no global state, no model."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num, Shaped

from vae_jax.errors import InputError
from vae_jax.files import write_bytes_atomically
from vae_jax.paths import as_path
from vae_jax.shapes import AnyArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _new_figure(width: float, height: float) -> Figure:
    # Most programs draw last, or never: they start without the seconds that matplotlib takes to import.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def image_grid(
    images: Shaped[AnyArray, "rows columns H W"] | Shaped[AnyArray, "rows columns H W C"],
    *,
    title: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Figure:
    """Rows and columns of images. images: [rows, columns, H, W], or with channels [..., 1] or [..., 3], in [0, 1].

    Labels name the rows on the left and the columns on top. Raises InputError for arrays of another shape.
    """
    images = np.asarray(images, np.float32)
    if images.ndim == 4:
        images = images[..., None]
    if images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise InputError(
            f"images of shape {images.shape}: expected [rows, columns, H, W] with 1, 3 or no channels at the end; "
            "only pictures can be drawn"
        )
    rows, columns, height, width, channels = images.shape
    # One picture of all, with a light frame around each, is drawn much faster than one axis for each.
    canvas = np.ones((rows * (height + 2), columns * (width + 2), channels), np.float32)
    for r in range(rows):
        for c in range(columns):
            top, left = r * (height + 2) + 1, c * (width + 2) + 1
            canvas[top : top + height, left : left + width] = np.clip(images[r, c], 0, 1)
    cell = 0.62
    figure = _new_figure(cell * columns + 1.6, cell * rows * height / width + 0.9)
    axes = figure.subplots()
    axes.imshow(canvas if channels == 3 else canvas[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    # A label may be a name of the user's, in which $ begins no formula.
    axes.set_yticks((np.arange(len(row_labels)) + 0.5) * (height + 2), row_labels, fontsize=8, parse_math=False)
    # A column has room for six letters.
    rotation = 90 if any(len(label) > 6 for label in column_labels) else 0
    middle = (np.arange(len(column_labels)) + 0.5) * (width + 2)
    axes.set_xticks(middle, column_labels, fontsize=8, parse_math=False, rotation=rotation)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def reconstructions(x: Shaped[AnyArray, "N H W C"], x_hat: Shaped[AnyArray, "N H W C"]) -> Figure:
    """Inputs above their reconstructions, in pairs of rows of eight. x, x_hat: [N, H, W, C]."""
    x, x_hat = np.asarray(x), np.asarray(x_hat)
    if x.shape != x_hat.shape:
        raise InputError(f"inputs of shape {x.shape}, reconstructions of shape {x_hat.shape}: expected the same")
    columns = min(8, len(x))
    pairs = len(x) // columns
    rows = [a[i * columns : (i + 1) * columns] for i in range(pairs) for a in (x, x_hat)]
    return image_grid(np.stack(rows), title="Reconstructions, E[x|z]", row_labels=["input", "output"] * pairs)


def prior_samples(images: Shaped[AnyArray, "N H W C"]) -> Figure:
    """Samples from the prior, as a square. images: [N, H, W, C]; those beyond a full square are left out."""
    images = np.asarray(images)
    side = int(np.sqrt(len(images)))
    grid = images[: side * side].reshape(side, side, *images.shape[1:])
    return image_grid(grid, title="Samples, E[x|z] for z from the prior")


def interpolations(
    rows: Shaped[AnyArray, "paths steps H W C"],
    *,
    title: str = "Interpolation between two images (first and last column)",
) -> Figure:
    """One path a row. rows: [paths, steps, H, W, C]."""
    return image_grid(rows, title=title)


def traversals(
    rows: Shaped[AnyArray, "latents steps H W C"],
    rates: Num[AnyArray, " latents"] | None = None,
    *,
    span: float = 2.0,
    most: int = 16,
) -> Figure:
    """One latent a row, the one with the highest rate on top, labelled with its rate in nats.

    rows: [latents, steps, H, W, C], as `traverse` gives them over the same `span`. rates: [latents], as
    `rate_per_latent` averaged over examples; without them the rows are in the order of the latents. At most `most`
    rows are drawn.
    """
    rows = np.asarray(rows)
    order, labels = np.arange(len(rows)), [f"z{j}" for j in range(len(rows))]
    if rates is not None:
        rates = np.asarray(rates)
        if len(rows) != len(rates):
            raise InputError(f"{len(rows)} rows, {len(rates)} rates: expected one rate for each latent")
        order = np.argsort(-rates, kind="stable")
        labels = [f"z{j}  {rate:.1f} nats" for j, rate in enumerate(rates)]
    order = order[:most]
    return image_grid(
        rows[order],
        title="Latent traversals\n(value in standard deviations of the prior)",
        row_labels=[labels[j] for j in order],
        column_labels=[f"{u:+.1f}" for u in np.linspace(-span, span, rows.shape[1])],
    )


def training_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """ELBO, distortion and rate against the step, on training batches and on the validation set.

    rows: as in a run's metrics.jsonl, each with `step` and any of `elbo`, `distortion`, `rate`, with or without
    `validation_` in front. The first tenth of the steps does not set the range of the axes.
    """
    if not rows:
        raise InputError("no rows of metrics: expected at least one; train first")
    figure = _new_figure(10, 3.2)
    for axes, name in zip(figure.subplots(1, 3), ("elbo", "distortion", "rate"), strict=True):
        seen = []
        for key, label, style in ((name, "training", "-"), (f"validation_{name}", "validation", "o-")):
            points = np.array([(row["step"], row[key]) for row in rows if key in row]).reshape(-1, 2)
            if len(points):
                axes.plot(*points.T, style, label=label, markersize=3, linewidth=1)
            seen.append(points[points[:, 0] >= rows[-1]["step"] / 10, 1])
        values = np.concatenate(seen)
        values = values[np.isfinite(values)]
        if values.size and np.ptp(values) > 0:
            margin = 0.05 * np.ptp(values)
            axes.set_ylim(values.min() - margin, values.max() + margin)
        axes.set_xlabel("step")
        axes.set_ylabel(f"{'ELBO' if name == 'elbo' else name} (nats per example)")
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def violins(values: Mapping[str, Sequence[float]], *, title: str, label: str) -> Figure:
    """The distribution of a score for each name: a violin, every value as a point, and the median as a line.

    As in figure 2 of Locatello et al. 2019 (arXiv:1811.12359). Names without values are left out.
    """
    arrays = {name: np.asarray(v, np.float64) for name, v in values.items() if len(v)}
    if not arrays:
        raise InputError("no values: expected at least one name with a score")
    figure = _new_figure(1.2 * len(arrays) + 1.5, 3.6)
    axes = figure.subplots()
    for i, v in enumerate(arrays.values()):
        if len(v) > 1 and np.ptp(v) > 0:
            drawn: Any = axes.violinplot(v, [i], widths=0.8, showextrema=False)
            drawn["bodies"][0].set_alpha(0.35)
        axes.scatter(i + np.linspace(-0.12, 0.12, len(v)), v, s=8, color="black", alpha=0.6, linewidths=0)
        axes.hlines(np.median(v), i - 0.25, i + 0.25, color="black", linewidth=1.5)
    axes.set_xticks(range(len(arrays)), list(arrays), fontsize=8, rotation=20, parse_math=False)
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    return figure


def information(
    matrix: Num[AnyArray, "d k"],
    factor_names: Sequence[str],
    *,
    title: str,
    rates: Num[AnyArray, " d"] | None = None,
    min_rate: float = 0.01,
) -> Figure:
    """Mutual information of each latent and each factor, in nats, as numbers on a map. matrix: [d, k].

    rates: [d], as `rate_per_latent` averaged over examples. With them rows are in the order of `traversals`, the
    highest rate on top, and labelled with it; a latent of `min_rate` nats or less is called inactive, has no
    colour, and its numbers are in brackets: the matrix may be that of the noiseless means of q(z|x), but a sample,
    which the decoder sees, tells no more than the rate. Raises InputError for other shapes.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[1] != len(factor_names):
        raise InputError(f"matrix of shape {matrix.shape}: expected [d, {len(factor_names)}], a column a factor")
    order, inactive = np.arange(len(matrix)), np.zeros(len(matrix), bool)
    labels = [f"z{j}" for j in order]
    if rates is not None:
        rates = np.asarray(rates)
        if rates.shape != matrix.shape[:1]:
            raise InputError(f"{len(matrix)} rows, rates of shape {rates.shape}: expected one rate for each latent")
        order = np.argsort(-rates, kind="stable")
        inactive = rates[order] <= min_rate
        labels = [f"z{j}  {rates[j]:.2f} nats{'  inactive' if rates[j] <= min_rate else ''}" for j in order]
    matrix = matrix[order]
    figure = _new_figure(0.9 * matrix.shape[1] + 2.2, 0.35 * matrix.shape[0] + 1.6)
    axes = figure.subplots()
    coloured = np.ma.masked_array(matrix, np.broadcast_to(inactive[:, None], matrix.shape))
    top = coloured.max() if coloured.count() else 1.0
    shown = axes.imshow(coloured, cmap="Blues", vmin=0, vmax=top, aspect="auto")
    for (row, k), value in np.ndenumerate(matrix):
        text = f"({value:.2f})" if inactive[row] else f"{value:.2f}"
        light = not inactive[row] and value > 0.6 * top
        axes.text(k, row, text, ha="center", va="center", fontsize=8, color="white" if light else "black")
    axes.set_xticks(range(len(factor_names)), list(factor_names), fontsize=8, rotation=20, parse_math=False)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlabel("factor")
    axes.set_ylabel("latent")
    axes.set_title(title, fontsize=9)
    figure.colorbar(shown, label="mutual information (nats)")
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure to a PNG file that is there whole or not at all, making the folder if need be."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_bytes_atomically(as_path(path), content.getvalue())


def show(figure: Figure, path: str | Path) -> None:
    """Writes a figure as `save` does, and shows it where the program runs in a notebook."""
    save(figure, path)
    if "ipykernel" in sys.modules:
        from IPython.display import Image, display

        display(Image(as_path(path).read_bytes()))
