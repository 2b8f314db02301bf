"""The protocols of own data, tiny, end to end in this process; their exact numbers against scipy and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import multivariate_normal, norm

from experiments import emoji, grey, series, tables, words
from tests.runs.commands import write_images
from vae_jax import InputError
from vae_jax.likelihoods import Categorical, DiscretizedLogistic, NormalPixels, Poisson


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without its titles."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a likelihood is missing, a bound is not called one, or the best is not first."""
    monkeypatch.setattr(grey, "LIKELIHOODS", (NormalPixels("learned"), DiscretizedLogistic()))
    data = str(write_images(tmp_path / "x.npz", num=160))
    config = grey.Config(data, str(tmp_path / "out"), num_steps=30, batch_size=8, hidden=(8,), latent_size=2)
    bits = grey.main(config)
    found = rows_of((tmp_path / "out" / "grey.md").read_text())
    assert [row[0] for row in found] == sorted(bits, key=lambda name: bits[name])
    assert {row[0]: row[2] for row in found} == {
        "normal-pixels": "a density of dequantized levels",
        "discretized-logistic": "masses of the levels",
    }
    assert all(0 < value[0] < 12 for value in bits.values())
    with pytest.raises(InputError, match="leave_out gamma: expected one of normal-pixels, discretized-logistic"):
        grey.main(grey.Config(data, str(tmp_path / "out"), leave_out=("gamma",)))


def test_grey_has_every_likelihood_of_levels() -> None:
    """Fails if a likelihood that the protocol promises is left out."""
    named = {type(likelihood).__name__ for likelihood in grey.LIKELIHOODS}
    assert named == {"ContinuousBernoulli", "NormalPixels", "DiscretizedLogistic", "LogisticMixture", "Categorical"}
    assert Categorical() in grey.LIKELIHOODS


