"""Figures are drawn from arrays of the right shape, and from no others."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from vae_jax import InputError, plots

RNG = np.random.default_rng(0)


def draw(figure, path):
    plots.save(figure, path)
    return matplotlib.image.imread(path)


@pytest.mark.parametrize("event", [(8, 8), (8, 8, 1), (8, 8, 3)])
def test_image_grid_shows_each_image_in_its_place(tmp_path, event):
    """Fails if rows and columns are swapped, or if values are stretched to the range of the data."""
    images = np.full((2, 3, *event), 0.5)
    images[1, 2] = 1.0
    figure = plots.image_grid(images, title="t", row_labels=["a", "b"], column_labels=["x", "y", "z"])
    (axes,) = figure.axes
    shown = np.asarray(axes.images[0].get_array())
    shown = shown if shown.ndim == 2 else shown[..., 0]
    assert shown.shape == (20, 30)
    assert shown[15, 25] == 1
    assert shown[5, 5] == shown[15, 15] == pytest.approx(0.5)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert draw(figure, tmp_path / "new" / "grid.png").std() > 0


def test_names_are_drawn_as_they_are_written(tmp_path):
    """Fails if a name with $ is a formula, or one that is none an error, or if long names of columns overlap."""
    names = ["$x^$", "a long name"]
    grid = plots.image_grid(np.zeros((2, 2, 8, 8)), title="t", row_labels=names, column_labels=names)
    scores = plots.violins({name: [0.1, 0.2] for name in names}, title="t", label="score")
    for figure in (grid, scores, plots.information(np.eye(2), names, title="t")):
        assert draw(figure, tmp_path / "figure.png").std() > 0
    assert {label.get_rotation() for label in grid.axes[0].get_xticklabels()} == {90}


def test_reconstructions_alternate_inputs_and_outputs():
    """Fails if an output is not below its own input."""
    x = RNG.uniform(size=(16, 4, 4, 1))
    axes = plots.reconstructions(x, 0 * x).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown[1:5, 7:11], x[1, ..., 0], rtol=1e-6)
    np.testing.assert_array_equal(shown[7:11, 7:11], 0)
    np.testing.assert_allclose(shown[13:17, 1:5], x[8, ..., 0], rtol=1e-6)


def test_traversals_are_sorted_by_rate():
    """Fails if rows are in another order than their labels."""
    rows = np.broadcast_to(np.array([0.1, 0.2, 0.3])[:, None, None, None, None], (3, 5, 4, 4, 1))
    axes = plots.traversals(rows, [0.5, 4.0, 2.0]).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["z1  4.0 nats", "z2  2.0 nats", "z0  0.5 nats"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["-2.0", "-1.0", "+0.0", "+1.0", "+2.0"]
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown[[2, 8, 14], 2], [0.2, 0.3, 0.1], rtol=1e-6)


def test_training_curves_name_axes_and_units(tmp_path):
    """Fails if a curve is missing, an axis has no name or no unit, or the legend names a curve not drawn."""
    rows = [{"step": s, "elbo": -1.0 * s, "distortion": 1.0, "rate": np.nan} for s in range(1, 20)]
    rows[-1] |= {"validation_elbo": -3.0}
    figure = plots.training_curves(rows)
    assert [a.get_ylabel() for a in figure.axes] == [
        f"{name} (nats per example)" for name in ("ELBO", "distortion", "rate")
    ]
    assert all(a.get_xlabel() == "step" for a in figure.axes)
    draw(figure, tmp_path / "curves.png")
    for validation, names in (({}, ["training"]), ({"validation_rate": 1.0}, ["training", "validation"])):
        legend = plots.training_curves([*rows[:-1], rows[-1] | validation]).axes[-1].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == names


def test_violins_show_every_value(tmp_path):
    """Fails if a name or a value is missing, or if the median is not where the line is."""
    figure = plots.violins({"a": [0.1, 0.2, 0.6], "none": [], "b": [0.3]}, title="t", label="MIG")
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b"]
    points = [c.get_offsets()[:, 1] for c in axes.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(np.concatenate(points), [0.1, 0.2, 0.6, 0.3])
    lines = [c.get_segments()[0][0, 1] for c in axes.collections if isinstance(c, LineCollection)]
    np.testing.assert_allclose(lines, [0.2, 0.3])
    assert axes.get_ylabel() == "MIG"
    draw(figure, tmp_path / "violins.png")


def test_information_is_written_into_its_cell(tmp_path):
    """Fails if latents and factors are swapped, or a value stands in another cell."""
    figure = plots.information([[1.0, 0.2], [0.0, 0.7], [0.1, 0.3]], ["x", "y"], title="t")
    axes = figure.axes[0]
    texts = {tuple(round(p) for p in t.get_position()): t.get_text() for t in axes.texts}
    assert texts[1, 1] == "0.70"
    assert texts[0, 0] == "1.00"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["z0", "z1", "z2"]
    assert "nats" in figure.axes[1].get_ylabel()
    draw(figure, tmp_path / "information.png")


def test_information_of_inactive_latents_is_marked():
    """The mean of a latent of rate 0 tells of a factor. Fails if it looks like one that the decoder sees, if its
    number sets the colours, or if rows are not in the order of the traversals with their own numbers."""
    figure = plots.information([[1.0, 0.2], [9.31, 0.0], [0.1, 0.7]], ["x", "y"], title="t", rates=[2.0, 0.0, 4.0])
    axes = figure.axes[0]
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels == ["z2  4.00 nats", "z0  2.00 nats", "z1  0.00 nats  inactive"]
    texts = {tuple(round(p) for p in t.get_position()): t.get_text() for t in axes.texts}
    assert [texts[0, row] for row in range(3)] == ["0.10", "1.00", "(9.31)"]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), [[False] * 2, [False] * 2, [True] * 2])
    assert axes.images[0].get_clim() == (0, 1)
    only = plots.information([[0.31]], ["x"], title="t", rates=[0.0]).axes[0]
    assert only.texts[0].get_text() == "(0.31)"


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.violins({"a": []}, title="", label=""),
        lambda: plots.information(np.zeros((2, 3)), ["x", "y"], title=""),
        lambda: plots.information(np.zeros((3, 2)), ["x", "y"], title="", rates=[1.0, 2.0]),
        lambda: plots.image_grid(np.zeros((3, 5)), title=""),
        lambda: plots.prior_samples(np.zeros((9, 5))),
        lambda: plots.interpolations(np.zeros((2, 3, 4, 4, 2))),
        lambda: plots.reconstructions(np.zeros((2, 4, 4, 1)), np.zeros((3, 4, 4, 1))),
        lambda: plots.traversals(np.zeros((3, 5, 4, 4, 1)), [1.0]),
        lambda: plots.training_curves([]),
    ],
)
def test_other_shapes_are_refused(call):
    """Fails if an array that is no picture is drawn, or gives a traceback of matplotlib."""
    with pytest.raises(InputError, match="expected"):
        call()
