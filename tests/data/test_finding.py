"""`find`: what data are, and that other data are read as those were."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis.extra import numpy as hypothesis_numpy
from PIL import Image

from vae_jax.data import Layout, checked_labels, described, find, load_like, load_splits, to_own_units
from vae_jax.data.found import Found
from vae_jax.errors import InputError
from vae_jax.runs.json_config import from_json, to_json

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (40, 9, 9, 1)).astype(np.uint8)


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def with_gap(array: np.ndarray) -> np.ndarray:
    array = array.astype(np.float64)
    array[3, ..., 0] = np.nan
    return array


def own_units(found: Found) -> np.ndarray:
    """All examples as they were, with the training ones first."""
    parts = [to_own_units(part.values, found.layout) for part in (found.train, found.validation, found.test)]
    return np.concatenate(parts)


def in_order(examples: np.ndarray) -> np.ndarray:
    rows = examples.reshape(len(examples), -1)
    return rows[np.lexsort(np.nan_to_num(np.round(rows, 3), nan=-9).T[::-1])]


REALS = RANDOM.normal(size=(40, 9, 9))
FORMS: list[tuple[np.ndarray, str | None, tuple[str, str, tuple[int, ...]]]] = [
    (BYTES, None, ("images", "levels", (9, 9, 1))),
    (BYTES[..., 0], None, ("images", "levels", (9, 9, 1))),
    (BYTES[:, :, :5, 0], None, ("images", "levels", (9, 5, 1))),
    (BYTES.astype(np.int64), None, ("images", "levels", (9, 9, 1))),
    (np.repeat(BYTES, 13, axis=-1), None, ("images", "levels", (9, 9, 13))),
    (BYTES > 127, None, ("images", "unit", (9, 9, 1))),
    ((BYTES > 127).astype(np.uint8), None, ("images", "unit", (9, 9, 1))),
    (BYTES[..., 0] / 255, None, ("images", "unit", (9, 9, 1))),
    (with_gap(BYTES / 255), None, ("images", "unit", (9, 9, 1))),
    (BYTES.astype(np.float32), None, ("images", "levels", (9, 9, 1))),
    (REALS, None, ("series", "real", (9, 9))),
    (REALS, "images", ("images", "real", (9, 9, 1))),
    (REALS[..., None], None, ("images", "real", (9, 9, 1))),
    (BYTES[:, :, :5, 0] / 255, None, ("series", "real", (9, 5))),
    (with_gap(REALS[..., :2]), None, ("series", "real", (9, 2))),
    (REALS[..., 0], "series", ("series", "real", (9, 1))),
    (REALS[..., 0], None, ("table", "real", (9,))),
    (REALS[:, 0, 0], None, ("table", "real", (1,))),
    (RANDOM.poisson(2, (40, 16)), None, ("table", "counts", (16,))),
    (RANDOM.poisson(2, (40, 15)), None, ("table", "columns", (15,))),
    (with_gap(RANDOM.poisson(2, (40, 16))), None, ("table", "counts", (16,))),
    (RANDOM.integers(0, 2, (40, 16)), None, ("table", "unit", (16,))),
    (RANDOM.integers(1, 4, (40, 16)), None, ("table", "columns", (16,))),
]


@pytest.mark.parametrize(("array", "form", "expected"), FORMS)
def test_form_and_values(tmp_path: Path, array: np.ndarray, form: Any, expected: tuple[str, str, Any]) -> None:
    """Fails if data of one form are taken for another, or a value changes on its way to the parts and back."""
    found = find(saved(tmp_path / "x.npy", array), form=form)
    assert (found.layout.form, found.layout.stored, found.layout.event) == expected
    assert found.layout.missing == bool(np.isnan(array).any()) == bool(found.gaps)
    event = array.reshape(40, *found.layout.event)
    whole = own_units(found)
    # Each example is in one part, and all of them are there.
    codes = event.astype(np.float32).astype(np.float64)
    if found.layout.columns is not None:
        for j, column in enumerate(found.layout.columns):
            if column.kind == "categorical" and found.layout.stored == "columns":
                codes[:, j] = [column.categories.index(str(int(v))) for v in codes[:, j]]
    np.testing.assert_allclose(in_order(whole), in_order(codes), atol=1e-5)
    # A run folder keeps the layout, and other data are read by it.
    layout = from_json(Layout, json.loads(json.dumps(to_json(found.layout))))
    assert layout == found.layout
    again = load_like(str(tmp_path / "x.npy"), layout)
    assert again.values.dtype == found.train.values.dtype
    np.testing.assert_allclose(to_own_units(again.values, layout), codes, atol=1e-5)
    assert all(text.isprintable() for row in described(found) for text in row)


def test_a_large_mean_costs_no_digits(tmp_path: Path) -> None:
    """Fails if real numbers are rounded to float32 before their mean is subtracted, or by the rows of the test."""
    x = RANDOM.normal(size=(50, 3)) * 1e-3 + np.array([20240101, 273.15, 0])
    found = find(saved(tmp_path / "x.npy", x))
    splits = np.sort(own_units(found), axis=0)
    np.testing.assert_allclose(splits, np.sort(x, axis=0), atol=1e-9)
    own = to_own_units(found.train.values, found.layout)
    # The largest mean has seven digits before the point, and eight or nine after it in float64.
    np.testing.assert_allclose(np.array(found.layout.loc), own.mean(axis=0), rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.array(found.layout.scale), own.std(axis=0), rtol=1e-5)
    assert found.train.values.dtype == np.float32


def test_the_split_is_that_of_images(tmp_path: Path) -> None:
    """Fails if a folder or a file is cut otherwise than before, so that a run's test examples are trained on."""
    path = saved(tmp_path / "x.npy", BYTES)
    found, before = find(path), load_splits(path)
    for part, split in zip((found.train, found.validation, found.test), before, strict=True):
        np.testing.assert_array_equal(part.values, split.images)


