"""The VAE of Kingma and Welling 2013 on MNIST, Fashion-MNIST, or your own images.

    python -m experiments.mnist
    python -m experiments.mnist --data fashion_mnist --out runs/fashion
    python -m experiments.mnist --data my_images.npz --out runs/mine
    python -m experiments.mnist --data larger_than_memory.npy --stream --out runs/streamed

784-400-20 with one hidden layer a side, dynamic binarization, batch 128, Adam 1e-3: after 20 epochs the test ELBO
is -99.4 nats with seed 0.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vae_jax import InputError, elbo, make_vae, per_example
from vae_jax.data.arrays import is_grey
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.splits import Splits, load_splits, stream_splits
from vae_jax.data.streaming import gather, stream, streamed_batches
from vae_jax.data.transforms import binarize, scale_to_unit, static_binarize
from vae_jax.networks import MLPDecoder, MLPEncoder, logit_bias
from vae_jax.runs.command import command_line
from vae_jax.runs.figures import write_figures
from vae_jax.runs.loop import RunConfig, train
from vae_jax.runs.processes import first_only
from vae_jax.runs.tasks import Task, beta_schedule, steps_per_epoch, test_examples


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how they become binary."""

    data: str = "mnist"
    """`mnist`, `fashion_mnist`, or a path: .npy or .npz of images, or a folder of images."""
    manual_dir: str | None = None
    """Folder that holds the four files of (Fashion-)MNIST, where there is no network."""
    data_dir: str | None = None
    """Where prepared data are kept; by default ~/tensorflow_datasets."""
    binarization: Literal["dynamic", "static", "none"] = "dynamic"
    """Dynamic: drawn again at every visit. Static: drawn once. None: grey values, no likelihood of them."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A fully connected VAE on (Fashion-)MNIST or your own images."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")] = RunConfig(out="runs/mnist")
    images: Annotated[DataConfig, tyro.conf.arg(name="")] = DataConfig()
    latent_size: int = 20
    hidden: tuple[int, ...] = (400,)
    """Sizes of the hidden layers, from the images to the latents; the decoder mirrors them."""
    activation: Literal["relu", "tanh"] = "relu"
    epochs: int = 20
    beta: float = 1.0
    """Weight of the rate (beta-VAE)."""
    beta_warmup: int = 0
    """Steps over which the weight of the rate grows from 0 to beta."""
    stream: bool = False
    """Read the images, a uint8 .npy file that may be larger than memory, while training on them."""


def main(config: Config) -> dict[str, Any]:
    """Trains, evaluates and draws; returns the summary."""
    task = make_task(config)
    params, summary = train(config, config.run, task)
    first_only(lambda: write_figures(config.run.out, task.vae, params, test_examples(task, 200)))
    return summary


def make_task(config: Config) -> Task:
    """The model, its objective and its data."""
    splits, transform = load_images(config.images, streamed=config.stream)
    x_shape = splits.test.images.shape[1:]
    images, batch_size = splits.train.images, config.run.batch_size
    epoch = steps_per_epoch(len(images), batch_size)
    if config.stream:
        # Ten thousand images from all over the file, or 64 MiB of large ones, stand for all of them.
        num = max(1, min(10_000, 2**26 // images[0].nbytes))
        some = gather(images, np.unique(np.linspace(0, len(images) - 1, num, dtype=int)))
        data = lambda put: stream(images, batch_size, put=put)  # noqa: E731
        next_batch = streamed_batches(transform)
    else:
        some, data, next_batch = images, images, shuffled_batches(batch_size, transform)
    pixel_means = np.asarray(scale_to_unit(some.mean(axis=0).astype(some.dtype)))
    layers = {"activation": getattr(jax.nn, config.activation), "dtype": jnp.dtype(config.run.precision)}
    vae = make_vae(
        MLPEncoder(config.latent_size, config.hidden, **layers),
        MLPDecoder(x_shape, config.hidden[::-1], output_bias=logit_bias(pixel_means), **layers),
    )
    beta = beta_schedule(config.beta, config.beta_warmup)
    return Task(
        name="mnist",
        vae=vae,
        objective=per_example(elbo, vae, beta=beta),
        next_batch=next_batch,
        transform=transform,
        train=data,
        validation=splits.validation.images,
        test=splits.test.images,
        num_steps=config.epochs * epoch,
        eval_every=epoch,
    )


def load_images(config: DataConfig, *, streamed: bool = False) -> tuple[Splits, Any]:
    """The splits, and the transform (key, x) -> x that makes the model's input of an image."""
    if streamed and config.binarization == "static":
        raise InputError(
            "binarization static: expected dynamic or none for a stream; a set drawn once is kept in memory"
        )
    splits = (
        stream_splits(config.data)
        if streamed
        else load_splits(config.data, data_dir=config.data_dir, manual_dir=config.manual_dir)
    )
    if config.binarization == "dynamic":
        return splits, binarize
    if config.binarization == "static":
        splits = Splits(*(s._replace(images=static_binarize(i, s.images)) for i, s in enumerate(splits)))
    elif is_grey(splits.validation.images):
        print(
            "warning: grey images under a Bernoulli likelihood: the loss is a cross-entropy, and its numbers are "
            "no log-likelihood and no ELBO; use --binarization dynamic for numbers that compare"
        )
    return splits, lambda key, x: scale_to_unit(x)


if __name__ == "__main__":
    command_line(main, Config, __doc__)
