"""`vae-jax train`: looks at data, says what it found and which model it takes and why, and trains it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vae_jax.cli import before
from vae_jax.cli.choices import defaults_for, fitted, latents_for, network_for, transform_of, units_of
from vae_jax.cli.facts import Facts, read_facts
from vae_jax.cli.going_on import (
    classes_before,
    facts_before,
    has_checkpoint,
    is_begun,
    parameters_of,
    reason_before,
)
from vae_jax.cli.ignored import check_none_ignored
from vae_jax.cli.reading import SPRITES, load_sprites, mean_image, of_run
from vae_jax.data import DATA_SETS, Form, Found, Kind, Layout, find, find_like
from vae_jax.errors import InputError, printable
from vae_jax.likelihoods import BernoulliPixels, Likelihood
from vae_jax.model import make_conditional_vae, make_vae, one_hot
from vae_jax.networks import Activation, logit_bias
from vae_jax.objectives import ELBO, Objective
from vae_jax.posteriors import DiagonalNormal, Posterior
from vae_jax.priors import Prior, StandardNormal
from vae_jax.runs.config import RunConfig
from vae_jax.runs.fields import MayChange, OfThisStart
from vae_jax.runs.shown import name_of
from vae_jax.runs.size import check_count
from vae_jax.runs.task import Data, Task

# Enough of them for the pseudo-inputs of a prior and for the marginals of a likelihood.
NUM_EXAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Trains a VAE on any data, evaluates it, and draws what it has learned."""

    data: MayChange[str]
    """A name, as `sprites`, `mnist`, `digits`, or a path: a folder of images, or .npy, .npz or .csv of anything."""
    run: RunConfig
    prior: Prior = StandardNormal()
    """p(z)."""
    posterior: Posterior = DiagonalNormal()
    """q(z|x)."""
    likelihood: Likelihood | None = None
    """p(x|z); by default the one that fits the data, which is printed."""
    objective: Objective = ELBO()
    """What is maximized."""
    network: Literal["mlp", "conv", "residual"] | None = None
    """Dense layers, strided convolutions, or residual blocks; by default as the data are, which is printed."""
    hidden: tuple[int, ...] | None = None
    """Dense layers of the encoder; the decoder mirrors them. By default as the network and the data are."""
    activation: Activation | None = None
    """Between the layers; by default relu, of residual networks gelu."""
    latent_size: int | None = None
    """Number of latents; by default 20, of a table at most as many as columns."""
    size: int | None = None
    """Side of the squares that images are resized to; by default as they are, or one for photos that differ."""
    form: Form | None = None
    """What the data are, images, a table or series; by default as they look, which is printed."""
    kinds: tuple[str, ...] = ()
    """Kinds of columns of a table, as `age=count`, in place of those that are found."""
    label: str | None = None
    """The column of a table, or the array of a file, that holds labels."""
    conditional: bool = False
    """Model examples given their labels, p(x|c)."""
    num_classes: int | None = None
    """Of the labels; by default as many as there are."""
    split: Literal["random", "time"] = "random"
    """How own data are cut into training, validation and test: at random, or in their order, the last the test."""
    validation: MayChange[str | None] = None
    """Path of the validation data, in place of a part of the training data."""
    test: MayChange[str | None] = None
    """Path of the test data, in place of a part of the training data."""
    from_run: Annotated[MayChange[str | None], tyro.conf.arg(name="from")] = None
    """Folder of a finished run to go on from with these data: its model, its parameters and its units."""
    binarization: Literal["dynamic", "static", "none"] = "dynamic"
    """Under likelihood:bernoulli-pixels, which `static` chooses: drawn at every visit, once, or not at all."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the computation inside the networks; parameters, likelihoods and sums are float32 in both."""
    stream: bool = False
    """Read the data, which may be larger than memory, while training on them: a .npy file or a folder of images."""
    manual_dir: OfThisStart[str | None] = None
    """Folder that holds the original files of a data set by name, where there is no network."""
    data_dir: OfThisStart[str | None] = None
    """Where prepared data are kept; by default ~/tensorflow_datasets."""

    def load_data(self) -> Data:
        """The examples, or the numbers of the sprites, in three parts."""
        # A run that has begun, perhaps by an earlier version, is not refused for what it never read.
        if not is_begun(self.run.out):
            check_none_ignored(self)
        if self.data == SPRITES:
            size = 32 if self.size is None else self.size
            if self.from_run is not None:
                size = facts_before(self.from_run, self.run.out).layout.event[0]
            return load_sprites(size)
        static = self.binarization == "static"
        if static and not isinstance(self.likelihood or BernoulliPixels(), BernoulliPixels):
            raise InputError("--binarization static: expected likelihood:bernoulli-pixels or none; leave out one")
        if self.stream and (static or self.conditional):
            raise InputError(
                f"--stream of {self.data}: expected neither --binarization static nor --conditional, for labels "
                "and a set drawn once are kept in memory; leave out one of the two"
            )
        num_classes, look = self.num_classes, None
        if self.from_run is None:
            found = self._found()
        else:
            earlier = facts_before(self.from_run, self.run.out)
            num_classes = classes_before(earlier, self.conditional, num_classes)
            found, look = self._found_like(earlier.layout, num_classes), earlier.look
        if static and (found.layout.form != "images" or found.layout.missing):
            raise InputError(
                f"--binarization static of {printable(self.data)}: expected images without gaps; leave it out"
            )
        return of_run(
            found,
            static=static,
            conditional=self.conditional,
            num_classes=num_classes,
            num_train=len(found.train.values),
            before=look,
        )

    def make_task(self, facts: Mapping[str, Any], examples: Any = None) -> Task:
        """The model of such data and its objective. examples: stored ones, for parts that start from data."""
        known = read_facts(facts)
        reason = None if examples is None else reason_before(self, "likelihood", "binarization")
        on_data = fitted(self.likelihood, known, self.binarization, reason)
        latent_size, of_latents = latents_for(known, self.latent_size)
        network, of_network = network_for(known, self.network, self.hidden, self.activation)
        event, z_shape = known.layout.event, self.posterior.event(latent_size)
        likelihood = on_data.likelihood
        num_parameters = network.at_least(
            event,
            latents=math.prod(z_shape),
            posterior_size=math.prod(z_shape[:-1]) * self.posterior.size(z_shape[-1]),
            likelihood_size=likelihood.size(event[-1]),
            context=known.num_classes or 0,
        )
        check_count(max(num_parameters, math.prod(event)))
        transform = transform_of(dataclasses.replace(known, num_classes=None), on_data)
        parts: dict[str, Any] = {
            "prior": self.prior,
            "posterior": self.posterior,
            "likelihood": likelihood,
        }
        bias = None
        if examples is not None:
            wanted = max(NUM_EXAMPLES, getattr(self.prior, "components", 0))
            started = _started(transform, examples, min(len(examples), wanted))
            parts["examples"] = started[0] if on_data.sized else started
            if isinstance(likelihood, BernoulliPixels):
                bias = logit_bias(mean_image(known, examples))
        networks = network.networks(latent_size, event, dtype=jnp.dtype(self.precision), output_bias=bias)
        if examples is not None:
            layers = " ".join(map(str, networks[0].hidden))
            print(f"likelihood: {on_data.chosen}")
            of_network = reason_before(self, "network", "hidden", "activation") or of_network
            print(f"network: {name_of(type(network))} with dense layers of {layers or 'no size'}, {of_network}")
            print(f"latents: {latent_size}, {reason_before(self, 'latent_size') or of_latents}")
        vae = self._vae(known, on_data.sized, networks, parts)
        if self.from_run is not None and examples is not None and not has_checkpoint(self.run.out):
            vae = vae._replace(init=parameters_of(self.from_run, vae, TrainConfig))
        trained = self.objective.bind(vae, z_shape, known.num_train)
        return Task(
            trained.vae,
            trained.loss,
            transform_of(known, on_data),
            optimizers=trained.optimizers,
            units=units_of(known, on_data),
            defaults={} if self.data in (SPRITES, *DATA_SETS) else defaults_for(known, self.run.optimizer),
        )

    @staticmethod
    def upgraded(content: dict[str, Any]) -> dict[str, Any]:
        """A config.json of an earlier version in today's form."""
        return before.nested(content) if "experiment" in content else content

    def _found(self) -> Found:
        for named in self.kinds:
            if "=" not in named:
                raise InputError(f"kinds {named}: expected a column and its kind, as age=count")
        kinds = {name: kind for name, _, kind in (named.rpartition("=") for named in self.kinds)}
        for name, kind in kinds.items():
            if kind not in get_args(Kind):
                raise InputError(f"kinds {name}={kind}: expected one of {', '.join(get_args(Kind))}")
        return find(
            self.data,
            form=self.form,
            kinds=kinds or None,  # type: ignore[arg-type]
            label=self.label,
            size=self.size,
            split=self.split,
            validation=self.validation,
            test=self.test,
            stream=self.stream,
            data_dir=self.data_dir,
            manual_dir=self.manual_dir,
        )

    def _found_like(self, layout: Layout, num_classes: int | None) -> Found:
        return find_like(
            self.data,
            layout,
            labels=self.conditional,
            num_classes=num_classes,
            split=self.split,
            validation=self.validation,
            test=self.test,
            data_dir=self.data_dir,
            manual_dir=self.manual_dir,
        )

    def _vae(self, facts: Facts, sized: bool, networks: tuple[Any, Any], parts: dict[str, Any]) -> Any:
        classes = facts.num_classes
        if classes is None and not sized:
            return make_vae(*networks, **parts)
        if classes is None:
            return make_conditional_vae(
                *networks, condition=lambda c: None, size=lambda c: c, example_c=1.0, **parts
            )
        embed = one_hot(classes)
        if not sized:
            return make_conditional_vae(*networks, condition=embed, **parts)
        return make_conditional_vae(
            *networks, condition=lambda c: embed(c[0]), size=lambda c: c[1], example_c=(0, 1.0), **parts
        )


def _started(transform: Any, examples: Any, num: int) -> Any:
    """Examples of the model from all over the stored ones: [num, *x]."""
    chosen = jnp.asarray(examples[np.unique(np.linspace(0, len(examples) - 1, num, dtype=int))])
    keys = jax.random.split(jax.random.key(0), len(chosen))
    # On the host: `init` reads them while it is traced, where arrays of JAX would be unknown.
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(transform))(keys, chosen))
