"""Pixels as bytes, as files and data sets hold them, and as the floats that networks take.

These work on NumPy and JAX arrays alike, and under `jit`.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    import jax

A = TypeVar("A", "jax.Array", np.ndarray)

Picture = Float[np.ndarray, "h w c"]
Pixels = UInt8[np.ndarray, "h w c"]


def to_float(pixels: A) -> A:
    """Bytes as float32 in [0, 1]; floats stay as they are."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels


def to_uint8(pixels: A) -> A:
    """Floats as bytes, clipped to [0, 1] and rounded to nearest; bytes stay as they are."""
    return pixels if pixels.dtype == np.uint8 else from_float(pixels, np.uint8)


def from_float(pixels: A, dtype: DTypeLike) -> A:
    """Floats of any range clipped to [0, 1], as bytes if `dtype` is uint8 and as floats otherwise."""
    clipped = pixels.clip(0, 1)
    return (clipped * 255 + 0.5).astype(np.uint8) if dtype == np.uint8 else clipped
