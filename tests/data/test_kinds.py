"""Kinds of columns: rules against data whose kind is known, and codes that keep what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from vae_jax.data.columns import Column
from vae_jax.data.kinds import _gain_of_logarithms, encoded, find_columns, kind_of, with_moments
from vae_jax.data.text_tables import Cells, RawTable
from vae_jax.errors import InputError

RANDOM = np.random.default_rng(0)


def made(values: np.ndarray | list[float]) -> np.ndarray:
    return np.asarray(values, np.float64)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RANDOM.normal(size=400), "real"),
        (RANDOM.normal(20, 1, size=400), "real"),
        (RANDOM.normal(5, 1, size=400), "real"),
        (RANDOM.uniform(1, 2, size=400), "real"),
        (np.exp(RANDOM.normal(size=400)), "positive"),
        (1e6 * np.exp(RANDOM.normal(size=400)), "positive"),
        (np.exp(RANDOM.normal(size=400)) - 0.5, "real"),
        (RANDOM.poisson(1, 400), "count"),
        (RANDOM.poisson(30, 400), "count"),
        (RANDOM.negative_binomial(1, 0.4, 400), "count"),
        (np.repeat(np.arange(7), [28, 16, 27, 15, 8, 3, 2]), "count"),  # children
        (np.repeat([0, 1, 2, 3, 4, 5, 8], [608, 209, 28, 16, 18, 5, 7]), "count"),  # siblings aboard
        (RANDOM.integers(0, 2, 400), "categorical"),
        (RANDOM.choice([-1, 1], 400), "categorical"),
        (RANDOM.choice([0.25, 0.5], 400), "categorical"),
        (RANDOM.integers(1, 6, 400), "categorical"),  # a rating
        (np.repeat(np.arange(5), [5, 10, 20, 40, 25]), "categorical"),  # a rating from 0
        (RANDOM.integers(0, 3, 400), "categorical"),  # codes of classes
        (RANDOM.integers(0, 10, 400), "categorical"),
        (RANDOM.choice([3, 4, 5, 6, 8], 400), "categorical"),  # cylinders
        (RANDOM.integers(1, 11, 400) / 2, "categorical"),  # half stars
        (RANDOM.choice([1, 3, 7, 14, 28, 56, 90, 180, 365], 400), "count"),  # days
        (RANDOM.integers(1990, 2021, 400), "real"),  # years
        (RANDOM.integers(0, 100, 400), "count"),
        (RANDOM.integers(50_000, 900_000, 400), "real"),  # prices
        (np.round(np.exp(RANDOM.normal(12, 1, 400))), "positive"),
        (np.arange(15), "count"),  # few rows: no categories of one row each
        (np.full(40, 7.0), "real"),
    ],
)
def test_kinds_of_known_data(values: np.ndarray, kind: str) -> None:
    """Fails if a rule takes draws of one kind for another, with or without missing values."""
    assert kind_of(made(values)) == kind
    assert kind_of(made([np.nan, *values, np.nan])) == kind


def test_positive_is_by_the_density_of_x_itself() -> None:
    """Fails if the log-normal density is compared without its Jacobian, or not at the maxima."""
    x = RANDOM.gamma(3, 2, 1000)
    gain = float(
        stats.lognorm.logpdf(x, np.log(x).std(), scale=np.exp(np.log(x).mean())).mean()
        - stats.norm.logpdf(x, x.mean(), x.std()).mean()
    )
    assert _gain_of_logarithms(x) == pytest.approx(gain, abs=1e-9)
    # In other units the gain is the same: both densities take the same factor.
    assert _gain_of_logarithms(1000 * x) == pytest.approx(gain, abs=1e-9)


def test_nothing_known_is_no_kind() -> None:
    """Fails if a column without any value gets a kind."""
    assert kind_of(np.full(5, np.nan)) is None


def table_of(*columns: Cells) -> RawTable:
    return RawTable(tuple("abcdefgh"[: len(columns)]), list(columns), np.arange(2, 2 + len(columns[0])))


def test_categories_in_natural_order() -> None:
    """Fails if 10 comes before 2, if a code stands for another text, or a missing text is one."""
    texts: list[str | None] = ["level 10", "level 2", None, "level 2"] * 5
    table = table_of(texts, np.array([3.0, 1.0, 3.0, np.nan] * 5))
    columns, reasons = find_columns(table, {}, "x.csv")
    assert reasons == {}
    assert columns == [
        Column("a", "categorical", ("level 2", "level 10")),
        Column("b", "categorical", ("1", "3")),
    ]
    assert columns[0] is not None
    assert columns[1] is not None
    np.testing.assert_array_equal(encoded(table, 0, columns[0], "x.csv")[:4], [1, 0, np.nan, 0])
    np.testing.assert_array_equal(encoded(table, 1, columns[1], "x.csv")[:4], [1, 0, 1, np.nan])


def test_what_is_no_column_is_left_out_with_a_reason() -> None:
    """Fails if names of people become categories, or a column without values one."""
    names: list[str | None] = [f"person {i}" for i in range(60)]
    empty: list[str | None] = [None] * 60
    columns, reasons = find_columns(table_of(names, empty, np.full(60, np.nan)), {}, "x.csv")
    assert columns == [None, None, None]
    assert reasons == {"a": "60 different texts in 60 rows", "b": "no values", "c": "no values"}


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ([*map(str, range(30)), "3o", "4"], "has '3o' in line 32, column 'a': expected a number"),
        ([*map(str, range(30)), "\x1b[2J"], r"has '\x1b[2J' in line 32"),
        ([f"{i},5" for i in range(30)], "decimal points; replace the decimal commas"),
    ],
)
def test_texts_among_numbers(cells: list[str | None], part: str) -> None:
    """Fails if a slip in a column of numbers makes 30 categories of it."""
    with pytest.raises(InputError) as caught:
        find_columns(table_of(cells), {}, "x.csv")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        (Column("a", "real"), np.inf, "has inf in line 4, column 'a': expected a finite number"),
        (Column("a", "real"), 1e39, "has 1e+39 in line 4"),
        (Column("a", "positive"), 0.0, "expected a number above 0"),
        (Column("a", "count"), 1.5, "expected a count"),
        (Column("a", "count"), -1.0, "expected a count"),
        (Column("a", "categorical", ("1", "2")), 3.0, "has '3' in line 4, column 'a': expected one of 1, 2"),
    ],
)
def test_values_that_are_not_of_their_kind(column: Column, value: float, part: str) -> None:
    """Fails if a value outside what a likelihood is defined on is let through, or its place is not named."""
    with pytest.raises(InputError) as caught:
        encoded(table_of(np.array([1.0, np.nan, value])), 0, column, "x.csv")
    assert part in str(caught.value)


def test_loc_and_scale() -> None:
    """Fails if they are not those of x, or of log x, over what is known, or if a constant divides by zero."""
    x = RANDOM.gamma(3, 2, 50)
    with_gaps = np.concatenate([x, [np.nan]])
    real, positive = with_moments(Column("a", "real"), with_gaps), with_moments(Column("a", "positive"), with_gaps)
    assert (real.loc, real.scale) == pytest.approx((x.mean(), x.std()))
    assert (positive.loc, positive.scale) == pytest.approx((np.log(x).mean(), np.log(x).std()))
    constant = with_moments(Column("a", "real"), np.full(7, 0.1))
    assert constant.loc == pytest.approx(0.1)
    assert constant.scale == 1
    assert with_moments(Column("a", "count"), x) == Column("a", "count")
