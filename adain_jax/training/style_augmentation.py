"""Styles in other colors, so that a network does not learn the palettes of its paintings by heart.

A decoder knows the styles it was trained on better than others, and nearly all of that is color: the
same paintings zoomed or upside down are as good as before, in the palettes of other paintings they are
as bad as new ones (see docs/notebook.md). So half of the styles get another palette. A few get vivid
colors besides, such as posters and comics have and paintings have not.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

OTHER_PALETTE = 0.5  # probability that a style gets another palette
VIVID = 0.05  # probability that it gets vivid colors

AXES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Light, red against blue, and green against both: an orthonormal basis of RGB."""

# Palettes of 1,984 paintings, all that are not gray: the means of the three coordinates, then the
# logarithms of their standard deviations, have this mean and this Cholesky factor of the covariance.
PALETTE_MEAN = np.array([0.744, 0.089, -0.005, -1.139, -2.403, -3.407])
PALETTE_FACTOR = np.array(
    [
        [0.224, 0, 0, 0, 0, 0],
        [-0.002, 0.077, 0, 0, 0, 0],
        [-0.006, 0.001, 0.032, 0, 0, 0],
        [0.063, -0.041, 0.014, 0.269, 0, 0],
        [0.023, 0.055, 0.038, 0.027, 0.452, 0],
        [0.044, 0.114, 0.029, 0.031, 0.387, 0.385],
    ]
)


def augment_styles(keys: Array, styles: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
    """Changes the colors of styles at random, each by its own key.

    Args:
        keys: one random key for each style, (n,).
        styles: float32 pictures in [0, 1].

    Returns:
        float32, in [0, 1].
    """

    def augment(key: Array, style: Array) -> Array:
        keys = jax.random.split(key, 4)
        changed = other_palette(keys[0], style)
        style = jnp.where(jax.random.bernoulli(keys[1], OTHER_PALETTE), changed, style)
        return jnp.where(jax.random.bernoulli(keys[2], VIVID), vivid(keys[3], style), style)

    return jax.vmap(augment)(keys, styles)


def other_palette(key: Array, picture: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Gives a picture a palette such as paintings have, by half or more of the way there.

    After Reinhard et al. (2001), "Color Transfer between Images": mean and standard deviation along
    decorrelated axes become those of the palette, which is drawn from a normal distribution.

    Args:
        key: a random key, ().
        picture: float32 in [0, 1].

    Returns:
        float32, in [0, 1].
    """
    palette_key, share_key = jax.random.split(key)
    drawn = jnp.asarray(PALETTE_MEAN + PALETTE_FACTOR @ jax.random.normal(palette_key, (6,)))
    share = jax.random.uniform(share_key, minval=0.5, maxval=1.0)
    return picture + share * (in_palette(picture, drawn[:3], jnp.exp(drawn[3:])) - picture)


def in_palette(
    picture: Float[Array, "h w 3"], mean: Float[Array, "3"], std: Float[Array, "3"]
) -> Float[Array, "h w 3"]:
    """The picture, float32 in [0, 1], with this mean and deviation along each of `AXES`.

    As far as its contrast allows and as the result, in [0, 1] too, can hold them.
    """
    x = _mapped(picture, AXES.T)
    # More than 2.5 times its own contrast would show the marks of compression.
    gain = jnp.clip(std / (x.std((0, 1)) + 1e-3), 0.4, 2.5)
    return jnp.clip(_mapped((x - x.mean((0, 1))) * gain + mean, AXES), 0, 1)


def vivid(key: Array, picture: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Turns the hues of a picture, and changes saturation (up to 3.3 times), contrast and gamma.

    Args and result are those of `other_palette`.
    """
    keys = jax.random.split(key, 4)
    angle = jax.random.uniform(keys[0], maxval=2 * jnp.pi)
    saturation = jnp.exp(jax.random.uniform(keys[1], maxval=1.2))
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    turn = jnp.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    changed = _mapped(picture, AXES.T @ turn.T @ AXES)
    contrast = jnp.exp(jax.random.uniform(keys[2], minval=-0.2, maxval=0.6))
    mean = changed.mean()
    # Avoids 0, where the gradient of a power is infinite. Styles are data and need no gradient.
    changed = jnp.clip(mean + contrast * (changed - mean), 1e-6, 1)
    return changed ** jnp.exp(jax.random.uniform(keys[3], minval=-0.4, maxval=0.4))


def _mapped(picture: Float[Array, "h w 3"], matrix: Any) -> Float[Array, "h w 3"]:
    """A linear map of colors, which TPUs would else round so much that steps are seen."""
    return jnp.matmul(picture, matrix, precision="highest")
