"""The stylized picture as a viewer sees it, so that a decoder cannot please the losses alone.

Trained long enough on its raw output, a decoder finds two ways to lower both losses that nobody sees or
likes: values far outside [0, 1], which are lost when the picture is shown, and a mesh of four and eight
pixels that lies exactly on VGG19's pooling grid, where it decides every maximum.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from adain_jax.nn.valid_size import Features

GRID = 8
"""Pixels between two positions of relu4_1: a pattern can lie on the grid of all poolings."""


@jax.custom_vjp
def clip(pictures: Features) -> Features:
    """Pictures clipped to [0, 1].

    The gradient passes everywhere, except where following it would lead further out of the range: a
    value outside can come back, but gains nothing by going on.
    """
    return jnp.clip(pictures, 0, 1)


def _clip_forward(pictures: Array) -> tuple[Array, Array]:
    return clip(pictures), pictures


def _clip_backward(pictures: Array, gradient: Array) -> tuple[Array]:
    outwards = ((pictures > 1) & (gradient < 0)) | ((pictures < 0) & (gradient > 0))
    return (jnp.where(outwards, 0, gradient),)


clip.defvjp(_clip_forward, _clip_backward)


def random_corner(key: Array) -> Int[Array, "2"]:
    """Top and left of a window: each one of the `GRID` positions that a grid can have, int32."""
    return jax.random.randint(key, (2,), 0, GRID)


def window(pictures: Features, corner: Int[Array, "2"]) -> Float[Array, "n h-8 w-8 3"]:
    """The part of the pictures, `GRID` pixels less in height and width, that begins at a corner."""
    n, h, w, c = pictures.shape
    return jax.lax.dynamic_slice(pictures, (0, corner[0], corner[1], 0), (n, h - GRID, w - GRID, c))
