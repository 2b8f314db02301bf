"""The shapes that are written in signatures are those that functions take and return."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs
from tests.programs.shapes import CASES
from vae_jax import InputError

REFUSED = [
    (f, right | wrong)
    for f, right, wrong in CASES
    if wrong and re.search(r"InputError\s+for\s+(another|other|arrays\s+of\s+another)\s+shape", f.__doc__ or "")
]


@pytest.fixture(scope="module")
def told():
    """What each function raised under jaxtyping's import hook, for right arguments and for wrong ones."""
    # With the suite's own flags and cache: of numbers, which these could change, nothing is asked.
    cache = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    return programs.output_of("shapes", cache=cache, XLA_FLAGS=os.environ["XLA_FLAGS"])


def test_functions_do_what_their_signatures_say(told):
    """Fails if a function refuses arrays of the shapes in its signature, or returns others than it says."""
    assert {name: right for name, (right, _) in told["told"].items() if right} == {}


def test_signatures_refuse_other_shapes(told):
    """Fails if a signature leaves a wrong shape or dtype unnoticed, so that it would say nothing."""
    wrong = {name: wrong or "nothing" for name, (_, wrong) in told["told"].items() if wrong != ""}
    assert {name: raised for name, raised in wrong.items() if not raised.startswith("TypeCheckError")} == {}


def test_every_signature_with_shapes_has_a_row(told):
    """Fails if a public function or method with shapes in its signature is called by none of the cases."""
    assert told["unseen"] == []
    assert len(told["annotated"]) > 150


FILES = sorted((Path(__file__).parents[1] / "vae_jax").rglob("*.py"))
ARRAYS = {"Array", "AnyArray", "ndarray"}
SHAPE = r"(?!Annotated)\w+\[[\w.]+, '[^']*'\]"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda folder: folder.name)
def test_public_arrays_have_a_shape(folder):
    """Fails if a public function, method or field of any module takes or gives an array of which no shape is told.

    A random key is one thing, not an array of numbers: a parameter `key: Array` is one key. A type that has a name
    of its own, as `Metrics`, is told of where it is defined.
    """
    modules = [path for path in FILES if path.parent == folder and (path.name[0] != "_" or path.stem[:2] == "__")]
    bare = {path.name: list(_without_shape(ast.parse(path.read_text()).body)) for path in modules}
    assert {name: found for name, found in bare.items() if found} == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(x: Array): ...", ["f(x: Array)"]),
        ("def f(*x: jax.Array | None): ...", ["f(x: jax.Array | None)"]),
        ("def f(t: Callable[[Any, Array], Any]) -> dict[str, np.ndarray]: ...", ["f(t: ", "f -> dict"]),
        (
            "class A:\n def f(self, *, x: 'Array'): ...\n def __call__(s) -> Array: ...",
            ["f(x: ", "__call__ -> "],
        ),
        ("class A:\n x: tuple[AnyArray, Float[Array, 'd']]", ["x: tuple"]),
        ("def f(x: Annotated[Array, 'of numbers'], y: Literal['a b', 'c']): ...", ["f(x: "]),
        ("def f(key: Array, x: Float[jax.Array, 'd d'], n: Float[AnyArray, ''] | None) -> Metrics: ...", []),
        ("def _f(x: Array): ...\nclass _A:\n x: Array", []),
    ],
)
def test_arrays_without_a_shape_are_seen(code, found):
    """Fails if an array without a shape goes unseen in a place that signatures have, or a shape counts as none."""
    seen = list(_without_shape(ast.parse(code).body))
    assert [start in line for start, line in zip(found, seen, strict=True)] == [True] * len(found)


def _without_shape(body: list[ast.stmt], in_class: bool = False) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            yield from (f"{node.name}.{found}" for found in _without_shape(node.body, in_class=True))
        elif isinstance(node, ast.FunctionDef) and (node.name[0] != "_" or node.name == "__call__"):
            yield from (f"{node.name}{found}" for found in _in_signature(node))
        elif isinstance(node, ast.AnnAssign) and in_class and _is_bare(node.annotation):
            yield f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"


def _in_signature(function: ast.FunctionDef) -> Iterator[str]:
    of = function.args
    for argument in (*of.posonlyargs, *of.args, of.vararg, *of.kwonlyargs, of.kwarg):
        if argument and argument.annotation and argument.arg != "key" and _is_bare(argument.annotation):
            yield f"({argument.arg}: {ast.unparse(argument.annotation)})"
    if function.returns and _is_bare(function.returns):
        yield f" -> {ast.unparse(function.returns)}"


def _is_bare(node: ast.AST) -> bool:
    """Whether an annotation names an array anywhere but in `Float[Array, "shape"]`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return not ARRAYS.isdisjoint(re.findall(r"\w+", node.value))
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node).rpartition(".")[2] in ARRAYS
    if isinstance(node, ast.Subscript) and re.fullmatch(SHAPE, ast.unparse(node)):
        return False
    return any(_is_bare(child) for child in ast.iter_child_nodes(node))


@pytest.mark.parametrize(("function", "arguments"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_other_shapes_are_refused_in_one_line(function, arguments):
    """Fails if a function whose docstring says so does not raise InputError for the wrong shape."""
    with pytest.raises(InputError) as refused:
        function(**arguments)
    assert "\n" not in str(refused.value)
