"""What a training step takes on a TPU, from its compiler alone: no TPU is needed.

    python -m experiments.tpu_report
    python -m experiments.tpu_report --topology v6e:2x4 --batch-sizes 512 8192

Compiles the training step of each model for the chips of a topology and prints a chip's floating-point operations,
the bytes it reads and writes in its memory, and the memory it needs. Needs Linux and libtpu (`pip install
'vae-jax[tpu]'`).
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.experimental import topologies
from jax.sharding import Mesh

from vae_jax import InputError, elbo, init_state, make_vae, per_example, train_step
from vae_jax.model import VAE
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae_jax.runs import run_command
from vae_jax.runs.markdown import table_lines
from vae_jax.training import TrainState
from vae_jax.training.sharding import make_mesh, over_examples, placed, replicated, state_sharding

OPTIMIZER = optax.adam(1e-3)


@dataclasses.dataclass(frozen=True)
class Config:
    """What a training step takes on a TPU."""

    topology: str = "v5e:2x2"
    """Kind of TPU and arrangement of its chips."""
    model_devices: int = 1
    """Chips over which wide layers are split; 1 gives every chip the whole model."""
    batch_sizes: tuple[int, ...] = (128, 1024, 8192)
    """Examples a step, of all chips together."""


def models() -> dict[str, tuple[VAE, tuple[int, ...]]]:
    """Each model by name, with the shape of its images."""
    mlp, wide, conv = (28, 28, 1), (32, 32, 1), (64, 64, 1)
    return {
        "MLP 784-400-20": (make_vae(MLPEncoder(20), MLPDecoder(mlp)), mlp),
        "MLP 1024-1200-1200-10": (
            make_vae(MLPEncoder(10, (1200, 1200)), MLPDecoder(wide, (1200, 1200))),
            wide,
        ),
        "conv 64x64 (Burgess et al.)": (make_vae(ConvEncoder(10), ConvDecoder(conv)), conv),
    }


def main(config: Config) -> str:
    """Compiles, prints a table in Markdown; returns it."""
    mesh = topology_mesh(config.topology, model=config.model_devices)
    print(f"{config.topology}, {mesh.size} chips, of each of them and for one step:\n")
    lines = []
    titles = ("model", "batch", "GFLOP", "MB read and written", "MB of memory")
    for line in table_lines(titles, _measured(mesh, config.batch_sizes)):
        print(line, flush=True)
        lines.append(line)
    print("\nThe memory holds the state (with Adam and the moving average) and the batch; the data come on top.")
    return "\n".join(lines)


def _measured(mesh: Mesh, batch_sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """A row of the table for each model and number of examples, when it is compiled."""
    for name, (vae, x_shape) in models().items():
        for batch_size in batch_sizes:
            if batch_size < 1 or batch_size % mesh.size:
                raise InputError(
                    f"batch size {batch_size}: expected a multiple of the number of chips, {mesh.size}"
                )
            program = training_step(mesh, vae, x_shape, batch_size)
            cost, memory = program.cost_analysis(), memory_per_chip(program)
            numbers = (cost["flops"] / 1e9, cost["bytes accessed"] / 1e6, memory / 1e6)
            yield name, f"{batch_size:,}", *(f"{number:,.1f}" for number in numbers)


def topology_mesh(topology: str, *, model: int = 1) -> Mesh:
    """A mesh of chips that need not be there. Raises InputError for an unknown topology, and without libtpu."""
    # libtpu only compiles here: it need not ask the network which TPU this is, nor keep it for one process.
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except Exception as error:  # of many types, by what is missing
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"topology {topology}: {lines[0][:200]}; expected a name such as v5e:2x2 or v6e:2x4, and libtpu "
            "(pip install 'vae-jax[tpu]', Linux only)"
        ) from error
    return make_mesh(model=model, devices=devices)


def training_step(mesh: Mesh, vae: VAE, x_shape: tuple[int, ...], batch_size: int) -> Any:
    """One update of a model, compiled for the chips of the mesh, with the state donated."""
    state = abstract_state(mesh, vae)
    shardings = jax.tree.map(lambda a: a.sharding, state)
    step = functools.partial(train_step, objective=per_example(elbo, vae), optimizer=OPTIMIZER)
    run = jax.jit(step, donate_argnums=0, out_shardings=(shardings, replicated(mesh)))
    batch = jax.ShapeDtypeStruct((batch_size, *x_shape), jnp.float32, sharding=over_examples(mesh))
    return run.lower(state, batch).compile()


def abstract_state(mesh: Mesh, vae: VAE) -> TrainState:
    """The shapes of a state and where it lies on a mesh whose devices need not be there."""
    shapes = jax.eval_shape(functools.partial(init_state, vae.init, OPTIMIZER), jax.random.key(0))
    return placed(shapes, state_sharding(mesh, shapes))


def memory_per_chip(program: Any) -> int:
    """Bytes of arguments, results that do not reuse them, and temporaries."""
    memory = program.memory_analysis()
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return kept + memory.temp_size_in_bytes


if __name__ == "__main__":
    logging.getLogger("jax").setLevel(logging.ERROR)
    run_command(main, Config, __doc__)
