"""Modules with given parameters, and what they would be made of, without initializing any."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import jax
from flax import nnx

Module = TypeVar("Module", bound=nnx.Module)


def bind(make: Callable[..., Module], params: Mapping[str, Any]) -> Module:
    """The module `make(rngs=...)` with `params`, a nested dict of arrays, in place of random ones.

    Nothing is initialised: initialising VGG19 eagerly takes seconds. Usable inside `jit`.
    """
    return nnx.merge(_graphdef(make), params)


def parameter_shapes(make: Callable[..., nnx.Module]) -> dict[str, Any]:
    """The shapes of the parameters of the module `make(rngs=...)`, nested by its layers' names."""
    params = nnx.to_pure_dict(nnx.state(abstract(make), nnx.Param))
    return jax.tree.map(lambda leaf: leaf.shape, params)


@lru_cache
def _graphdef(make: Callable[..., Module]) -> nnx.GraphDef[Module]:
    return nnx.graphdef(abstract(make))


@lru_cache
def abstract(make: Callable[..., Module]) -> Module:
    """The module `make(rngs=...)` with shapes in place of arrays."""
    return nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