def test_tables(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if the known density is not that of its rows, or ours and the mixture are not of the same rows."""
    config = tables.Config(
        tables=(tables.KNOWN,),
        out=str(tmp_path),
        num_samples=20,
        num_steps=60,
        components=(1, 2),
        known_rows=400,
    )
    found = tables.main(config)
    (row,) = rows_of((tmp_path / "tables.md").read_text())
    assert row[:3] == ["known", "400 x 20", "0%"]
    ours, difference, exact = (float(row[i].split(" +- ")[0]) for i in (5, 6, 7))
    mixture = float(row[4].split(" +- ")[0])
    assert ours == pytest.approx(found["known"], abs=0.01)
    assert difference == pytest.approx(ours - mixture, abs=0.02)
    assert exact < 0
    assert "lower bound" in capsys.readouterr().out


def test_the_density_of_the_known_table() -> None:
    """Fails if it is not that of scipy, or if rows are drawn from another one: their mean log-density tells."""
    x = tables.make_known(2000)
    means = 2 * np.random.default_rng(0).normal(size=(2, 20))
    each = [multivariate_normal.logpdf(x, mean, np.eye(20)) for mean in means]
    expected = np.logaddexp(np.log(0.4) + each[0], np.log(0.6) + each[1])
    np.testing.assert_allclose(tables.known_log_density(x), expected, rtol=1e-10)
    entropy = 10 * np.log(2 * np.pi * np.e) - (0.4 * np.log(0.4) + 0.6 * np.log(0.6))
    assert expected.mean() == pytest.approx(-entropy, abs=4 * expected.std() / np.sqrt(2000))


def test_a_mixture_is_chosen_on_validation() -> None:
    """Fails if the scale of the columns is forgotten, or training rows choose: 20 components would win there."""
    x = np.random.default_rng(0).normal(size=(300, 2)) * [10.0, 0.1]
    parts = (x[:60], x[60:180], x[180:])
    found = tables.mixtures(parts, (1, 20), ("full",), (1e-6,), 0)
    assert found.named == "1 full, 1e-06"
    fitted = multivariate_normal(x[:60].mean(axis=0), np.cov(x[:60].T, bias=True)).logpdf(x[180:])
    np.testing.assert_allclose(found.test, fitted, atol=1e-3)


def test_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a model is left out, or none is better than a unigram on texts of two topics."""
    monkeypatch.setattr(words, "LIKELIHOODS", (Poisson(),))
    generator = np.random.default_rng(0)
    topics = generator.dirichlet([0.1] * 30, 2)
    np.savez(tmp_path / "x.npz", counts=np.stack([generator.multinomial(40, topics[i % 2]) for i in range(160)]))
    config = words.Config(
        str(tmp_path / "x.npz"),
        str(tmp_path / "out"),
        num_steps=80,
        latent_size=2,
        topics=(2,),
        passes=2,
        num_samples=5,
    )
    found = words.main(config)
    assert len(found) == 3
    ours = found["ours, poisson, 2 latents"]
    assert ours < found["unigram"]
    assert rows_of((tmp_path / "out" / "words.md").read_text())[-1][0] == "unigram"
    with pytest.raises(InputError, match="no --data"):
        words.main(words.Config())


def test_halves_and_perplexity() -> None:
    """Fails if a token is in both halves or none, or if equal shares of d words have another perplexity than d."""
    counts = np.random.default_rng(0).poisson(0.7, (20, 9))
    first, second = words.halves(counts, 0)
    np.testing.assert_array_equal(first + second, counts)
    assert second.min() >= 0
    np.testing.assert_array_equal(first.sum(axis=1), (counts.sum(axis=1) + 1) // 2)
    value, error = words.perplexity(np.full(counts.shape, 1 / 9), second)
    assert value == pytest.approx(9)
    assert error == pytest.approx(0, abs=1e-5)


def test_series(tmp_path: Path) -> None:
    """Fails if a model is above the exact density beyond its error, or no figure is drawn."""
    found = series.main(
        series.Config(str(tmp_path), num=120, length=8, num_steps=40, num_samples=20, grid=(60, 20))
    )
    assert found.log_likelihood < found.exact < found.noise
    assert (tmp_path / "run" / "figures" / "series.png").stat().st_size > 10_000
    assert len(rows_of((tmp_path / "series.md").read_text())) == 4


def test_the_density_of_series() -> None:
    """Fails if it is not scipy's at one frequency and damping, or not that of the series that are drawn."""
    x = series.make_series(5, 4)
    t = np.arange(4) / 4
    angle, envelope = 2 * np.pi * 2.5 * t, np.exp(-t)
    basis = np.stack(
        [
            np.stack([envelope * np.cos(angle), -40 * envelope * np.sin(angle)], axis=-1).ravel(),
            np.stack([envelope * np.sin(angle), 40 * envelope * np.cos(angle)], axis=-1).ravel(),
        ],
        axis=-1,
    )
    covariance = basis @ basis.T + np.diag(np.tile(series.NOISE**2, 4))
    expected = multivariate_normal.logpdf((x - series.OFFSET).reshape(5, -1), cov=covariance)
    np.testing.assert_allclose(series.log_density(x, (1, 1)), expected, rtol=1e-9)
    # A series of one point, at time 0, has no frequency: two independent normals.
    x = series.make_series(5, 1)
    at_zero = norm.logpdf((x - series.OFFSET)[:, 0], scale=np.hypot(series.FACTOR, series.NOISE)).sum(axis=1)
    np.testing.assert_allclose(series.log_density(x, (3, 2)), at_zero, rtol=1e-9)


def test_emoji(tmp_path: Path) -> None:
    """Fails if a folder of pictures with transparency does not train, or trains again where it has."""
    generator = np.random.default_rng(0)
    for i in range(60):
        pixels = generator.integers(0, 256, (8, 8, 4)).astype(np.uint8)
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "x" / f"{i:02}.png")
    config = emoji.Config(str(tmp_path / "x"), str(tmp_path / "out"), networks=("mlp",), num_steps=4)
    bits = emoji.main(config)
    seconds = (tmp_path / "out" / "mlp" / "seconds.txt").read_text()
    assert 5 < bits["mlp"] < 12
    assert (tmp_path / "out" / "mlp" / "figures" / "samples.png").exists()
    assert emoji.main(config) == bits
    assert (tmp_path / "out" / "mlp" / "seconds.txt").read_text() == seconds
