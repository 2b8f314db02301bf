"""Public functions under jaxtyping's import hook: each with the shapes of its signature, and with a wrong one.

Prints {name: [what the right call raised or null, what the wrong call raised or null]}, and the names of functions
and distributions whose signatures have shapes, all of which must have a row.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import sys
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray, install_import_hook, jaxtyped

FACES = ("disentanglement", "latents", "distributions", "evidence", "plots", "evaluation", "objectives", "priors")
FACES += ("posteriors", "likelihoods", "networks", "training", "data", "model", "numerics")
# Modules that are imported by their own names, for no face has what is in them.
FACES += (
    "fast.activations",
    "fast.bits",
    "fast.products",
    "fast.same_conv",
    "fast.stirling",
    "fast.strided",
    "testing.oracles",
)
CHECKED = [f"vae_jax.{face}" for face in FACES if face != "data"]
CHECKED += [f"vae_jax.data.{module}" for module in ("transforms", "sampling", "sprites", "images", "streaming")]
CHECKED += ["vae_jax.data.batches", "vae_jax.data.splits"]

# A test that imports this module for its cases gets the functions as they are.
with install_import_hook(CHECKED, "beartype.beartype") if __name__ == "__main__" else contextlib.nullcontext():
    import jax
    import jax.numpy as jnp
    import matplotlib.figure
    import optax

    from vae_jax import (
        data,
        disentanglement,
        distributions,
        evaluation,
        evidence,
        latents,
        likelihoods,
        model,
        networks,
        numerics,
        objectives,
        plots,
        posteriors,
        priors,
        training,
    )
    from vae_jax.data.columns import Column
    from vae_jax.errors import InputError
    from vae_jax.fast import activations, bits, products, same_conv, stirling, strided
    from vae_jax.testing import oracles

# Known to type checkers only, for matplotlib takes long to import.
plots.figures.Figure = matplotlib.figure.Figure

rng = np.random.default_rng(0)
KEY = jax.random.key(0)
Z, V = rng.normal(size=(24, 3)), rng.integers(0, 2, size=(24, 2))
TEST = {"test_codes": Z[:10], "test_factors": V[:10]}
SPLIT = {"codes": Z, "factors": V, **TEST}
TABLE = rng.uniform(size=(3, 2)).astype(np.float32)
GROUPS = {"groups": rng.normal(size=(6, 4, 3)), "fixed": np.arange(6) % 2, "scale": np.ones(3)}
GROUPS |= {"test_groups": GROUPS["groups"][:5], "test_fixed": GROUPS["fixed"][:5]}
PAIRS = {"pairs": rng.normal(size=(6, 4, 2, 3)), "fixed": np.arange(6) % 2}
PAIRS |= {"test_pairs": PAIRS["pairs"][:5], "test_fixed": PAIRS["fixed"][:5]}
MODELS = {"codes": rng.normal(size=(2, 24, 3)), "rates": np.ones((2, 3))}
DRAWN = {"key": KEY, "factors": V, "num_groups": 4, "group_size": 3}
IMAGES = rng.uniform(size=(4, 5, 6, 1))
ROWS = rng.uniform(size=(2, 3, 5, 6, 1))
LINE = {"z0": jnp.ones(3), "z1": jnp.arange(3.0), "t": jnp.float32(0.5)}
LOC, SCALE = jnp.asarray(Z, jnp.float32), jnp.ones((24, 3))
AIS = {"num_temperatures": 3, "num_chains": 2, "num_leapfrog": 1, "step_sizes": jnp.full(2, 0.1)}
VAE_ = oracles.linear_gaussian_vae(4, 2)
PARAMS = oracles.best_diagonal(
    {"W": np.ones((4, 2), np.float32) * [[1.0, 0.5]], "b": np.zeros(4), "log_s2": np.float32(0)}
)
ONE = {"vae": VAE_, "params": PARAMS, "key": KEY, "x": jnp.ones(4)}
FLAT = (lambda z: -jnp.sum(z**2),)
STATE = {"log_densities": FLAT, "state": evidence.hmc_init(FLAT, jnp.ones(2)), "step_size": 0.1, "num_leapfrog": 1}
BATCH = {"vae": VAE_, "params": PARAMS, "key": KEY, "batch": jnp.ones((3, 4))}
DISCRIMINATED = objectives.with_discriminator(VAE_, networks.Discriminator((3,)), 2)
# Of their shapes: to draw them costs half a second of compilation.
SHAPES = jax.eval_shape(networks.Discriminator((3,)).init, KEY, jnp.zeros(2))
BOTH = {"vae": PARAMS, "discriminator": jax.tree.map(lambda a: np.ones(a.shape, a.dtype), SHAPES)}
DIP = BATCH | {"lambda_off_diagonal": 1.0, "lambda_diagonal": jnp.float32(1)}
POINTS = jnp.stack([jnp.arange(4.0), jnp.ones(4)])
IMAGE, KERNEL = jnp.ones((4, 6, 2)), jnp.ones((4, 4, 2, 3))
WORDS = jnp.arange(3, dtype=jnp.uint32)
CONTEXT = {"context": jnp.ones(5)}
COUNTS = (likelihoods.Poisson(), likelihoods.NegativeBinomial(), likelihoods.ZeroInflatedNegativeBinomial())
COLUMNS = [
    Column("a", "real"),
    Column("b", "positive"),
    Column("c", "count"),
    Column("d", "categorical", ("x", "y")),
]
MIXED = likelihoods.MixedColumns(tuple(COLUMNS))


def bootstrap(codes: Any, factors: Any) -> Any:
    return disentanglement.bootstrap_interval(lambda z, v: 1.0, KEY, codes, factors, num_resamples=2)


def normal(loc: Any, scale: Any) -> Any:
    return _every_method(distributions.Normal(loc, scale), jnp.ones(3))


def multivariate_normal(loc: Any, scale_tril: Any) -> Any:
    return _every_method(distributions.MultivariateNormal(loc, scale_tril), jnp.ones(3))


def bernoullis(logits: Any, x: Any) -> Any:
    return _every_method(distributions.Bernoulli(logits), x)


def unit_interval(logits: Any, x: Any) -> Any:
    return _every_method(distributions.ContinuousBernoulli(logits), x)


def heavy_tails(loc: Any, scale: Any) -> Any:
    _every_method(distributions.Laplace(loc, scale), jnp.ones(3))
    return _every_method(distributions.StudentT(jnp.float32(5), loc, scale), jnp.ones(3))


def levels(loc: Any, scale: Any) -> Any:
    return _every_method(distributions.DiscretizedLogistic(loc, scale), jnp.ones(3))


def categorical(logits: Any) -> Any:
    return _every_method(distributions.Categorical(logits), jnp.ones(3))


def logistic_mixture(logits: Any) -> Any:
    own = jnp.ones((1, *logits.shape))
    d = distributions.LogisticMixture(logits, own, own, own[:0])
    x = d.sample(KEY)
    jax.vmap(lambda d, x: d.log_prob(x))(*jax.tree.map(lambda a: jnp.asarray(a)[None], (d, x)))
    return d.mean(), d.center(), d.log_prob(x), d.log_prob_each(x)


def likelihood_of(context: Any) -> Any:
    """Every method of the likelihoods that have no row of their own."""
    x = np.random.default_rng(0).integers(0, 2, (5, 4, 4, 1)).astype(np.float32)
    found = []
    for part in (
        likelihoods.ContinuousBernoulli(),
        likelihoods.Laplace(),
        likelihoods.StudentT(),
        likelihoods.DiscretizedLogistic(),
        likelihoods.LogisticMixture(2),
        likelihoods.Categorical(3),
    ):
        raw = jnp.asarray(part.bias(x))
        found.append((part.apply(part.init(KEY, (4, 4, 1)), raw, context), part.features(jnp.asarray(x[0]))))
    return found


def optimal_scale(x: Any) -> Any:
    family = likelihoods.NormalPixels("learned")
    vae = model.make_vae(networks.MLPEncoder(2, (3,)), networks.MLPDecoder((4,), (3,)), likelihood=family)
    return likelihoods.with_optimal_scale(vae, vae.init(KEY), KEY, x)


def mixture(logits: Any) -> Any:
    components = jax.vmap(distributions.Normal)(jnp.ones((2, 3)), jnp.ones((2, 3)))
    return _every_method(distributions.Mixture(components, logits), jnp.ones(3))


def terms(x: Any) -> Any:
    at = objectives.terms(VAE_, PARAMS, KEY, x)
    return at, at.distortion, at.rate, at.elbo


def prior_of(context: Any) -> Any:
    """Every method of the priors."""
    found = []
    for prior in (priors.StandardNormal(), priors.Mixture(2), priors.Vamp(2), priors.ConditionalNormal()):
        params = prior.init(KEY, (3,), (4,), context)
        found.append(prior.apply(params, lambda x: distributions.Normal(x[:3], x[:3]), (3,), context))
    return found, priors.Vamp(2).init_from(priors.Vamp(2).init(KEY, (3,), (4,)), KEY, np.ones((5, 4)))


def encoders(x: Any, context: Any) -> Any:
    conv, mlp = networks.ConvEncoder(2, (3,), (3,)), networks.MLPEncoder(2, (3,))
    return [network.init_with_output(KEY, x, context)[0] for network in (conv, mlp)]


def decoders(z: Any, context: Any) -> Any:
    sized = networks.ConvDecoder((4, 4, 1), (3,), (3,)), networks.MLPDecoder((4, 4, 1), (3,))
    return [network.sized((4, 4, 2)).init_with_output(KEY, z, context)[0] for network in sized]


def discriminator(z: Any) -> Any:
    return networks.Discriminator((3,)).init_with_output(KEY, z)[0]


class Doubled(NamedTuple):
    """A bijection, y = 2 z."""

    def forward(self, z: Any) -> Any:
        return 2 * z, jnp.size(z) * jnp.log(2.0)

    def inverse(self, y: Any) -> Any:
        return y / 2, -jnp.size(y) * jnp.log(2.0)


def composed(x: Any) -> Any:
    normals = distributions.standard_normal(x.shape)
    chain = distributions.Chain((), (lambda params, z: normals, lambda params, z: distributions.Normal(z[0], x)))
    flow, joint = distributions.Transformed(normals, Doubled()), distributions.Joint({"a": normals, "b": normals})
    events = (x, x), x, {"a": x, "b": x}
    return [
        (d.log_prob(event), d.sample_and_log_prob(KEY))
        for d, event in zip((chain, flow, joint), events, strict=True)
    ]


def columns(x: Any) -> Any:
    parts = distributions.Normal(jnp.ones(2), jnp.ones(2)), distributions.Categories(jnp.ones((1, 3)))
    return _every_method(distributions.Columns(parts, ((0, 2), (1,))), x)


def masked(x: Any) -> Any:
    return _every_method(distributions.Masked(Q), x)


def residual_encoder(x: Any, context: Any) -> Any:
    return networks.ResidualEncoder(2, (4,), (1,), (3,)).sized((3,)).init_with_output(KEY, x, context)[0]


def residual_decoder(z: Any, context: Any) -> Any:
    decoder = networks.ResidualDecoder((4, 4, 1), (4,), (1,), (3,))
    return decoder.sized((4, 4, 2)).init_with_output(KEY, z, context)[0]


def _every_method(d: Any, x: Any) -> None:
    _check_fields(d.sample(KEY)), d.log_prob(x), distributions.sample_and_log_prob(d, KEY)
    jax.vmap(lambda d, x: d.log_prob(x))(*jax.tree.map(lambda a: jnp.asarray(a)[None], (d, x)))
    if hasattr(d, "log_prob_each"):
        d.log_prob_each(x)
    for of in (lambda d: d.mean(), distributions.center, distributions.stddev):
        with contextlib.suppress(InputError):  # of categories, for which there is no mean
            _check_fields(of(d))


def _of_likelihood(part: Any, more: dict[str, Any], wrong: dict[str, Any]) -> list[Any]:
    """The rows of a likelihood on tables of 4 columns. more, wrong: of the arguments of `apply`."""
    x, examples = jnp.ones(4), np.ones((5, 4))
    if isinstance(part, likelihoods.Masked):
        x, examples = distributions.Observed(x, x), distributions.Observed(examples, examples)
    raw = {"params": part.init(KEY, (4,)), "raw": jnp.ones(part.size(4))} | CONTEXT
    return [
        (part.init, {"key": KEY, "event": (4,)}, {}),
        (part.apply, raw | more, wrong),
        (part.features, {"x": x}, {"x": jnp.ones(4, bool)}),
        (part.bias, {"examples": examples}, {}),
    ]


Q, P = distributions.Normal(jnp.ones(3), jnp.ones(3)), distributions.standard_normal((3,))
# function, its arguments, and those that are wrong
CASES: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (disentanglement.explicitness_logistic_regression, SPLIT, {"factors": V[:5]}),
    (disentanglement.dci, {"importance": TABLE}, {"importance": TABLE[0]}),
    (disentanglement.dci_gradient_boosting, SPLIT | {"n_estimators": 2}, {"test_codes": Z[:10, :2]}),
    (disentanglement.dci_random_forest, SPLIT | {"n_estimators": 2}, {"test_factors": V[:10, :1]}),
    (disentanglement.dci_lasso, SPLIT, {"test_factors": V[:9]}),
    (disentanglement.fixed_factor_groups, DRAWN, {"factors": V[0]}),
    (disentanglement.fixed_factor_pairs, DRAWN, {"factors": V * 0.5}),
    (disentanglement.factor_vae_score, GROUPS, {"scale": np.ones(2)}),
    (disentanglement.beta_vae_score_logistic_regression, PAIRS, {"fixed": np.arange(5)}),
    (disentanglement.equal_width_bins, {"codes": Z}, {"codes": Z[0]}),
    (disentanglement.discrete_information, {"symbols": V, "factors": V, "num_symbols": 2}, {"factors": V[:5]}),
    (disentanglement.binned_information, {"codes": Z, "factors": V}, {"factors": V[:5]}),
    (disentanglement.mutual_information_gap, {"codes": Z, "factors": V}, {"factors": V * 0.5}),
    (disentanglement.joint_entropy_gap, {"codes": Z, "factors": V}, {"codes": Z[0]}),
    (
        disentanglement.information_gap,
        {"mutual_information": jnp.asarray(TABLE), "factor_entropy": jnp.ones(2), "active": jnp.ones(3, bool)},
        {"active": jnp.ones(2, bool)},
    ),
    (disentanglement.modularity, {"mutual_information": TABLE}, {"active": np.ones(2, bool)}),
    (
        disentanglement.sampled_mutual_information_gap,
        {"key": KEY, "loc": Z, "scale": np.ones((24, 3)), "factors": V, "num_samples": 5},
        {"scale": np.ones(3)},
    ),
    (disentanglement.sap_linear_svm, SPLIT, {"codes": Z[:5]}),
    (disentanglement.sap_squared_correlation, {"codes": Z, "factors": V}, {"factors": V[:5]}),
    (disentanglement.relative_strength, {"similarity": TABLE}, {"rows": np.ones(2, bool)}),
    (disentanglement.udr_spearman, MODELS, {"rates": np.ones(3)}),
    (disentanglement.udr_lasso, MODELS, {"codes": Z}),
    (disentanglement.gaussian_total_correlation, {"codes": Z}, {"codes": Z[0]}),
    (disentanglement.gaussian_wasserstein_correlation, {"codes": Z}, {"codes": Z[0]}),
    (disentanglement.mean_mutual_information, {"codes": Z, "num_bins": 3}, {"active": np.ones(2, bool)}),
    (bootstrap, {"codes": Z, "factors": V}, {"factors": V[:5]}),
    (normal, {"loc": jnp.ones(3), "scale": jnp.ones(())}, {"scale": jnp.ones(2)}),
    (multivariate_normal, {"loc": jnp.ones(3), "scale_tril": jnp.eye(3)}, {"scale_tril": jnp.eye(2)}),
    (bernoullis, {"logits": jnp.ones(3), "x": jnp.ones(3)}, {"x": jnp.ones(3, bool)}),
    (mixture, {"logits": jnp.ones(2)}, {"logits": jnp.float32(1)}),
    (composed, {"x": jnp.ones(3)}, {}),
    (distributions.Categories, {"logits": jnp.ones((3, 5))}, {"logits": jnp.float32(1)}),
    (columns, {"x": jnp.ones(3)}, {"x": jnp.ones(3, bool)}),
    (distributions.LogNormal, {"loc": jnp.ones(3), "scale": jnp.ones(())}, {"scale": jnp.ones(2)}),
    (distributions.Poisson, {"log_mean": jnp.ones(3)}, {"log_mean": jnp.ones(3, int)}),
    (distributions.NegativeBinomial, {"log_mean": jnp.ones(3), "log_r": jnp.ones(())}, {"log_r": jnp.ones(2)}),
    (
        distributions.ZeroInflatedNegativeBinomial,
        {"counts": distributions.NegativeBinomial(jnp.ones(3), jnp.ones(3)), "dropout": jnp.ones(3)},
        {"dropout": jnp.ones(3, int)},
    ),
    (distributions.Scaled, {"base": Q, "scale": jnp.ones(())}, {"scale": jnp.ones(3, int)}),
    (masked, {"x": distributions.Observed(jnp.ones(3), jnp.ones(3))}, {"x": jnp.ones(3)}),
    (distributions.from_nan, {"x": jnp.ones(3)}, {"x": jnp.ones(3, bool)}),
    (distributions.bounded_scale, {"raw": jnp.ones((2, 3))}, {"raw": jnp.ones(3, int)}),
    (distributions.kl_divergence, {"q": Q, "p": P, "z": jnp.ones(3)}, {}),
    (distributions.rates, {"q": Q, "p": P, "z": jnp.ones(3)}, {"log_q": jnp.ones(3)}),
    (distributions.covariance, {"d": Q}, {}),
    (distributions.sample_and_log_prob, {"d": Q, "key": KEY}, {}),
    (distributions.total, {"terms": (jnp.ones(3), jnp.ones(2))}, {}),
    (latents.linear, LINE, {"z1": jnp.ones(2)}),
    (latents.spherical, LINE, {"t": jnp.ones(3)}),
    (latents.rate_per_latent, {k: v for k, v in ONE.items() if k != "key"}, {}),
    (latents.active_units, {"loc": LOC}, {"loc": LOC[0]}),
    (latents.full_data_rate_decomposition, {"key": KEY, "loc": LOC, "scale": SCALE}, {"scale": SCALE[:5]}),
    (numerics.log_mean_exp, {"log_weights": jnp.ones(3)}, {"log_weights": jnp.ones((3, 1))}),
    (numerics.effective_sample_size, {"log_weights": jnp.ones(3)}, {"log_weights": jnp.ones((3, 1))}),
    (numerics.relative_error, {"ess": jnp.float32(2), "num_samples": 4}, {"ess": jnp.ones(2)}),
    (evidence.linear_schedule, {"num_temperatures": 3}, {}),
    (evidence.sigmoid_schedule, {"num_temperatures": 3}, {}),
    (evidence.annealed_log_likelihood, ONE | AIS, {"step_sizes": jnp.ones(3)}),
    (evidence.bidirectional_bounds, {k: v for k, v in ONE.items() if k != "x"} | AIS, {"step_sizes": jnp.ones(3)}),
    (evidence.posterior_elbo, ONE | {"q": distributions.standard_normal((2,)), "num_samples": 2}, {}),
    (
        evidence.inference_gaps,
        ONE | {"log_likelihood": -3.0, "num_steps": 1, "num_samples": 2},
        {"log_likelihood": jnp.ones(2)},
    ),
    (evidence.hmc_step, STATE | {"key": KEY}, {"step_size": jnp.ones(2)}),
    (evidence.leapfrog, STATE | {"momentum": jnp.ones(2)}, {"weights": (jnp.ones(2),)}),
    (data.scale_to_unit, {"x": np.ones((2, 3), np.uint8)}, {"x": [1, 2]}),
    (data.binarize, {"key": KEY, "x": jnp.ones((2, 3))}, {"x": [1, 2]}),
    (data.static_binarize, {"seed": 0, "images": np.ones((2, 3, 3))}, {"images": np.float32(1)}),
    (data.dequantize, {"key": KEY, "x": np.ones((2, 3), np.uint8)}, {"x": np.ones((2, 3))}),
    (
        data.shuffled_indices,
        {"key": KEY, "step": jnp.int32(1), "num_examples": 6, "batch_size": 2},
        {"step": jnp.arange(2)},
    ),
    (data.permuted, {"key": KEY, "position": jnp.arange(3), "size": 5}, {"position": jnp.int32(1)}),
    (data.factors_of, {"index": jnp.int32(7)}, {"index": jnp.arange(2)}),
    (data.index_of, {"factors": jnp.zeros(5, int)}, {"factors": jnp.zeros(4, int)}),
    (data.render, {"factors": jnp.zeros(5, int), "size": 4}, {"factors": jnp.zeros((2, 5), int)}),
    (plots.image_grid, {"images": ROWS, "title": ""}, {"images": ROWS[0, 0]}),
    (plots.reconstructions, {"x": IMAGES, "x_hat": IMAGES}, {"x_hat": IMAGES[:3]}),
    (plots.prior_samples, {"images": IMAGES}, {"images": IMAGES[0]}),
    (plots.interpolations, {"rows": ROWS}, {"rows": ROWS[0]}),
    (plots.traversals, {"rows": ROWS, "rates": np.ones(2)}, {"rates": np.ones(3)}),
    (plots.information, {"matrix": TABLE, "factor_names": ["a", "b"], "title": ""}, {"rates": np.ones(2)}),
    (evaluation.mean_and_error, {"values": np.ones(3)}, {"values": np.ones((3, 1))}),
    (evaluation.evaluator, {"estimator": objectives.elbo, "vae": VAE_}, {}),
    (
        evaluation.evaluate,
        {"estimator": objectives.elbo, "vae": VAE_, "params": PARAMS, "key": KEY, "data": jnp.ones((2, 4))},
        {},
    ),
    (latents.interpolate, {"vae": VAE_, "params": PARAMS, "x0": jnp.ones(4), "x1": jnp.zeros(4)}, {}),
    (data.shuffled_batches, {"batch_size": 2}, {}),
    (data.streamed_batches, {}, {}),
    (data.as_images, {"array": np.ones((2, 4, 4))}, {"array": np.ones(4)}),
    (data.check_images, {"images": IMAGES}, {"images": [1.0]}),
    (data.is_grey, {"images": IMAGES}, {"images": [1.0]}),
    (data.gather, {"source": IMAGES, "index": np.array([[1, 0]])}, {"index": np.ones((1, 2))}),
    (
        data.read_share,
        {
            "source": IMAGES,
            "index": np.array([[1, 0]]),
            "sharding": jax.sharding.SingleDeviceSharding(jax.devices()[0]),
        },
        {"index": np.array([1, 0])},
    ),
    (data.check_labels, {"split": data.Split(IMAGES, np.array([0, 1, 1, 0])), "num_classes": 2}, {}),
    (terms, {"x": jnp.ones(4)}, {}),
    (objectives.log_joint, {"vae": VAE_, "params": PARAMS, "x": jnp.ones(4), "z": jnp.ones(2)}, {}),
    (objectives.elbo, ONE | {"beta": 2.0}, {"beta": jnp.ones(2)}),
    (objectives.log_weight, ONE, {}),
    (objectives.log_weight_under, ONE | {"q": distributions.standard_normal((2,))}, {}),
    (objectives.sample_keys, {"key": KEY, "indices": jnp.arange(3)}, {"indices": jnp.int32(3)}),
    (objectives.controlled_capacity, BATCH | {"gamma": 2.0, "capacity": jnp.float32(1)}, {"capacity": jnp.ones(3)}),
    (objectives.dip_vae_i, DIP, {"lambda_diagonal": jnp.ones(2)}),
    (objectives.dip_vae_ii, DIP, {"lambda_off_diagonal": jnp.ones(2)}),
    (
        objectives.covariance_penalty,
        {"matrix": jnp.eye(2), "lambda_off_diagonal": 1.0, "lambda_diagonal": 1.0},
        {"matrix": jnp.ones((2, 3))},
    ),
    (objectives.stratified, {"batch_size": 3, "dataset_size": 5}, {}),
    (objectives.weighted, {"batch_size": 3, "dataset_size": 5}, {}),
    (objectives.beta_tcvae, BATCH | {"beta": 2.0, "dataset_size": 5}, {"alpha": jnp.ones(3)}),
    (
        objectives.aggregate_log_density,
        {"q": distributions.Normal(LOC[:4], SCALE[:4]), "z": LOC[:2], "log_weights": jnp.ones((2, 4))},
        {"log_weights": jnp.ones((4, 2))},
    ),
    (objectives.permute_latents, {"key": KEY, "z": LOC}, {"z": LOC[0]}),
    (
        objectives.factor_vae,
        BATCH | {"vae": DISCRIMINATED, "params": BOTH, "gamma": 2.0},
        {"gamma": jnp.ones(3)},
    ),
    (prior_of, CONTEXT, {"context": jnp.ones((1, 5))}),
    (posteriors.DiagonalNormal().apply, {"params": {}, "raw": jnp.ones(6)} | CONTEXT, {"raw": jnp.arange(6)}),
    (posteriors.FullNormal().apply, {"params": {}, "raw": jnp.ones(9)} | CONTEXT, {"raw": jnp.ones((1, 9))}),
    (
        likelihoods.BernoulliPixels().apply,
        {"params": {}, "raw": jnp.ones((4, 4, 1))} | CONTEXT,
        {"context": jnp.float32(1)},
    ),
    (likelihoods.BernoulliPixels().features, {"x": IMAGE}, {"x": np.ones(4)}),
    (likelihoods.BernoulliPixels().bias, {"examples": IMAGES}, {}),
    (likelihoods.NormalPixels().init, {"key": KEY, "event": (4, 4, 1)}, {}),
    (
        likelihoods.NormalPixels("head").apply,
        {"params": {}, "raw": jnp.ones((4, 4, 2))} | CONTEXT,
        {"raw": jnp.ones((4, 4, 2), int)},
    ),
    (likelihoods.NormalPixels().features, {"x": IMAGE}, {"x": np.ones(4)}),
    (likelihoods.NormalPixels("head").bias, {"examples": IMAGES}, {}),
    (likelihood_of, CONTEXT, {"context": jnp.float32(1)}),
    *(row for part in COUNTS for row in _of_likelihood(part, {"size": jnp.float32(9)}, {"size": jnp.ones(2)})),
    *(
        row
        for part in (MIXED, likelihoods.Masked(MIXED), likelihoods.InUnits(likelihoods.Laplace(), (2.0,) * 4))
        for row in _of_likelihood(part, {}, {"raw": jnp.arange(part.size(4))})
    ),
    (MIXED.seen_features, {"seen": jnp.ones(4)}, {"seen": jnp.ones(4, bool)}),
    (optimal_scale, {"x": np.ones((5, 4), np.float32)}, {"x": [[1.0] * 4]}),
    (unit_interval, {"logits": jnp.ones(3), "x": jnp.ones(3)}, {"logits": jnp.arange(3)}),
    (heavy_tails, {"loc": jnp.ones(3), "scale": jnp.ones(3)}, {"scale": jnp.ones(2)}),
    (levels, {"loc": jnp.ones(3), "scale": jnp.ones(3)}, {"scale": jnp.ones(2)}),
    (categorical, {"logits": jnp.ones((3, 5))}, {"logits": jnp.ones((3, 5), int)}),
    (logistic_mixture, {"logits": jnp.ones((2, 4, 4))}, {"logits": jnp.ones((2, 4, 4), int)}),
    (encoders, {"x": jnp.ones((4, 4, 1))} | CONTEXT, {"context": jnp.ones((1, 5))}),
    (decoders, {"z": jnp.ones(3)} | CONTEXT, {"context": jnp.ones((1, 5))}),
    (residual_encoder, {"x": jnp.ones((4, 4, 1))} | CONTEXT, {"context": jnp.ones((1, 5))}),
    (residual_decoder, {"z": jnp.ones(3)} | CONTEXT, {"context": jnp.ones((1, 5))}),
    *(
        (part.networks, {"latent_size": 2, "x_shape": (4, 4, 1)}, {"output_bias": jnp.ones(1)})
        for part in (networks.MLP(), networks.Conv(), networks.Residual())
    ),
    (discriminator, {"z": jnp.ones(3)}, {"z": jnp.ones((1, 3))}),
    (networks.logit_bias, {"pixel_means": TABLE}, {"pixel_means": [0.5]}),
    (model.diagonal_normal, {"heads": jnp.ones((2, 3))}, {"heads": jnp.ones((3, 2))}),
    (model.bernoulli, {"heads": jnp.ones((1, 3))}, {"heads": jnp.ones((2, 3))}),
    (model.one_hot, {"num_classes": 3}, {}),
    (
        model.make_conditional_vae,
        {"encoder": networks.MLPEncoder(2), "decoder": networks.MLPDecoder((4,)), "condition": model.one_hot(3)},
        {},
    ),
    (training.init_state, {"init": VAE_.init, "optimizer": optax.adam(0.1), "key": KEY}, {}),
    (
        training.init_many,
        {"init": VAE_.init, "optimizer": optax.adam(0.1), "keys": jax.random.split(KEY, 2)},
        {"keys": KEY},
    ),
    (training.check_schedule, {"name": "beta", "schedule": lambda step: 1.0, "num_steps": 2}, {}),
    (activations.softplus, {"x": jnp.ones((2, 3))}, {"x": jnp.arange(3)}),
    (bits.random_uint16, {"key": KEY, "shape": (2, 3)}, {}),
    (bits.threefry_2x32, {"key": WORDS[:2], "left": WORDS, "right": WORDS}, {"right": WORDS[:2]}),
    (products.product, {"x": jnp.ones(3), "kernel": jnp.ones((3, 2))}, {"kernel": jnp.ones((2, 3))}),
    (strided.strided_conv, {"x": IMAGE, "kernel": KERNEL}, {"x": IMAGE[..., :1]}),
    (strided.strided_conv_transpose, {"x": IMAGE, "kernel": KERNEL}, {"kernel": KERNEL[:2]}),
    (strided.strided_conv_1d, {"x": IMAGE[0], "kernel": KERNEL[0]}, {"x": IMAGE[0, :, :1]}),
    (strided.strided_conv_transpose_1d, {"x": IMAGE[0], "kernel": KERNEL[0]}, {"kernel": KERNEL[0, :2]}),
    (same_conv.same_conv, {"x": IMAGE, "kernel": KERNEL[:3, :3]}, {"x": IMAGE[..., :1]}),
    *(
        (f, dict.fromkeys(names, jnp.ones(3)), {names[-1]: jnp.ones(3, int)})
        for f, *names in (
            (stirling.stirling_remainder, "y"),
            (stirling.digamma_remainder, "y"),
            (stirling.deviance, "v", "log1p_v"),
            (stirling.poisson_log_mass, "x", "log_mean"),
            (stirling.negative_binomial_log_mass, "x", "log_mean", "log_r"),
        )
    ),
    (oracles.random_params, {"seed": 0, "event_size": 4, "latent_size": 2}, {}),
    (oracles.log_evidence, {"params": PARAMS, "x": POINTS}, {}),
    (oracles.annealed_log_evidence, {"params": PARAMS, "x": POINTS, "t": 0.5}, {}),
    (oracles.annealed_posterior, {"params": PARAMS, "x": POINTS, "t": 0.5}, {}),
    (oracles.posterior, {"params": PARAMS, "x": POINTS}, {}),
    (oracles.exact_elbo, {"params": PARAMS, "x": POINTS}, {}),
    (
        oracles.gaussian_kl,
        {"loc0": np.ones((5, 2)), "cov0": np.eye(2), "loc1": np.zeros((5, 2)), "cov1": np.eye(2)},
        {"cov1": np.eye(3)},
    ),
    (oracles.exact_annealed_bounds, {"params": PARAMS, "x": POINTS, "schedule": np.array([0.0, 0.5, 1.0])}, {}),
]
# What the functions above call, where they are no public functions themselves.
CALLED: dict[str, set[str]] = {
    "bootstrap": {"disentanglement.bootstrap_interval"},
    "normal": {"distributions.Normal"},
    "multivariate_normal": {"distributions.MultivariateNormal"},
    "bernoullis": {"distributions.Bernoulli"},
    "mixture": {"distributions.Mixture"},
    "composed": {"distributions.Chain", "distributions.Transformed", "distributions.Joint"},
    "columns": {"distributions.Columns"},
    "masked": {"distributions.Masked"},
    "unit_interval": {"distributions.ContinuousBernoulli"},
    "heavy_tails": {"distributions.Laplace", "distributions.StudentT"},
    "levels": {"distributions.DiscretizedLogistic"},
    "categorical": {"distributions.Categorical"},
    "logistic_mixture": {"distributions.LogisticMixture"},
    "likelihood_of": {
        "likelihoods.ContinuousBernoulli",
        "likelihoods.Laplace",
        "likelihoods.StudentT",
        "likelihoods.DiscretizedLogistic",
        "likelihoods.LogisticMixture",
        "likelihoods.Categorical",
    },
    "optimal_scale": {"likelihoods.with_optimal_scale"},
    "terms": {"objectives.Terms"},
    "prior_of": {"priors.StandardNormal", "priors.Mixture", "priors.Vamp", "priors.ConditionalNormal"},
    "encoders": {"networks.ConvEncoder", "networks.MLPEncoder"},
    "decoders": {"networks.ConvDecoder", "networks.MLPDecoder"},
    "residual_encoder": {"networks.ResidualEncoder"},
    "residual_decoder": {"networks.ResidualDecoder"},
    "discriminator": {"networks.Discriminator"},
}


def raised(f: Any, arguments: dict[str, Any]) -> str | None:
    """What a call raised: its arguments and result are not those of its signature, or another error."""
    try:
        try:
            # Shapes need no numbers: what is traced alone need not be compiled.
            jax.eval_shape(lambda: _checked(f, arguments))
        except jax.errors.JAXTypeError:
            _checked(f, arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _checked(f: Any, arguments: dict[str, Any]) -> None:
    result = f(**arguments)
    _check_fields(result)
    if inspect.isclass(f):  # a distribution
        _every_method(result, result.sample(KEY))


@jaxtyped(typechecker=None)
def _check_fields(result: Any) -> None:
    """Asserts that the fields of a named tuple have the shapes that are written beside them."""
    if not hasattr(result, "_fields"):
        return
    for name, hint in get_type_hints(type(result)).items():
        # One by one: for a union Python asks the type of the value alone, which has no shape.
        if types := _arrays(hint):
            value = getattr(result, name)
            assert any(isinstance(value, each) for each in types), f"{name} is {value}, expected {hint}"
    for value in result:
        _check_fields(value)


def _arrays(hint: Any) -> tuple[Any, ...]:
    """The types of a field that is an array of a shape, several for `AnyArray` or None; () for another field."""
    types = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return types if any(inspect.isclass(each) and issubclass(each, AbstractArray) for each in types) else ()


def annotated() -> set[str]:
    """The functions, methods and classes on the faces whose signatures have shapes, as "folder.Class.method"."""
    found = set()
    for face in FACES:
        for name, value in vars(sys.modules[f"vae_jax.{face}"]).items():
            if (
                name[0] != "_"
                and getattr(value, "__module__", None) in _modules()
                and not getattr(value, "_is_protocol", False)
            ):
                found |= {name_of(f) for f in (value, *_methods(value)) if _SHAPE.search(str(_hints(f)))}
    return found


_SHAPE = re.compile(r"(Array|ndarray\S*), ['\"]")


def _hints(f: Any) -> dict[str, Any]:
    # The fields of a named tuple are checked where one is returned.
    return {} if hasattr(f, "_fields") else getattr(f, "__annotations__", {})


def _methods(value: Any) -> list[Any]:
    members = vars(value).items() if inspect.isclass(value) else ()
    found = [(name, getattr(f, "fget", f)) for name, f in members]
    public = [f for name, f in found if inspect.isfunction(f) and (name[0] != "_" or name == "__call__")]
    return [f for f in public if f.__qualname__.startswith(value.__qualname__)]


def name_of(f: Any) -> str:
    return f"{f.__module__.split('.')[1]}.{f.__qualname__}"


def _modules() -> set[str]:
    return {name for name in sys.modules if name.startswith(tuple(CHECKED))}


if __name__ == "__main__":
    told = {
        f.__qualname__: [raised(f, right), raised(f, right | wrong) if wrong else ""] for f, right, wrong in CASES
    }
    assert len(told) == len(CASES), "two rows of one name"
    called = set().union(*(CALLED.get(f.__qualname__) or {name_of(f)} for f, _, _ in CASES))
    unseen = {name for name in annotated() if not called & {name, name.rpartition(".")[0]}}
    print(json.dumps({"told": told, "annotated": sorted(annotated()), "unseen": sorted(unseen)}))
