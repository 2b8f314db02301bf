"""The figures of a finished run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax import plots
from vae_jax.distributions import Observed, center
from vae_jax.errors import InputError, printable
from vae_jax.latents import interpolate, rate_per_latent, reconstruct, sample_means, spherical, traverse
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.paths import as_path
from vae_jax.runs.finished import Finished
from vae_jax.runs.folder import read_rows
from vae_jax.runs.task import Data, test_examples

Array = jax.Array
NUM_EXAMPLES, COLUMNS, LONGEST_NAME = 200, 10, 20


def write_figures(run: Finished, data: Data) -> None:
    """Draws a run into its folder's `figures`: training curves, and where examples are images what it does to them.

    Of a conditional model whose condition is a class: samples of each class, and the style of images in every one.
    """
    folder = as_path(run.folder) / "figures"
    plots.save(plots.training_curves(read_rows(as_path(run.folder))), folder / "training.png")
    examples = test_examples(run.transform, data, NUM_EXAMPLES)
    conditional = isinstance(run.model, ConditionalVAE)
    x = examples[0] if conditional else examples
    classes = run.facts.get("num_classes")
    if not _are_images(x):
        print(f"examples are no images: of the figures only the training curves are drawn ({printable(folder)})")
        return
    if conditional and not isinstance(classes, int):
        print(
            f"conditions are no classes: figures other than the training curves are left out ({printable(folder)})"
        )
        return
    shown = _from_black_to_white(_pixels(x), levels=run.units.log_levels == 0)
    if conditional and isinstance(classes, int):
        found = _of_classes(run, x, examples[1], classes, shown)
    else:
        found = _of_images(run.model, run.params, x, shown)
    for name, figure in found.items():
        plots.save(figure, folder / f"{name}.png")
    print(f"figures: {printable(folder)}")


def mean_rates(vae: VAE, params: Any, x: Any) -> Float[Array, " d"] | None:
    """The rate of each latent averaged over examples, [d]; None where the rate is no sum over latents.

    x: [N, *event].
    """

    def rates(params: Any, x: Any) -> Array:
        return jnp.mean(jax.vmap(lambda x: rate_per_latent(vae, params, x))(x), axis=0)

    try:
        return jnp.asarray(jax.jit(rates)(params, x))
    except InputError:
        return None


def _from_black_to_white(x: Array, *, levels: bool = False) -> Callable[[Any], Array]:
    """From values of such images to levels in [0, 1]; of real numbers black is the least of x, white the most.

    levels: whether the values are those of 8 bits. What is missing in an image is 0.
    """
    low, high = (0.0, 255.0) if levels else (float(jnp.min(x)), float(jnp.max(x)))
    if low >= 0 and high <= 1:
        return _pixels
    if not levels:
        print(f"figures: black is {low:.3g}, and white {high:.3g}, the range of the examples")
    return lambda a: (_pixels(a) - low) / max(high - low, 1e-30)


def _pixels(x: Any) -> Any:
    return x.value if isinstance(x, Observed) else x


def _of_images(vae: VAE, params: Any, x: Array, shown: Callable[[Array], Array]) -> dict[str, Any]:
    """Reconstructions, samples, interpolations and traversals. x: [N, H, W, C], N at least 2."""
    half = min(8, len(_pixels(x)) // 2)

    @jax.jit
    def pictures(params: Any, key: Array, x: Array) -> tuple[Array, ...]:
        first, ends, others = (_rows(x, rows) for rows in (slice(2 * half), slice(half), slice(half, 2 * half)))
        key, reconstruct_key = jax.random.split(key)
        keys = jax.random.split(reconstruct_key, 2 * half)
        x_hat = jax.vmap(lambda k, x: reconstruct(vae, params, k, x))(keys, first)
        samples = sample_means(vae, params, key, 64)
        paths = jax.vmap(lambda a, b: interpolate(vae, params, a, b, path=spherical))(ends, others)
        return x_hat, samples, paths, traverse(vae, params, center(vae.encode(params, _rows(x, 0))))

    x_hat, samples, paths, moved = pictures(params, jax.random.key(0), x)
    return {
        "reconstructions": plots.reconstructions(shown(_rows(x, slice(2 * half))), shown(x_hat)),
        "samples": plots.prior_samples(shown(samples)),
        "interpolations": plots.interpolations(shown(paths)),
        "traversals": plots.traversals(shown(moved), mean_rates(vae, params, x)),
    }


def _of_classes(
    run: Finished, x: Array, c: Array, num_classes: int, shown: Callable[[Array], Array]
) -> dict[str, Any]:
    cvae, params, classes = run.model, run.params, jnp.arange(num_classes)

    # Without the same key for each class the rows would differ in style as well as in class.
    def row(c: Array) -> Any:
        return sample_means(cvae.given(c), params, jax.random.key(run.config.run.seed), COLUMNS)

    def analogy(x: Array, c: Array) -> Any:
        z = center(cvae.given(c).encode(params, x))
        return jax.vmap(lambda other: center(cvae.given(other).decode(params, z)))(classes)

    x, c = _rows(x, slice(COLUMNS)), c[:COLUMNS]
    changed = jnp.concatenate([_pixels(x)[:, None], _pixels(jax.jit(jax.vmap(analogy))(x, c))], axis=1)
    names = class_names(run.facts, num_classes)
    return {
        "samples_by_class": plots.image_grid(
            shown(jax.jit(jax.vmap(row))(classes)),
            title="Samples of each class, the same noise in a column",
            row_labels=names,
        ),
        "style_in_all_classes": plots.image_grid(
            shown(changed), title="The style of an image in every class", column_labels=["image", *names]
        ),
    }


def class_names(facts: Mapping[str, Any], num_classes: int) -> list[str]:
    """What the labels 0 to num_classes - 1 are called, by `classes` of the facts or their layout, else numbers."""
    layout = facts.get("layout")
    named = facts.get("classes") or (layout.get("classes") if isinstance(layout, Mapping) else None)
    given = [printable(name) for name in named] if isinstance(named, list | tuple) else []
    names = (given + [str(c) for c in range(len(given), num_classes)])[:num_classes]
    return [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]


def _rows(x: Any, rows: Any) -> Any:
    return jax.tree.map(operator.itemgetter(rows), x)


def _are_images(x: Any) -> bool:
    leaves = jax.tree.leaves(_pixels(x))
    shape = np.shape(leaves[0]) if len(leaves) == 1 else ()
    return len(shape) == 4 and shape[-1] in (1, 3) and shape[0] >= 2
