"""Arbitrary style transfer by adaptive instance normalization (Huang & Belongie, ICCV 2017)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adain_jax.inference.stylizer import Stylizer
    from adain_jax.style import Style, adain, mix

__version__ = "0.1.0"
__all__ = ["Style", "Stylizer", "adain", "mix"]

_HOME = {"Style": "style", "Stylizer": "inference.stylizer", "adain": "style", "mix": "style"}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `infer.py --help` never waits for JAX."""
    if name in _HOME:
        return getattr(import_module(f"adain_jax.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
