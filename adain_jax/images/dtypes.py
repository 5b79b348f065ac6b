"""Pixels as bytes, as files and data sets hold them, and as the floats that networks take."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

A = TypeVar("A", jax.Array, np.ndarray)


def to_float(pixels: A) -> A:
    """Floats as they are; bytes as float32 in [0, 1]."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels


def from_float(pixels: Float[Array, "..."], dtype: DTypeLike) -> Array:
    """Pixels of a dtype of floats in any range, clipped to [0, 1]; bytes are rounded to nearest."""
    pixels = jnp.clip(pixels, 0, 1)
    return (pixels * 255 + 0.5).astype(jnp.uint8) if dtype == jnp.uint8 else pixels
