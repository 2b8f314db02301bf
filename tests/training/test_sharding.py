"""The same numbers on one device and on many: eight simulated devices in a process of their own."""

import os

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from tests.programs import output_of
from vae_jax import InputError
from vae_jax.training.sharding import make_mesh, state_sharding


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    folder = tmp_path_factory.mktemp("sharded")
    return output_of("sharded", folder, cache=folder / "cache", XLA_FLAGS=flags)


def test_one_all_reduce_a_step(result):
    """Fails if a training step over examples sends anything but its gradients and metrics, all at once.

    Counted are the collective instructions of the compiled program of ten scanned steps, loops once; XLA has
    combined the all-reduce of each array into one.
    """
    assert result["compiled"]["8"]["collectives"] == {"all-reduce": 1}


@pytest.mark.parametrize("devices", ["8", "4x2"])
def test_training_computes_the_same_numbers(result, devices):
    """Fails if devices draw other batches or other noise, or weigh examples or gradients differently.

    The sums over a batch are taken in another order: 20 steps of Adam stay within 1e-5 of each loss, and within
    1e-5 of each parameter (they move by up to 2e-2).
    """
    np.testing.assert_allclose(result["losses"][devices], result["losses"]["1"], rtol=1e-5)
    np.testing.assert_allclose(result["params"][devices], result["params"]["1"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("devices", ["1", "8", "4x2"])
def test_streamed_training_computes_the_same_numbers(result, devices):
    """Fails if a chunk is not spread by examples, or pairs them with other noise. As above: 1e-5."""
    np.testing.assert_allclose(result["streamed"][devices], result["losses"]["1"], rtol=1e-5)


@pytest.mark.parametrize("devices", ["8", "4x2"])
def test_state_is_updated_in_place_where_it_lies(result, devices):
    """Fails if the compiled program does not alias all of a device's state (the program itself checks more: no
    donated buffer is in vain, the old state is gone, the new one lies where the old one lay)."""
    assert result["compiled"][devices]["aliased"] == result["bytes"][devices]


def test_wide_arrays_are_split_over_the_model_axis(result):
    """Fails if the rule does not reach the averages and the optimizer's moments, or if XLA gathers the state."""
    split = 4 * 64 * 64 * 4  # two 64x64 kernels: parameters, average, two moments of Adam, half of each
    assert result["bytes"]["8"] - result["bytes"]["4x2"] == 2 * split // 2
    assert result["bytes"]["1"] == result["bytes"]["8"]


def test_checkpoints_move_between_numbers_of_devices(result):
    """Fails if a state saved from 8 devices is another one on 2, on 4 times 2, on 1, or on 8 again."""
    assert len(result["moved"]) == 4
    for state in result["moved"]:
        np.testing.assert_array_equal(state, result["saved"])


def test_runs_spread_over_devices_compute_the_same_numbers(result):
    """Fails if a run of `train_many` depends on the device that it is on. Sums in another order: 1e-5."""
    np.testing.assert_allclose(result["many"]["8"], result["many"]["1"], rtol=1e-5)
    assert len(set(result["many"]["8"])) == 8


@pytest.mark.parametrize("estimator", ["elbo", "annealed"])
def test_evaluation_computes_the_same_numbers(result, estimator):
    """Fails if sharding changes the key of an example, drops the remainder, or counts padding.

    Neither 61 nor 11 examples divide by 8. Sums inside an example keep their order but for blocking: 1e-5.
    """
    one, eight = (result["evaluation"][devices][estimator] for devices in ("1", "8"))
    assert len(one) == {"elbo": 61, "annealed": 11}[estimator]
    np.testing.assert_allclose(eight, one, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((300, 400), P(None, "model")),  # the larger of two
        ((400, 301), P("model")),  # the only one that 4 divides
        ((512, 510), P("model")),
        ((512, 512), P("model")),  # the first of equals
        ((4, 4, 64, 128), P(None, None, None, "model")),
        ((301, 401), P()),  # none
        ((16, 16), P()),  # too small to be worth the sending
        ((), P()),
    ],
)
def test_rule_of_the_state(shape, expected):
    """Fails if another dimension is split than the largest that the axis divides, or a small array at all."""
    mesh = AbstractMesh((2, 4), ("data", "model"))
    placed = state_sharding(mesh, {"w": jax.ShapeDtypeStruct(shape, np.float32)}, min_size=1000)
    assert placed["w"].spec == expected
    unsplit = AbstractMesh((8, 1), ("data", "model"))
    assert state_sharding(unsplit, {"w": jax.ShapeDtypeStruct(shape, np.float32)})["w"].spec == P()


@pytest.mark.parametrize("model", [0, 7])
def test_model_axis_that_does_not_fit(model):
    """Fails if a mesh that cannot be made gives an error of the library below."""
    with pytest.raises(InputError, match=rf"model axis {model}: expected .* divides"):
        make_mesh(model=model)
