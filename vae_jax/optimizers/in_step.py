"""Optimizers of Optax in a training step: what they are given, and parameters that have one of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from vae_jax.errors import InputError

Array = jax.Array


def partitioned(
    main: optax.GradientTransformation, own: Mapping[str, optax.GradientTransformation], params: Any
) -> optax.GradientTransformation:
    """`main` for all parameters but those named in `own`, which have theirs: `main` itself where there are none.

    own: {name in params: optimizer}, as `Trained.optimizers` has it. params: a dict of trees, or of their shapes.
    Raises InputError for a name that is not among the parameters.
    """
    if not own:
        return main
    unknown = sorted(set(own) - set(params))
    if unknown:
        raise InputError(f"optimizer of {', '.join(unknown)}: expected some of {', '.join(sorted(params))}")
    # The label of the others is no name of a parameter: a parameter may be called main.
    labels = {name: name if name in own else "" for name in params}
    return optax.partition({"": main, **own}, labels)


def optimized(
    optimizer: optax.GradientTransformation,
    grads: Any,
    opt_state: Any,
    params: Any,
    *,
    loss: Float[Array, ""],
    value_fn: Callable[[Any], Float[Array, ""]],
) -> tuple[Any, Any]:
    """The updates of the parameters and the new state of the optimizer.

    Handed on by the names that Optax uses: `value`, the loss (`reduce_on_plateau`, `momo`, `polyak_sgd`), `grad`
    and `value_fn`, params -> the loss of this batch with this noise (`lbfgs` and other line searches).

    grads: as params. Raises InputError for an optimizer that needs more (`sophia`, `sam` in its opaque mode), or
    whose state does not keep its structure, shapes and dtypes, which a compiled loop cannot carry.
    """
    extra = {"value": loss, "grad": grads, "value_fn": value_fn}
    name = _name(optimizer)
    extended = optax.with_extra_args_support(optimizer)
    try:
        updates, new_state = extended.update(grads, opt_state, params, **_accepted(extended.update, extra))
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
        raise InputError(
            f"the optimizer {name} cannot be used here: {line}; it is given the gradient of a batch, the "
            "parameters, value (the loss), grad and value_fn (params -> loss): choose one that needs no more, and "
            "the state that its own init made"
        ) from error
    _check_same_shapes(name, opt_state, new_state)
    return updates, new_state


def _accepted(update: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Some optimizers take their own extra arguments and no others, as `sam`."""
    parameters = inspect.signature(update).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return extra
    return {name: value for name, value in extra.items() if name in parameters}


def _check_same_shapes(name: str, before: Any, after: Any) -> None:
    old, new = (jax.tree_util.tree_leaves_with_path(tree) for tree in (before, after))
    if [path for path, _ in old] != [path for path, _ in new]:
        raise InputError(
            f"the optimizer {name} changed the structure of its state in a step: expected the one that its init "
            "made; choose another optimizer"
        )
    for (path, a), (_, b) in zip(old, new, strict=True):
        if (jnp.shape(a), _dtype(a)) != (jnp.shape(b), _dtype(b)):
            raise InputError(
                f"the optimizer {name} changed its state{jax.tree_util.keystr(path)} from "
                f"{_dtype(a)}{list(jnp.shape(a))} to {_dtype(b)}{list(jnp.shape(b))}: expected arrays of one shape "
                "and dtype in all steps; choose another optimizer, or parameters of one dtype"
            )


def _dtype(leaf: Any) -> Any:
    return getattr(leaf, "dtype", None) or jnp.result_type(leaf)


def _name(optimizer: optax.GradientTransformation) -> str:
    """As `scale_by_adam`: Optax gives its optimizers no names, but the function that made their update has one."""
    return str(getattr(optimizer.update, "__qualname__", type(optimizer).__name__)).split(".")[0]
