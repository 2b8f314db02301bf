"""The shapes that are written in signatures are those that functions take and return."""

import re

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
def told(tmp_path_factory):
    """What each function raised under jaxtyping's import hook, for right arguments and for wrong ones."""
    return programs.output_of("shapes", cache=tmp_path_factory.mktemp("cache"))


def test_functions_do_what_their_signatures_say(told):
    """Fails if a function refuses arrays of the shapes in its signature, or returns others than it says."""
    assert {name: right for name, (right, _) in told["told"].items() if right} == {}


def test_signatures_refuse_other_shapes(told):
    """Fails if a signature leaves a wrong shape or dtype unnoticed, so that it would say nothing."""
    wrong = {name: wrong or "nothing" for name, (_, wrong) in told["told"].items() if wrong != ""}
    assert {name: raised for name, raised in wrong.items() if not raised.startswith("TypeCheckError")} == {}


def test_every_signature_with_shapes_has_a_row(told):
    """Fails if a public function with shapes in its signature is not among the cases."""
    assert set(told["annotated"]) - set(told["told"]) == set()
    assert len(told["annotated"]) > 50


@pytest.mark.parametrize(("function", "arguments"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_other_shapes_are_refused_in_one_line(function, arguments):
    """Fails if a function whose docstring says so does not raise InputError for the wrong shape."""
    with pytest.raises(InputError) as refused:
        function(**arguments)
    assert "\n" not in str(refused.value)
