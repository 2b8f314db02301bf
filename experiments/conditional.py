"""A conditional VAE on MNIST with the digit as the condition (Sohn et al. 2015).

    python -m experiments.conditional

Writes class-conditional samples, one row a digit, and analogies: the style of one image in all ten digits.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.mnist import DataConfig, load_images
from vae_jax import elbo, make_conditional_vae, one_hot, per_example, plots, sample_means
from vae_jax.data.batches import shuffled_batches
from vae_jax.data.splits import check_labels
from vae_jax.data.transforms import scale_to_unit
from vae_jax.networks import MLPDecoder, MLPEncoder, logit_bias
from vae_jax.paths import as_path
from vae_jax.runs.command import command_line
from vae_jax.runs.folder import read_rows
from vae_jax.runs.loop import RunConfig, train
from vae_jax.runs.processes import first_only
from vae_jax.runs.tasks import Task, steps_per_epoch, test_examples


@dataclasses.dataclass(frozen=True)
class Config:
    """A fully connected conditional VAE, the label as the condition."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")] = RunConfig(out="runs/conditional")
    images: Annotated[DataConfig, tyro.conf.arg(name="")] = DataConfig()
    num_classes: int = 10
    latent_size: int = 20
    hidden: tuple[int, ...] = (400,)
    """Sizes of the hidden layers, from the images to the latents; the decoder mirrors them."""
    epochs: int = 20


def main(config: Config) -> dict[str, Any]:
    """Trains, evaluates and draws; returns the summary."""
    task = make_task(config)
    params, summary = train(config, config.run, task)
    first_only(lambda: write_figures(config, task, params))
    return summary


def make_task(config: Config) -> Task:
    """The model, its objective and its data."""
    splits, transform = load_images(config.images)
    train_data, validation, test = ((s.images, check_labels(s, config.num_classes)) for s in splits)
    images = splits.train.images
    pixel_means = np.asarray(scale_to_unit(images.mean(axis=0).astype(images.dtype)))
    dtype = jnp.dtype(config.run.precision)
    cvae = make_conditional_vae(
        MLPEncoder(config.latent_size, hidden=config.hidden, dtype=dtype),
        MLPDecoder(images.shape[1:], hidden=config.hidden[::-1], output_bias=logit_bias(pixel_means), dtype=dtype),
        condition=one_hot(config.num_classes),
    )

    def transform_pair(key: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, c = pair
        return transform(key, x), c

    epoch = steps_per_epoch(len(images), config.run.batch_size)
    return Task(
        name="conditional",
        vae=cvae,
        objective=per_example(elbo, cvae),
        next_batch=shuffled_batches(config.run.batch_size, transform_pair),
        transform=transform_pair,
        train=train_data,
        validation=validation,
        test=test,
        num_steps=config.epochs * epoch,
        eval_every=epoch,
    )


def write_figures(config: Config, task: Task, params: Any) -> None:
    """Samples of each class, and the style of test images in every class."""
    folder, classes, cvae = as_path(config.run.out) / "figures", jnp.arange(config.num_classes), task.vae

    # Without the same key for each class the rows would differ in style as well as in class.
    def row(c: jax.Array) -> jax.Array:
        return sample_means(cvae.given(c), params, jax.random.key(config.run.seed), 10)

    def analogy(x: jax.Array, c: jax.Array) -> jax.Array:
        z = cvae.given(c).encode(params, x).mean()
        return jax.vmap(lambda other: cvae.given(other).decode(params, z).mean())(classes)

    x, c = test_examples(task, 10)
    changed = jnp.concatenate([x[:, None], jax.vmap(analogy)(x, c)], axis=1)
    names = [str(c) for c in range(config.num_classes)]
    samples = plots.image_grid(
        jax.vmap(row)(classes), title="Samples of each class, one z a column", row_labels=names
    )
    styles = plots.image_grid(
        changed, title="The style of an image in every class", column_labels=["image", *names]
    )
    plots.save(samples, folder / "samples_by_class.png")
    plots.save(styles, folder / "style_in_all_classes.png")
    plots.save(plots.training_curves(read_rows(as_path(config.run.out))), folder / "training.png")
    print(f"figures: {folder}")


if __name__ == "__main__":
    command_line(main, Config, __doc__)
