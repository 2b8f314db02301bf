"""What several processes agree on, with the messages between them simulated."""

import jax
import numpy as np
import pytest

from vae_jax import InputError
from vae_jax.runs import processes
from vae_jax.runs.processes import first_only, join


def fail(error):
    raise error


@pytest.mark.parametrize("error", [OSError("disk full"), InputError("no such folder"), KeyError()], ids=str)
def test_failure_of_the_first_is_raised_in_all(monkeypatch, error):
    """Fails if an error of the first process is not passed on, so that they wait for ever, or changes type."""
    sent = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes.multihost_utils, "broadcast_one_to_all", lambda a: sent.append(a) or a)
    with pytest.raises(type(error)):
        first_only(lambda: fail(error))
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(processes.multihost_utils, "broadcast_one_to_all", lambda a: sent[0])
    with pytest.raises(InputError, match=str(error) or "KeyError"):
        first_only(lambda: pytest.fail("the second process acts"))


def test_nothing_is_raised_where_the_first_succeeds(monkeypatch):
    """Fails if silence is taken for a failure."""
    acted = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes.multihost_utils, "broadcast_one_to_all", np.asarray)
    first_only(lambda: acted.append(1))
    assert acted == [1]


def test_number_of_processes_that_is_none(monkeypatch):
    """Fails if a word for a number is a traceback."""
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(InputError, match=r"--distributed: .*'two'.* expected .* whole numbers JAX_NUM_PROCESSES"):
        join(distributed=True)
