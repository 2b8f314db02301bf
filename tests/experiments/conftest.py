"""Experiments share what was compiled for the commands."""

from tests.runs.conftest import _cache as _cache
