"""Modules with given parameters, and what they would be made of, without initializing any."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

Module = TypeVar("Module", bound=nnx.Module)


def bind(make: Callable[..., Module], params: Mapping[str, Any]) -> Module:
    """The module `make(rngs=...)` with `params`, a nested dict of arrays, in place of random ones.

    Arrays of NumPy become JAX's. Nothing is initialized: initializing VGG19 eagerly takes seconds.
    Usable inside `jit`.
    """
    return nnx.merge(_graphdef(make), jax.tree.map(jnp.asarray, params))


def parameter_shapes(make: Callable[..., nnx.Module]) -> dict[str, Any]:
    """The shapes of the parameters of `make(rngs=...)`, nested by its layers, in their order."""
    return _build(make)[1]


def abstract(make: Callable[..., Module]) -> Module:
    """The module `make(rngs=...)` with shapes in place of arrays."""
    return _build(make)[0]


@lru_cache
def _graphdef(make: Callable[..., Module]) -> nnx.GraphDef[Module]:
    return nnx.graphdef(abstract(make))


@lru_cache
def _build(make: Callable[..., Module]) -> tuple[Module, dict[str, Any]]:
    """An abstract module, and its shapes in the order of its layers, which `eval_shape` sorts."""
    found: dict[str, Any] = {}

    def build() -> Module:
        module = make(rngs=nnx.Rngs(0))
        found.update(_shapes(module))
        return module

    return nnx.eval_shape(build), found


def _shapes(module: nnx.Module) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    for name, value in vars(module).items():
        if isinstance(value, nnx.Param):
            shapes[name] = value.shape
        elif isinstance(value, nnx.Module):
            shapes[name] = _shapes(value)
    return shapes