def test_split_by_time(tmp_path: Path) -> None:
    """Fails if later steps are trained on and earlier ones tested."""
    x = np.arange(100.0)[:, None] + RANDOM.normal(size=(100, 1)) * 1e-3
    found = find(saved(tmp_path / "x.npy", x), split="time")
    np.testing.assert_allclose(own_units(found), x, atol=1e-5)
    assert [len(p.values) for p in (found.train, found.validation, found.test)] == [72, 8, 20]
    assert "in their order, test last" in found.split


CSV = "age,smoker,city,height,children,target\n" + "".join(
    f"{20 + i % 37},{'yes' if i % 3 else 'no'},{['Rome', 'Oslo', ''][i % 3]},{170 + (i * 7919 % 100) / 7:.3f},"
    f"{[0, 0, 0, 1, 1, 2, 3][i * 31 % 7]},{['ill', 'well'][i % 2]}\n"
    for i in range(120)
)


def test_a_table_with_columns_of_every_kind(tmp_path: Path) -> None:
    """Fails if a kind, a code, a gap or a label is not that of the file."""
    (tmp_path / "x.csv").write_text(CSV)
    found = find(str(tmp_path / "x.csv"), label="target")
    columns = found.layout.columns
    assert columns is not None
    assert [(c.name, c.kind, c.categories) for c in columns] == [
        ("age", "count", ()),
        ("smoker", "categorical", ("no", "yes")),
        ("city", "categorical", ("Oslo", "Rome")),
        ("height", "real", ()),
        ("children", "count", ()),
    ]
    assert (found.layout.stored, found.layout.classes, found.num_classes) == ("columns", ("ill", "well"), 2)
    assert found.gaps == pytest.approx(1 / 15)
    train, _, test = checked_labels(found)
    assert (len(train), len(test)) == (87, 24)
    again = load_like(str(tmp_path / "x.csv"), found.layout, labels=True)
    rows = to_own_units(again.values, found.layout)
    np.testing.assert_allclose(rows[1], [21, 1, 0, 170 + 19 / 7, 1], atol=1e-3)
    assert np.isnan(rows[2, 2])
    assert again.labels is not None
    assert again.labels.tolist()[:3] == [0, 1, 0]
    kind = dict(described(found))["kind"]
    assert kind == "1 real (height), 2 count (age, children), 2 categorical (smoker, city)"


