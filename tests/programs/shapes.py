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
from typing import Any, get_type_hints

import numpy as np
from jaxtyping import AbstractArray, install_import_hook, jaxtyped

FACES = ("disentanglement", "latents", "distributions", "evidence", "plots", "data", "evaluation")
CHECKED = [*(f"vae_jax.{face}" for face in FACES if face != "data"), "vae_jax.numerics"]
CHECKED += [f"vae_jax.data.{module}" for module in ("transforms", "sampling", "sprites")]

# A test that imports this module for its cases gets the functions as they are.
with install_import_hook(CHECKED, "beartype.beartype") if __name__ == "__main__" else contextlib.nullcontext():
    import jax
    import jax.numpy as jnp
    import matplotlib.figure

    import vae_jax
    from vae_jax import data, disentanglement, distributions, evaluation, evidence, latents, numerics, plots
    from vae_jax.testing.oracles import best_diagonal, linear_gaussian_vae

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
VAE_ = linear_gaussian_vae(4, 2)
PARAMS = best_diagonal({"W": np.ones((4, 2), np.float32) * [[1.0, 0.5]], "b": np.zeros(4), "log_s2": np.float32(0)})
ONE = {"vae": VAE_, "params": PARAMS, "key": KEY, "x": jnp.ones(4)}
FLAT = (lambda z: -jnp.sum(z**2),)
STATE = {"log_densities": FLAT, "state": evidence.hmc_init(FLAT, jnp.ones(2)), "step_size": 0.1, "num_leapfrog": 1}


def bootstrap(codes: Any, factors: Any) -> Any:
    return disentanglement.bootstrap_interval(lambda z, v: 1.0, KEY, codes, factors, num_resamples=2)


def normal(loc: Any, scale: Any) -> Any:
    return _every_method(distributions.Normal(loc, scale), jnp.ones(3))


def multivariate_normal(loc: Any, scale_tril: Any) -> Any:
    return _every_method(distributions.MultivariateNormal(loc, scale_tril), jnp.ones(3))


def bernoulli(logits: Any, x: Any) -> Any:
    return _every_method(distributions.Bernoulli(logits), x)


def mixture(logits: Any) -> Any:
    components = jax.vmap(distributions.Normal)(jnp.ones((2, 3)), jnp.ones((2, 3)))
    return _every_method(distributions.Mixture(components, logits), jnp.ones(3))


def _every_method(d: Any, x: Any) -> None:
    d.sample(KEY), d.mean(), d.log_prob(x), distributions.stddev(d), distributions.sample_and_log_prob(d, KEY)
    jax.vmap(lambda d, x: d.log_prob(x))(*jax.tree.map(lambda a: jnp.asarray(a)[None], (d, x)))
    if hasattr(d, "log_prob_each"):
        d.log_prob_each(x)


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
    (bernoulli, {"logits": jnp.ones(3), "x": jnp.ones(3)}, {"x": jnp.ones(3, bool)}),
    (mixture, {"logits": jnp.ones(2)}, {"logits": jnp.float32(1)}),
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
]
WRAPPED = {"bootstrap_interval", "Normal", "MultivariateNormal", "Bernoulli", "Mixture"}


def raised(f: Any, arguments: dict[str, Any]) -> str | None:
    """What a call raised: its arguments and result are not those of its signature, or another error."""
    try:
        try:
            # Shapes need no numbers: what is traced alone need not be compiled.
            jax.eval_shape(lambda: _check_fields(f(**arguments)))
        except jax.errors.JAXTypeError:
            _check_fields(f(**arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@jaxtyped(typechecker=None)
def _check_fields(result: Any) -> None:
    """Asserts that the fields of a named tuple have the shapes that are written beside them."""
    if not hasattr(result, "_fields"):
        return
    for name, hint in get_type_hints(type(result)).items():
        if _has_shape(hint):
            assert isinstance(getattr(result, name), hint), f"{name} is {getattr(result, name)}, expected {hint}"
    for value in result:
        _check_fields(value)


def _has_shape(hint: Any) -> bool:
    return inspect.isclass(hint) and issubclass(hint, AbstractArray)


def annotated() -> set[str]:
    """The functions and distributions on the faces whose signatures have shapes."""
    found = set()
    for face in (*(getattr(vae_jax, name) for name in FACES), numerics):
        for name, value in vars(face).items():
            hints = getattr(value, "__annotations__", {}) if getattr(value, "__module__", "") in _modules() else {}
            if not hasattr(value, "_fields") and re.search(r"(Array|ndarray\S*), ['\"]", str(hints)):
                found.add(name)
    return found


def _modules() -> set[str]:
    return {name for name in sys.modules if name.startswith(tuple(CHECKED))}


if __name__ == "__main__":
    told = {f.__name__: [raised(f, right), raised(f, right | wrong) if wrong else ""] for f, right, wrong in CASES}
    print(json.dumps({"told": told, "annotated": sorted(annotated() - WRAPPED)}))
