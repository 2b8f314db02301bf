"""`vae-jax train`: a choice of prior, posterior, likelihood and objective on sprites, MNIST or one's own images."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.cli import before
from vae_jax.cli.images import (
    SPRITES,
    ImageFacts,
    default_likelihood,
    described,
    load_images,
    load_sprites,
    mean_image,
    transform_of,
)
from vae_jax.errors import InputError
from vae_jax.likelihoods import BernoulliPixels, Likelihood, NormalPixels
from vae_jax.model import make_conditional_vae, make_vae, one_hot
from vae_jax.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, logit_bias
from vae_jax.objectives import ELBO, Objective
from vae_jax.posteriors import DiagonalNormal, Posterior
from vae_jax.priors import Prior, StandardNormal
from vae_jax.runs.config import RunConfig
from vae_jax.runs.fields import MayChange, OfThisStart
from vae_jax.runs.json_config import from_json
from vae_jax.runs.size import check_count
from vae_jax.runs.task import Data, Task

# Enough of them for the pseudo-inputs of a prior and for the marginals of a likelihood.
NUM_EXAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Trains a VAE on images, evaluates it, and draws what it has learned."""

    data: MayChange[str]
    """`sprites`, `mnist`, `fashion_mnist`, or a path: .npy or .npz of images, or a folder of images."""
    run: RunConfig
    prior: Prior = StandardNormal()
    """p(z)."""
    posterior: Posterior = DiagonalNormal()
    """q(z|x)."""
    likelihood: Likelihood | None = None
    """p(x|z); by default the one that fits the data, which is printed."""
    objective: Objective = ELBO()
    """What is maximized."""
    network: Literal["mlp", "conv"] = "mlp"
    """Fully connected, or convolutional as in Burgess et al. 2018."""
    hidden: tuple[int, ...] | None = None
    """Dense layers of the encoder; the decoder mirrors them. By default 400, beyond 28x28 512 256, conv 256 256."""
    activation: Literal["relu", "tanh", "gelu", "silu"] = "relu"
    """Between the layers."""
    latent_size: int = 20
    """Number of latents."""
    size: int | None = None
    """Side of the squares that images are resized to; by default as they are, sprites 32."""
    conditional: bool = False
    """Model images given their labels, p(x|c)."""
    num_classes: int | None = None
    """Of the labels; by default as many as there are."""
    binarization: Literal["dynamic", "static", "none"] = "dynamic"
    """Under likelihood:bernoulli-pixels, which `static` chooses: drawn at every visit, once, or not at all."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation inside the networks; parameters, likelihoods and sums are float32 in both."""
    stream: bool = False
    """Read the images, a uint8 .npy file that may be larger than memory, while training on them."""
    manual_dir: OfThisStart[str | None] = None
    """Folder that holds the four files of (Fashion-)MNIST, where there is no network."""
    data_dir: OfThisStart[str | None] = None
    """Where prepared data are kept; by default ~/tensorflow_datasets."""

    def load_data(self) -> Data:
        """The images, or the numbers of the sprites, in three parts."""
        if self.data == SPRITES:
            if self.conditional or self.stream:
                raise InputError("sprites: expected neither --conditional, for they have no labels, nor --stream")
            return load_sprites(32 if self.size is None else self.size)
        return load_images(
            self.data,
            size=self.size,
            streamed=self.stream,
            static=self.binarization == "static"
            and isinstance(self.likelihood or BernoulliPixels(), BernoulliPixels),
            real=isinstance(self.likelihood, NormalPixels),
            num_classes=self.num_classes,
            conditional=self.conditional,
            data_dir=self.data_dir,
            manual_dir=self.manual_dir,
        )

    def make_task(self, facts: Mapping[str, Any], examples: Any = None) -> Task:
        """The model of such images and its objective. examples: stored images, for parts that start from data."""
        known = from_json(ImageFacts, dict(facts), at="data.json")
        likelihood = self.likelihood or default_likelihood(known, self.binarization)
        if examples is not None:
            self._tell(known, likelihood)
        check_count(self._at_least(known, likelihood))
        transform = transform_of(known, likelihood, self.binarization)
        parts: dict[str, Any] = {"prior": self.prior, "posterior": self.posterior, "likelihood": likelihood}
        bias = None
        if examples is not None:
            wanted = max(NUM_EXAMPLES, getattr(self.prior, "components", 0))
            parts["examples"] = _started(transform, examples, min(len(examples), wanted))
            if isinstance(likelihood, BernoulliPixels):
                bias = logit_bias(mean_image(known, examples))
        networks = self._networks(known, likelihood, bias)
        if known.num_classes is None:
            vae: Any = make_vae(*networks, **parts)
        else:
            vae = make_conditional_vae(*networks, condition=one_hot(known.num_classes), **parts)
        trained = self.objective.bind(vae, self.posterior.event(self.latent_size), known.num_train)
        if known.num_classes is None:
            seen = transform
        else:

            def seen(key: jax.Array, pair: Any) -> Any:
                return transform(key, pair[0]), pair[1]

        return Task(trained.vae, trained.loss, seen, optimizers=trained.optimizers)

    @staticmethod
    def upgraded(content: dict[str, Any]) -> dict[str, Any]:
        """A config.json of an earlier version in today's form."""
        return before.nested(content) if "experiment" in content else content

    def _networks(self, facts: ImageFacts, likelihood: Likelihood, bias: Any) -> tuple[Any, Any]:
        hidden = self._hidden(facts)
        options = {"activation": getattr(jax.nn, self.activation), "dtype": jnp.dtype(self.precision)}
        encoder, decoder = (ConvEncoder, ConvDecoder) if self.network == "conv" else (MLPEncoder, MLPDecoder)
        return (
            encoder(self.latent_size, hidden=hidden, **options),
            decoder(facts.x_shape, hidden=hidden[::-1], output_bias=bias, **options),
        )

    def _hidden(self, facts: ImageFacts) -> tuple[int, ...]:
        if self.hidden is not None:
            return self.hidden
        if self.network == "conv":
            return (256, 256)
        return (400,) if math.prod(facts.x_shape) <= 28 * 28 else (512, 256)

    def _at_least(self, facts: ImageFacts, likelihood: Likelihood) -> int:
        """A number of parameters that the model exceeds: by arithmetic, for the sizes may be any numbers."""
        *positions, channels = facts.x_shape
        pixels, context = math.prod(facts.x_shape), facts.num_classes or 0
        hidden = self._hidden(facts)
        into, out = pixels, math.prod(positions) * likelihood.size(channels)
        if self.network == "conv":
            into = out = min(pixels, 16 * 32)
        encoder = (into + context, *hidden, self.posterior.size(self.latent_size))
        decoder = (self.latent_size + context, *hidden[::-1], out)
        layers = [abs(a * b) for sizes in (encoder, decoder) for a, b in itertools.pairwise(sizes)]
        return max(sum(layers), pixels)

    def _tell(self, facts: ImageFacts, likelihood: Likelihood) -> None:
        if self.likelihood is None and facts.stored != "sprites":
            print(described(likelihood, facts, self.binarization))
        grey = facts.look != "binary" and facts.stored != "sprites"
        if isinstance(likelihood, BernoulliPixels) and self.binarization == "none" and grey:
            print(
                "warning: grey images under a Bernoulli likelihood: the loss is a cross-entropy, and its numbers "
                "are no log-likelihood and no ELBO; use likelihood:normal-pixels, or for images that are nearly "
                "black and white --binarization dynamic"
            )


def _started(transform: Any, examples: Any, num: int) -> Any:
    """Examples of the model from all over the stored ones: [num, *x]."""
    chosen = jnp.asarray(examples[np.unique(np.linspace(0, len(examples) - 1, num, dtype=int))])
    keys = jax.random.split(jax.random.key(0), len(chosen))
    # On the host: `init` reads them while it is traced, where arrays of JAX would be unknown.
    return np.asarray(jax.jit(jax.vmap(transform))(keys, chosen))