def test_columns_go_by_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if columns in another order, or more of them, are read as if they were those of training."""
    (tmp_path / "x.csv").write_text(CSV)
    layout = find(str(tmp_path / "x.csv"), label="target").layout
    (tmp_path / "y.csv").write_text("note,children,city,height,age,smoker\nq,2,Oslo,171,30,yes\nr,0,,172,40,no\n")
    rows = to_own_units(load_like(str(tmp_path / "y.csv"), layout).values, layout)
    np.testing.assert_allclose(rows, [[30, 1, 0, 171, 2], [40, 0, np.nan, 172, 0]], atol=1e-4)
    assert "1 column not of the training data left out, as 'note'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("age,smoker,city,height\n30,yes,Oslo,170\n", "has no column 'children': expected the 5 columns"),
        ("age,smoker,city,height,children\n30,yes,Bonn,170,1\n", "has 'Bonn' in line 2, column 'city'"),
        ("age,smoker,city,height,children\n30,yes,Oslo,tall,1\n", "has 'tall' in line 2, column 'height'"),
        ("age,smoker,city,height,children\n30,yes,Oslo,170,1.5\n", "expected a count"),
        ("age,smoker,city,height,children\n30,yes,Oslo,170,1\n", "no column 'target'"),
        ("age,smoker,city,height,children,target\n30,yes,Oslo,170,1,dead\n", "'dead' in line 2, column 'target'"),
        ("age,smoker,city,height,children,target\n30,yes,Oslo,170,1,\n", "no label in line 2"),
    ],
)
def test_other_tables_that_do_not_fit(tmp_path: Path, text: str, part: str) -> None:
    """Fails if a category without a code, or a value of another kind, gets a number all the same."""
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "y.csv").write_text(text)
    with pytest.raises(InputError, match=part) as caught:
        find(str(tmp_path / "x.csv"), label="target", test=str(tmp_path / "y.csv"))
    assert "y.csv" in str(caught.value)


def test_parts_that_the_user_gives(tmp_path: Path) -> None:
    """Fails if our cut takes test rows from the training file, or their loc is used."""
    x, y = RANDOM.normal(size=(60, 2)), RANDOM.normal(size=(30, 2)) + 5
    found = find(saved(tmp_path / "x.npy", x), test=saved(tmp_path / "y.npy", y))
    np.testing.assert_allclose(to_own_units(found.test.values, found.layout), y, atol=1e-6)
    assert [len(p.values) for p in (found.train, found.validation)] == [54, 6]
    assert found.layout.loc == pytest.approx(to_own_units(found.train.values, found.layout).mean(axis=0), abs=1e-6)
    assert found.split.startswith("test as given, 6 of the training examples for validation")
    with pytest.raises(InputError, match="has no column 'column_2'"):
        find(str(tmp_path / "x.npy"), validation=saved(tmp_path / "z.npy", y[:, :1]))
    np.savez(tmp_path / "x.npz", x_train=x, x_test=y)
    with pytest.raises(InputError, match="has a part 'test' of its own"):
        find(str(tmp_path / "x.npz"), test=str(tmp_path / "y.npy"))


def test_archives_with_names_labels_and_a_split(tmp_path: Path) -> None:
    """Fails if names of columns, labels of a table or parts of an archive are lost."""
    x, names = RANDOM.normal(size=(60, 2)), np.array(["speed", "depth"])
    np.savez(tmp_path / "x.npz", data=x, feature_names=names, target=np.array(["b", "a"] * 30), y=np.arange(60) % 3)
    with pytest.raises(InputError, match="the labels 'target' and 'y': expected one of them"):
        find(str(tmp_path / "x.npz"))
    assert find(str(tmp_path / "x.npz"), label="y").num_classes == 3
    np.savez(
        tmp_path / "x.npz", data=x, feature_names=names, target=np.array(["b", "a"] * 30), group=np.arange(60) % 3
    )
    found = find(str(tmp_path / "x.npz"))
    assert [c.name for c in found.layout.columns or ()] == ["speed", "depth"]
    assert (found.num_classes, found.layout.classes) == (2, ("a", "b"))
    assert find(str(tmp_path / "x.npz"), label="group").num_classes == 3
    found = find(str(tmp_path / "x.npz"), label="target")
    assert (found.layout.classes, found.num_classes, found.layout.label) == (("a", "b"), 2, "target")
    again = load_like(str(tmp_path / "x.npz"), found.layout, labels=True)
    assert again.labels is not None
    assert again.labels.tolist() == [1, 0] * 30
    np.savez(tmp_path / "z.npz", x_train=x[:2], x_test=x)
    with pytest.raises(InputError, match="no train examples are left of 62"):
        find(str(tmp_path / "z.npz"))
    np.savez(tmp_path / "y.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x[:25], y_test=np.arange(25) % 3)
    found = find(str(tmp_path / "y.npz"))
    np.testing.assert_allclose(to_own_units(found.test.values, found.layout), x[:25], atol=1e-6)
    assert checked_labels(found)[2].tolist() == (np.arange(25) % 3).tolist()


def photos(folder: Path, num: int, *, grey: bool = False) -> str:
    for i in range(num):
        (folder / ("ant", "bee")[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = RANDOM.integers(0, 256, (8, 8) if grey else (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / ("ant", "bee")[i % 2] / f"{i:02}.png")
    return str(folder)


def test_photos_keep_their_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if a name is another photo's, in any part, or other photos get other classes, sizes or colours."""
    path = photos(tmp_path / "a", 40, grey=True)
    found = find(path)
    assert found.layout == Layout("images", "levels", (8, 8, 1), classes=("ant", "bee"))
    for part in (found.train, found.validation, found.test):
        assert part.names is not None
        assert part.labels is not None
        for image, name, label in zip(part.values, part.names, part.labels, strict=True):
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(tmp_path / "a" / name)))
            assert name.startswith(found.layout.classes[label] if found.layout.classes else "")
    again = load_like(path, found.layout, labels=True)
    assert again.names is not None
    assert again.names[:2] == ("ant/00.png", "ant/02.png")
    capsys.readouterr()
    (tmp_path / "b" / "bee").mkdir(parents=True)
    Image.fromarray(np.full((20, 16, 3), 77, np.uint8)).save(tmp_path / "b" / "bee" / "x.png")
    other = load_like(str(tmp_path / "b"), found.layout, labels=True)
    np.testing.assert_array_equal(other.values, np.full((1, 8, 8, 1), 77))
    assert other.labels is not None
    assert other.labels.tolist() == [1]
    assert "1 images in colour made grey" in capsys.readouterr().out
    (tmp_path / "b" / "bee").rename(tmp_path / "b" / "cow")
    with pytest.raises(InputError, match="has the class 'cow': expected one of ant, bee"):
        load_like(str(tmp_path / "b"), found.layout, labels=True)
    assert load_like(str(tmp_path / "b"), found.layout).labels is None


