"""Flax NNX modules: layers, normalisation, the VGG19 encoder and its decoder."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flax import nnx

Module = TypeVar("Module", bound=nnx.Module)


def bind(make: Callable[..., Module], params: Mapping[str, Any]) -> Module:
    """The module `make(rngs=...)` with `params`, a nested dict of arrays, in place of random ones.

    Nothing is initialised: initialising VGG19 eagerly takes seconds. Usable inside `jit`.
    """
    graphdef = nnx.graphdef(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))
    return nnx.merge(graphdef, params)
