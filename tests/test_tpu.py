"""Programs for TPUs, compiled by the real compiler on a machine without one, and for GPUs, lowered."""

import platform
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.programs import output_of
from tests.programs.compiled import matrix_products
from vae_jax import elbo, init_state, make_vae, per_example, scan_steps, train_step
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.transforms import binarize
from vae_jax.networks import ConvDecoder, ConvEncoder

MEGABYTE = 2**20
CHIPS = ("v5e", "v6e")
STEPS = tuple(f"{what} on {chip}" for what in ("step", "epoch") for chip in CHIPS)
PROGRAMS = (*STEPS, *(f"{what} on {chip}" for what in ("annealing", "sampling") for chip in CHIPS))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("libtpu, the compiler for TPUs, has no wheel but for Linux on x86_64")
    return output_of("tpu", cache=tmp_path_factory.mktemp("tpu") / "cache")


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_leaves_the_chip(compiled, program):
    """Fails if a program waits for the host, or computes in float64, which TPUs emulate."""
    assert compiled[program]["host"] == []
    assert not compiled[program]["f64"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_collectives(compiled, program):
    """Fails if a step sends more than its gradients and metrics, all at once, or if examples wait for each other.

    Counted are collective instructions, loops once: in the epoch this is the number of a step.
    """
    assert compiled[program]["collectives"] == ({"all-reduce": 1} if program in STEPS else {})


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    ("program", "bound"),
    [
        ("step", 8 * MEGABYTE),  # a second state would be 10, the activations of 128 images are 2
        ("epoch", 8 * MEGABYTE),  # the same: neither the steps nor the data cost temporaries
        ("annealing", 8 * MEGABYTE),  # the latents of 256 chains at every temperature would be 20
        ("sampling", MEGABYTE),  # 256 samples are 0.8
    ],
)
def test_memory_of_temporaries(compiled, program, bound, chip):
    """Fails if a program keeps what it should not: the steps of a scan, a second state, every temperature.

    One step alone may have none: its activations fit into the memory inside the chip, which does not count.
    """
    assert compiled[f"{program} on {chip}"]["temporary"] < bound


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    ("program", "others"),
    [
        ("step", 512 // 4 * 784 * 4),  # the batch
        ("epoch", 60_000 * 784),  # the data; padded to tiles on the chip, so at least
    ],
)
def test_state_is_updated_in_place(compiled, program, others, chip):
    """Fails if any array of the state is copied instead of donated."""
    memory = compiled[f"{program} on {chip}"]
    assert memory["aliased"] >= compiled["state"]
    left = memory["arguments"] - memory["aliased"]
    assert others <= left < 1.2 * others


@pytest.mark.parametrize("chip", CHIPS)
def test_full_precision_on_the_chip(compiled, chip):
    """Fails if a product of annealing is left to bfloat16, or if training takes the choice from the user."""
    annealing, epoch = compiled[f"annealing on {chip}"], compiled[f"epoch on {chip}"]
    assert 0 < annealing["products"] == annealing["highest"]
    assert epoch["products"] > 0 == epoch["highest"]


def test_unknown_topology():
    """Fails if a wrong name gives pages of the library below; it needs a process of its own only to succeed."""
    from experiments.tpu_report import topology_mesh
    from vae_jax import InputError

    with pytest.raises(InputError, match=r"topology nonsense: .* expected a name such as v5e:2x2"):
        topology_mesh("nonsense")


def test_lowers_for_cuda():
    """Fails if scanned steps of a convolutional model use what GPUs lack, or the form that only CPUs want."""
    vae = make_vae(ConvEncoder(3), ConvDecoder((16, 16, 1)))
    optimizer = optax.adam(1e-3)
    state = jax.eval_shape(lambda key: init_state(vae.init, optimizer, key), jax.random.key(0))
    images = jax.ShapeDtypeStruct((20, 16, 16, 1), jnp.uint8)

    def step(state, batch):
        return train_step(state, batch, objective=per_example(elbo, vae), optimizer=optimizer)

    traced = scan_steps(step, shuffled_batches(4, binarize), 5).trace(state, images)
    dilated = {
        platform: sum("dilate = [2, 2]" in line for line in matrix_products(text))
        for platform in ("cuda", "cpu")
        if (text := traced.lower(lowering_platforms=(platform,)).as_text())
    }
    assert dilated["cuda"] > 0 == dilated["cpu"]