@pytest.mark.parametrize(
    ("array", "options", "part"),
    [
        (REALS, {"form": "table"}, r"has shape \(40, 9, 9\): expected table \[N, d\]"),
        (REALS[:, 0], {"form": "images"}, "expected images"),
        (REALS[:, 0], {"size": 8}, "is a table: expected no size"),
        (REALS, {"label": "a"}, "expected no label"),
        (REALS[:, 0], {"kinds": {"b": "real"}}, "has no column 'b': expected one of 'column_1'"),
        (REALS[:, 0], {"kinds": "positive"}, "expected a number above 0"),
        (REALS[:1, 0], {}, "1 example; expected at least 20"),
        (np.where(np.arange(40)[:, None] == 7, np.inf, REALS[:, 0]), {}, r"the value inf at index \(7, 0\)"),
        (np.full((40, 3), np.nan), {}, "no value that is not missing"),
        (np.zeros((0, 3)), {}, "which is empty"),
        (np.zeros((40, 2), complex), {}, "dtype complex128"),
        (np.full((40, 2), "a"), {}, "texts are read from a .csv file"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, array: np.ndarray, options: Any, part: str) -> None:
    """Fails if an option is ignored in silence, or numbers that are none are let through."""
    with pytest.raises(InputError, match=part):
        find(saved(tmp_path / "x.npy", array), **options)


def test_kinds_that_the_user_chooses(tmp_path: Path) -> None:
    """Fails if a kind that was chosen gives way to the rules."""
    x = RANDOM.integers(1, 4, (60, 2))
    path = saved(tmp_path / "x.npy", x)
    assert find(path, kinds="real").layout.stored == "real"
    columns = find(path, kinds={"column_2": "count"}).layout.columns
    assert [c.kind for c in columns or ()] == ["categorical", "count"]


def test_constants_and_texts_are_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if a column of one value, whose density has no maximum, is kept, or a column vanishes in silence."""
    rows = [f"{i}.5,7.25,note {i}\x1b[2J,{'' if i % 3 else 'on'},{i * 7 % 40}.25" for i in range(40)]
    (tmp_path / "x.csv").write_text("x,y,z,state,w\n" + "\n".join(rows) + "\n")
    layout = find(str(tmp_path / "x.csv")).layout
    assert [column.name for column in layout.columns or ()] == ["x", "w"]
    assert (layout.stored, layout.event) == ("real", (2,))
    out = capsys.readouterr().out
    assert "column 'z' is left out: 40 different texts in 40 rows" in out
    assert "column 'y' is left out: one value throughout, '7.25'" in out
    assert "column 'state' is left out: one value throughout, 'on'" in out
    again = load_like(str(tmp_path / "x.csv"), layout)
    np.testing.assert_allclose(to_own_units(again.values, layout)[3], [3.5, 21.25], atol=1e-5)


@pytest.mark.parametrize("kinds", [None, "real", "count", {"column_2": "real"}])
@pytest.mark.parametrize("stream", [False, True])
def test_constants_of_an_array(tmp_path: Path, kinds: Any, stream: bool) -> None:
    """Fails if a constant is kept because it is an array, is streamed, or has a kind that the user chose."""
    x = np.stack([RANDOM.integers(0, 99, 60), np.full(60, 5), RANDOM.integers(0, 99, 60)], axis=1)
    path = saved(tmp_path / "x.npy", x)
    found = find(path, kinds=kinds, stream=stream)
    assert [column.name for column in found.layout.columns or ()] == ["column_1", "column_3"]
    own = to_own_units(load_like(path, found.layout).values, found.layout)
    np.testing.assert_allclose(own, x[:, [0, 2]], atol=1e-4)
    train = to_own_units(np.stack([found.train.values[i] for i in range(3)]), found.layout)
    assert all(row in x[:, [0, 2]].tolist() for row in np.round(train, 3).tolist())
    with pytest.raises(InputError, match="no column of numbers or categories that differ"):
        find(saved(tmp_path / "y.npy", x[:, 1:2]), kinds=None if isinstance(kinds, dict) else kinds, stream=stream)


NUMBERED = [
    ("id,x,y\n", range(1, 41), ["x", "y"]),
    (",x,y\n", range(40), ["x", "y"]),
    (",x,y\n", [7 * i % 41 for i in range(40)], ["x", "y"]),  # an index in another order
    ("Unnamed: 0,x,y\n", [7 * i % 41 for i in range(40)], ["x", "y"]),
    ("rank,x,y\n", [7 * i % 41 for i in range(40)], ["rank", "x", "y"]),
    ("id,x,y\n", [2 * i for i in range(40)], ["id", "x", "y"]),
    ("", range(40), ["column_2", "column_3"]),
    ("", [7 * i % 41 for i in range(40)], ["column_1", "column_2", "column_3"]),
]


@pytest.mark.parametrize(("header", "first", "names"), NUMBERED)
def test_row_numbers_are_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture, header: str, first: Any, names: list[str]
) -> None:
    """Fails if the place of a row in its file is modelled as one of its values, or a value is taken for that."""
    lines = "".join(f"{i},{x:.4f},{y:.4f}\n" for i, (x, y) in zip(first, REALS[:, 0, :2], strict=True))
    (tmp_path / "x.csv").write_text(header + lines)
    layout = find(str(tmp_path / "x.csv")).layout
    assert [column.name for column in layout.columns or ()] == names
    assert ("it numbers the rows" in capsys.readouterr().out) == (len(names) == 2)
    whole = to_own_units(load_like(str(tmp_path / "x.csv"), layout).values, layout)
    np.testing.assert_allclose(whole[:, -2:], REALS[:, 0, :2], atol=1e-4)
    called = (header or "column_1").split(",")[0] or "column_1"
    kept = find(str(tmp_path / "x.csv"), kinds={called: "real"}).layout
    assert next(column.name for column in kept.columns or ()) == called


@pytest.mark.parametrize("stream", [False, True])
def test_row_numbers_of_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """Fails if row numbers are kept beside counts, in a stream of which a sample is looked at, or alone."""
    monkeypatch.setattr("vae_jax.data.streamed._SAMPLE", 25)
    x = np.concatenate([np.arange(60)[:, None], RANDOM.poisson(1, (60, 16))], axis=1)
    path = saved(tmp_path / "x.npy", x)
    found = find(path, stream=stream)
    assert (found.layout.stored, found.layout.event) == ("counts", (16,))
    np.testing.assert_array_equal(load_like(path, found.layout).values, x[:, 1:])
    assert found.train.values[0].tolist() in x[:, 1:].tolist()
    with pytest.raises(InputError, match="no column of numbers or categories that differ"):
        find(saved(tmp_path / "y.npy", np.arange(60)), stream=stream)
    assert find(str(tmp_path / "y.npy"), kinds={"column_1": "real"}, stream=stream).layout.event == (1,)


@pytest.mark.parametrize(
    ("header", "reason", "num"),
    [("a,b\n", "one example a line", 40), ("2019,2020\n", "one example a line, no header", 41)],
)
def test_a_table_without_header_is_said(tmp_path: Path, header: str, reason: str, num: int) -> None:
    """Fails if a header of numbers becomes an example and nothing shows it."""
    lines = "".join(f"{x:.4f},{y:.4f}\n" for x, y in REALS[:, 0, :2])
    (tmp_path / "x.csv").write_text(header + lines)
    rows = dict(described(find(str(tmp_path / "x.csv"))))
    assert rows["form"] == f"table of 2 columns ({reason})"
    assert rows["examples"] == str(num)


@pytest.mark.parametrize("stream", [False, True])
def test_the_range_is_of_numbers(tmp_path: Path, stream: bool) -> None:
    """Fails if the code of a category is shown as the least or the largest number."""
    x = np.stack([RANDOM.normal(300, 2, 60), RANDOM.choice([-9, -8, -7], 60)], axis=1)
    rows = dict(described(find(saved(tmp_path / "x.npy", x), stream=stream)))
    assert rows["range"] == f"{x[:, 0].min():.6g} to {x[:, 0].max():.6g}"
    assert "range" not in dict(described(find(saved(tmp_path / "y.npy", x[:, 1:]), stream=stream)))


SMALL = np.where(REALS[:, :1, 0] > 0, 1.0, -1.0) * np.exp(REALS[:, 0, :3])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        1e-42 * SMALL,
        1e-31 * SMALL,
        1e-200 * SMALL,
        1e-320 * np.round(100 * SMALL),
        1e-42 * np.abs(SMALL),
        1e-320 * np.round(100 * np.abs(SMALL)),
        np.stack([SMALL[:, 0], 1e-42 * SMALL[:, 1]], axis=1),
        np.exp(25 * REALS[:, 0, :2] - 60),
        1e-42 * REALS,
        1e-200 * REALS,
    ],
    ids=[
        "1e-42",
        "1e-31",
        "1e-200",
        "1e-320",
        "positive",
        "positive 1e-320",
        "one",
        "wide",
        "series",
        "series 1e-200",
    ],
)
def test_values_that_are_too_small(tmp_path: Path, array: np.ndarray, stream: bool) -> None:
    """Fails if numbers that float32 takes for 0 are divided by their scale, or their logarithm is taken."""
    with pytest.raises(InputError, match="a power of ten") as caught:
        find(saved(tmp_path / "x.npy", array), stream=stream)
    assert str(caught.value).isprintable()
    assert find(saved(tmp_path / "y.npy", 1e-28 * SMALL), stream=stream).layout.scale is not None


def test_known_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the bundled sets are not those of scikit-learn, or its lack is a traceback."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed (extra: metrics)")
    digits = find("digits")
    assert (digits.layout.stored, digits.layout.event, digits.num_classes) == ("levels", (8, 8, 1), 10)
    images = np.sort(own_units(digits).reshape(-1, 64), axis=None)
    np.testing.assert_array_equal(images, np.sort(np.round(datasets.load_digits().images * 255 / 16), axis=None))
    table = find("breast_cancer")
    assert table.layout.columns is not None
    assert table.layout.columns[0].name == "mean radius"
    assert table.layout.classes == ("malignant", "benign")
    assert find("breast_cancer", kinds="real").layout.stored == "real"
    with pytest.raises(InputError, match="digits: expected no kinds"):
        find("digits", kinds="real")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'vae-jax\[metrics\]'"):
        find("digits")
    with pytest.raises(InputError, match="unknown data set 'digitz': expected sprites, mnist"):
        find("digitz")


def test_rows_of_pixels_are_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Fails if images that were made rows become counts without a word."""
    find(saved(tmp_path / "x.npy", (BYTES[:, :8, :8] * (RANDOM.random((40, 8, 8, 1)) < 0.5)).reshape(40, 64)))
    assert "rows of 64 counts up to 255; pixels are for a .npy [40, 8, 8, 1]" in capsys.readouterr().out
    (tmp_path / "x.csv").write_text("".join(f"{i} b 3\n" for i in range(40)))
    with pytest.raises(InputError, match="separate fields by commas, semicolons or tabs"):
        find(str(tmp_path / "x.csv"))


@hypothesis.given(
    hypothesis_numpy.arrays(
        hypothesis.strategies.sampled_from([np.float32, np.float64, np.float16, np.int16, np.uint8, np.bool_]),
        hypothesis_numpy.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=3).map(lambda s: (24, *s[1:])),
    ),
    hypothesis.strategies.sampled_from([None, "images", "table", "series"]),
)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_any_array_is_stored_or_refused(tmp_path: Path, array: np.ndarray, form: Any) -> None:
    """Fails if numbers end in a traceback, as infinite values, or as missing ones that the layout does not know."""
    path = saved(tmp_path / "x.npy", array)
    try:
        found = find(path, form=form)
    except InputError:
        return
    for part in (found.train, found.validation, found.test):
        assert part.values.shape[1:] == found.layout.event
        assert not np.isinf(part.values.astype(np.float64)).any()
        assert found.layout.missing or not np.isnan(part.values.astype(np.float64)).any()
    own = to_own_units(load_like(path, found.layout).values, found.layout)
    if found.layout.stored == "real":
        names = [c.name for c in found.layout.columns or ()]
        if names:
            array = array.reshape(len(array), -1)[:, [int(name.removeprefix("column_")) - 1 for name in names]]
        np.testing.assert_allclose(
            own.reshape(array.shape), array.astype(np.float64), rtol=1e-4, atol=1e-6 * float(np.nanmax(np.abs(own)))
        )
