"""What a run trains, and on what: the two things that a config makes.

A config is any frozen dataclass with a field `run: RunConfig` and the methods of `Config` below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae_jax.data.hashing import content_hash, split_hash
from vae_jax.data.leading import num_examples
from vae_jax.data.streaming import stream
from vae_jax.errors import InputError
from vae_jax.objectives import Loss, elbo, per_example
from vae_jax.runs.config import RunConfig

Transform = Callable[[jax.Array, Any], Any]  # key, stored example -> example of the model

# Evaluation draws the same binarizations and the same eps whatever the seed of the run, so that runs compare.
EVALUATION_SEED = 20131220
# Of a chunk of a stream; several are in memory at once.
CHUNK_BYTES = 2**26


def unchanged(key: jax.Array, example: Any) -> Any:
    """The transform that does nothing."""
    return example


class Data(NamedTuple):
    """Examples in three parts, and what there is to know of them.

    A part is a pytree of arrays [num_examples, ...]; `train` may be a `vae_jax.data.Source`, which is read while
    the run trains. An example of a `ConditionalVAE` is the pair (x, c).
    """

    train: Any
    validation: Any
    test: Any
    facts: Mapping[str, Any] = {}  # JSON: all that the model must know of the data to be built again without them
    factors: Any = None  # of the test examples, integers [num_test, k], where they are known
    examples: Any = None  # what parts that start from data are given; by default the training arrays
    described: Sequence[tuple[str, str]] = ()  # what was found, for the table that is printed before training


def _as_arrays(x: Any) -> Any:
    return jax.tree.map(np.asarray, x)


def _no_conditions(num: int, c: Any) -> Any:
    return None if c is None else np.asarray(c)


class Units(NamedTuple):
    """From numbers in their own units to those of the model and back: what a finished run needs of its data.

    `event`: the shape of one example. `store`: examples in own units -> as the data of the run are stored.
    `restore`: means or centres of the model, [N, *x] -> in own units, floats. `drawn`: samples of the model -> as
    data are stored. `conditions`: how many, c or None -> the conditions of the model. `log_levels`: as in
    `vae_jax.likelihoods.Reading`.
    """

    event: tuple[int, ...] = ()
    store: Callable[[Any], Any] = _as_arrays
    restore: Callable[[Any], Any] = _as_arrays
    drawn: Callable[[Any], Any] = _as_arrays
    conditions: Callable[[int, Any], Any] = _no_conditions
    log_levels: float | None = None

    def bits_per_dimension(self, log_likelihood: float) -> float | None:
        """(-log p(x) + D log_levels) / (D log 2), D the number of elements; None where there are no levels."""
        if self.log_levels is None:
            return None
        elements = math.prod(self.event)
        return (-log_likelihood + elements * self.log_levels) / (elements * math.log(2))


class Task(NamedTuple):
    """A model, what trains it, and how an example of the data becomes one of the model."""

    vae: Any  # a VAE or a ConditionalVAE
    loss: Loss | None = None  # params, key, batch, step -> Estimate; by default minus the ELBO
    transform: Transform = unchanged  # with noise of its own, as binarization
    optimizer: optax.GradientTransformation | None = None  # by default Adam at the run's learning rate
    optimizers: Mapping[str, optax.GradientTransformation] = {}  # of parameters by name, in place of that
    units: Units = Units()
    length_matters: bool = False  # whether anything depends on the length of the run, which then cannot change
    defaults: Mapping[
        str, Any
    ] = {}  # of the fields that a `RunConfig` leaves open, as {"patience": 10}, at its start


class Config(Protocol):
    """What `train`, `load_run` and `command_line` ask of a config, a frozen dataclass."""

    @property
    def run(self) -> RunConfig:
        """How it is trained, and where it is written."""

    def load_data(self) -> Data:
        """The data, read anew."""

    def make_task(self, facts: Mapping[str, Any], examples: Any = None) -> Task:
        """The model and what trains it; `examples` is None where a finished run is built again."""


def loss_of(task: Task) -> Loss:
    """What is minimized."""
    return per_example(elbo, task.vae) if task.loss is None else task.loss


def is_streamed(data: Data) -> bool:
    """Whether the training examples are a source that is read while the run trains, and no arrays."""
    return not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(data.train))


def num_train(data: Data) -> int:
    """The number of training examples."""
    return len(data.train) if is_streamed(data) else int(num_examples(data.train))


def starting_examples(data: Data) -> Any:
    """What parts that start from data are given: examples as they are stored, [N, ...]."""
    if data.examples is not None:
        return data.examples
    return None if is_streamed(data) else data.train


def hash_of(data: Data) -> str:
    """What tells whether two runs have the same data, however their path is spelled."""
    return split_hash(data.train, data.validation, data.test)


def check_same_data(folder: Any, began_with: str, data: Data, batch_size: int | None = None) -> None:
    """Raises InputError where a run began with other data.

    began_with: the hash that the run keeps. Runs begun before there was a hash of the whole split keep one of the
    training and test arrays, or of the first `batch_size` x 20 examples of a stream and the test arrays.
    """
    now = hash_of(data)
    if began_with in (now, _hash_of_before(data, batch_size)):
        return
    raise InputError(
        f"{folder} was begun with data of hash {began_with[:12]}, and these have {now[:12]}: expected the same, "
        "for with a file more or less the split into training and test is another; give the data it began with by "
        "--data"
    )


def first_batches(data: Data, batch_size: int, num_batches: int) -> Any:
    """The training arrays; of a stream, the first batches of a fixed order, which tell its size and content."""
    if not is_streamed(data):
        return data.train
    source = stream(data.train, batch_size, put=lambda chunk: chunk)
    with source(jax.random.key(0), 0, num_batches) as chunks:
        return next(chunks)


def batches_in_chunk(data: Data, batch_size: int, most: int) -> int:
    """How many batches of a stream are read at once: at most `most`, and no more than 64 MiB, but at least one."""
    if not is_streamed(data):
        return most
    batch_bytes = sum(array.nbytes for array in jax.tree.leaves(first_batches(data, batch_size, 1)))
    return int(max(1, min(most, CHUNK_BYTES // batch_bytes)))


def _hash_of_before(data: Data, batch_size: int | None) -> str | None:
    if not is_streamed(data):
        return content_hash((data.train, data.test))
    if batch_size is None:
        return None
    return content_hash((first_batches(data, batch_size, batches_in_chunk(data, batch_size, 20)), data.test))


def test_examples(transform: Transform, data: Data, num: int) -> Any:
    """The first test examples as the evaluation of the run saw them: the same binarization."""

    def transformed(i: jax.Array, example: Any) -> Any:
        key, _ = jax.random.split(jax.random.fold_in(jax.random.key(EVALUATION_SEED), i))
        return transform(key, example)

    first = jax.tree.map(lambda a: jnp.asarray(a[:num]), data.test)
    return jax.vmap(transformed)(jnp.arange(num_examples(first)), first)
