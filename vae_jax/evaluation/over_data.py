"""Estimates over a whole data set: every example counts once, each with a key of its own."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Key, Num

from vae_jax.data import as_arrays, num_examples
from vae_jax.errors import InputError
from vae_jax.estimates import Estimate
from vae_jax.evaluation.resumable import fingerprint, load_done, save_done
from vae_jax.hashes import tree_path
from vae_jax.model import VAE, ConditionalVAE
from vae_jax.numerics import full_precision
from vae_jax.objectives.arity import expected_of_one
from vae_jax.objectives.lifting import estimate
from vae_jax.shapes import AnyArray
from vae_jax.training.sharding import over_examples, replicated

Array = jax.Array
Values = dict[str, np.ndarray]
Report = Callable[[int, int, float], None]  # examples done, examples in all, seconds left


class NotFiniteError(InputError):
    """An estimate that is NaN or infinite; the message names the examples."""


def evaluator(
    estimator: Callable[..., Estimate],
    vae: VAE | ConditionalVAE,
    *,
    batch_size: int = 500,
    transform: Callable[[Key[Array, ""], Any], Any] = lambda key, example: example,
    mesh: Mesh | None = None,
    memory: float | None = None,
    info: bool = False,
    **tunables: Any,
) -> Callable[..., Values]:
    """A function that gives the metrics of an estimator at every example of a data set; compiled once.

    Example i is estimated with keys from `fold_in(key, i)`, the first for `transform(key, example)` (binarization,
    say) and the second for the estimator: the numbers do not depend on the batch size, nor on the other examples.

    estimator: `(vae, params, key, x, **tunables) -> Estimate`, as `elbo`; or without x where it simulates its
    examples, as `bidirectional_bounds`. `mesh`: the devices that share the examples of a batch, whose size is
    rounded up to a multiple of them; all processes get all values. `memory`: bytes that the temporaries of a batch
    may take on a device, by the compiler's account; the batch is made smaller where they are more. `info`: whether
    the arrays of `Estimate.info` are kept too, under names like "info/z". Matrix products are in full float32
    precision.

    Returns `run(params, key, data, *, file=None, report=None)`, which gives {name: [num_examples]} in float64 on
    the host, for `mean_and_error` to reduce. data: x with a leading axis, [num_examples, *event], or (x, c) for a
    `ConditionalVAE`; of an estimator that simulates, the number of examples or, for a `ConditionalVAE`, their
    conditions. `file`: an .npz that keeps what is done after each batch; a call with the same parameters, key, data
    and program (model, estimator and transform) goes on from there. `report(done, total, seconds_left)` is called
    after each batch.
    Raises InputError for an empty data set or batch, for arrays of different lengths, for a number where examples
    or conditions are needed, and for an estimator of a whole batch; NotFiniteError for values that are not finite.
    """
    num_devices = mesh.size if mesh else 1
    simulates = _simulates(estimator)

    @full_precision
    def one(params: Any, key: Array, i: Array, example: Any) -> dict[str, Array]:
        transform_key, estimator_key = jax.random.split(jax.random.fold_in(key, i))
        if simulates:
            model = vae.given(example) if isinstance(vae, ConditionalVAE) else vae
            return _kept(info, *estimator(model, params, estimator_key, **tunables))
        example = transform(transform_key, example)
        return _kept(info, *estimate(vae, estimator, params, estimator_key, example, **tunables))

    @functools.partial(jax.jit, static_argnums=4, out_shardings=mesh and replicated(mesh))
    @full_precision
    def batch(params: Any, key: Array, data: Any, start: Array, size: int) -> dict[str, Array]:
        # The last batch repeats the last example to keep one shape; the repetitions are cut off below.
        i = jnp.minimum(start + jnp.arange(size), num_examples(data) - 1)
        if mesh:
            i = jax.lax.with_sharding_constraint(i, over_examples(mesh))

        examples = jax.tree.map(lambda a: a[i], data)
        whole = functools.partial(estimator, vae, params, key, **tunables)
        with expected_of_one(estimator, whole, examples, "evaluate needs one of a single example"):
            return jax.vmap(lambda i, example: one(params, key, i, example))(i, examples)

    def run(
        params: Any, key: Array, data: Any, *, file: str | Path | None = None, report: Report | None = None
    ) -> Values:
        data = _arrays(data, simulates, isinstance(vae, ConditionalVAE))
        count = num_examples(data)
        if count < 1 or batch_size < 1:
            raise InputError(f"{count} examples in batches of {batch_size}: expected at least one of each")
        of = fingerprint(one, key, params, data) if file else ""
        kept = (load_done(file, of) if file else None) or {"seconds": np.float64(0)}
        before = float(kept.pop("seconds"))
        parts = [kept] if kept else []
        done = sum(num_examples(part) for part in parts)
        data = jax.tree.map(jnp.asarray, data)
        size = -(-min(batch_size, count) // num_devices) * num_devices
        if done < count:
            compute, size = _within(memory, batch, (params, key, data), size, num_devices)
        begin, first = time.perf_counter(), done
        while done < count:
            values = compute(params, key, data, jnp.int32(done))
            part = {name: np.asarray(v, np.float64)[: count - done] for name, v in values.items()}
            _check_finite(part, done)
            parts, done = [_joined([*parts, part])] if file else [*parts, part], min(done + size, count)
            if file:
                save_done(file, parts[0], before + time.perf_counter() - begin, of)
            if report:
                spent = time.perf_counter() - begin
                report(done, count, spent / (done - first) * (count - done))
        return {name: v[:count] for name, v in _joined(parts).items()}

    return run


def evaluate(
    estimator: Callable[..., Estimate],
    vae: VAE | ConditionalVAE,
    params: Any,
    key: Array,
    data: Any,
    *,
    batch_size: int = 500,
    transform: Callable[[Key[Array, ""], Any], Any] = lambda key, example: example,
    mesh: Mesh | None = None,
    memory: float | None = None,
    info: bool = False,
    file: str | Path | None = None,
    report: Report | None = None,
    **tunables: Any,
) -> Values:
    """The metrics of an estimator at every example of a data set: {name: [num_examples]}.

    `evaluator(estimator, vae, ...)`, which says what each argument is, applied once.
    """
    options: Any = {"batch_size": batch_size, "transform": transform, "mesh": mesh, "memory": memory, "info": info}
    run = evaluator(estimator, vae, **options, **tunables)
    return run(params, key, data, file=file, report=report)


def mean_and_error(values: Num[AnyArray, " n"]) -> tuple[float, float]:
    """The mean over examples and its standard error, sd / sqrt(n) (NaN for one example). values: [n].

    A value that is not finite shows in both. Raises InputError for another shape: the samples of an example are no
    examples, and would make the error look smaller than it is.
    """
    if np.ndim(values) != 1 or np.size(values) == 0:
        raise InputError(
            f"values of shape {np.shape(values)}: expected [n], one per example; average samples first"
        )
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(error)


def plug_in(vae: VAE, params: Any, key: Array, x: Any) -> Estimate:
    """The reconstruction error at the posterior mean, -log p(x | z = E_q[z]), under its own name.

    It uses no noise (`key` is ignored), is below the distortion for most models, and is no part of any bound.
    x: [*event]. Returns it as `value` and as the metric `plug_in_distortion`, in nats.
    """
    distortion = -vae.decode(params, vae.encode(params, x).mean()).log_prob(x)
    return Estimate(distortion, {"plug_in_distortion": distortion})


def _kept(info: bool, _: Any, metrics: dict[str, Array], rest: Any = ()) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(rest) if info else []
    return metrics | {f"info{tree_path(path)}": leaf for path, leaf in leaves}


def _arrays(data: Any, simulates: bool, conditional: bool) -> Any:
    """The data as arrays with a leading axis; the numbers of the examples where these are simulated."""
    if not isinstance(data, int | np.integer):
        return as_arrays(data)
    if conditional:
        wanted = "conditions, [num_examples, ...]" if simulates else "the pair (x, c) of all examples"
        raise InputError(f"data {data}: expected {wanted}, of a ConditionalVAE; or pass vae.given(c)")
    if not simulates:
        raise InputError(f"data {data}: expected examples, [num_examples, ...], for an estimator that reads x")
    return np.arange(data)


def _simulates(estimator: Callable[..., Estimate]) -> bool:
    """Whether an estimator takes no x: three positional arguments, vae, params and key."""
    kinds = [p.kind for p in inspect.signature(estimator).parameters.values() if p.default is p.empty]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (
        len([kind for kind in kinds if kind in positional]) == 3 and inspect.Parameter.VAR_POSITIONAL not in kinds
    )


def _within(memory: float | None, batch: Any, arguments: Any, size: int, num_devices: int) -> tuple[Any, int]:
    """The compiled batch, and its size: a multiple of the devices whose temporaries fit into the memory."""
    # Without jit nothing is compiled, so there is no account either.
    if memory is None or jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return lambda params, key, data, start: batch(params, key, data, start, size), size
    compiled = batch.lower(*arguments, jnp.int32(0), size).compile()
    taken = compiled.memory_analysis().temp_size_in_bytes
    if taken > memory and size > num_devices:
        size = max(1, int(size * memory / taken) // num_devices) * num_devices
        compiled = batch.lower(*arguments, jnp.int32(0), size).compile()
    return compiled, size


def _check_finite(part: Values, first: int) -> None:
    for name, values in part.items():
        bad = first + np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if bad.size:
            more = f" and {bad.size - 10} more" if bad.size > 10 else ""
            raise NotFiniteError(
                f"{name} is not finite for examples {bad[:10].tolist()}{more}: expected a model and data that give "
                "finite densities; look at these examples and at the parameters"
            )


def _joined(parts: list[Values]) -> Values:
    parts = [part for part in parts if part]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
