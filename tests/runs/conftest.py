"""Commands that tests call in this process, or start in another, share what was compiled for one of them."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.runs.commands import CACHE


@pytest.fixture(autouse=True, scope="module")
def _cache():
    """Commands in this process find what others compiled, and their settings end with them."""
    options = {"jax_compilation_cache_dir": CACHE, "jax_enable_compilation_cache": True}
    options |= {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}
    before = {name: getattr(jax.config, name) for name in options}
    for settings in (options, before):
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if settings is options:
            yield
