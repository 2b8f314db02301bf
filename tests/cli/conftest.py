"""Commands share what was compiled for one of them."""

from tests.runs.conftest import _cache as _cache
