"""Pixels as uint8, as in files and data sets, and as float, as networks take them.

The functions take NumPy or JAX arrays of any shape, and work under `jit`.
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    import jax

A = TypeVar("A", "jax.Array", np.ndarray)

# Pictures overshoot [0, 1] by less, even in colors transferred by CORAL; those in 0..255 by more.
LARGEST_FLOAT = 8

Picture = Float[np.ndarray, "h w c"]
Pixels = UInt8[np.ndarray, "h w c"]


def to_float(pixels: A) -> A:
    """Converts uint8 to float32 in [0, 1]; floats stay as they are."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels


def to_uint8(pixels: A) -> A:
    """Clips floats to [0, 1] and rounds them to uint8 in 0..255; uint8 stays as it is."""
    return pixels if pixels.dtype == np.uint8 else from_float(pixels, np.uint8)


def from_float(pixels: A, dtype: DTypeLike) -> A:
    """Clips floats to [0, 1]; if `dtype` is uint8, also rounds them to uint8 in 0..255."""
    clipped = pixels.clip(0, 1)
    return (clipped * 255 + 0.5).astype(np.uint8) if np.dtype(dtype) == np.uint8 else clipped
