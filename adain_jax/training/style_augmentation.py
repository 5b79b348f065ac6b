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
POSTER = 0.05  # probability that it becomes a poster
MOST_COLORS = 5  # of a poster

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
        for change, probability in (
            (other_palette, OTHER_PALETTE),
            (vivid, VIVID),
            (poster, POSTER),
        ):
            key, chance_key, change_key = jax.random.split(key, 3)
            chosen = jax.random.bernoulli(chance_key, probability)
            style = jnp.where(chosen, change(change_key, style), style)
        return style

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


def poster(key: Array, picture: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Redraws a picture in two to five flat colors, as posters, comics, mosaics and prints have them.

    Its light, blurred, is cut at random levels, and what lies between two of them gets a color of its
    own. In two of five, dots, tiles or stripes are laid over the light before, and in two of five black
    lines part the colors. Up to a quarter of the picture's own contrast stays, as paper and brush
    leave it.

    Args and result are those of `other_palette`.
    """
    keys = jax.random.split(key, 8)
    sigma = jnp.exp(jax.random.uniform(keys[0], minval=-0.7, maxval=1.2))
    field = _blurred(picture.mean(-1), sigma)
    field = (field - field.mean()) / (field.std() + 1e-3) + _pattern(keys[1], field.shape)
    cuts = jnp.sort(jax.random.uniform(keys[2], (MOST_COLORS - 1,), minval=0.05, maxval=0.95))
    levels = jnp.quantile(field[::4, ::4], cuts)  # one pixel in 16 tells them, and is sorted faster
    used = jnp.arange(MOST_COLORS - 1) < jax.random.randint(keys[3], (), 1, MOST_COLORS)
    slope = jnp.hypot(*jnp.gradient(field)) + 1e-3
    above = (field - levels[:, None, None]) / slope  # pixels from each edge
    above = jnp.where(used[:, None, None], above, -jnp.inf)

    colors = _bright_colors(keys[4], MOST_COLORS)
    result = jnp.broadcast_to(colors[0], picture.shape)
    for color, share in zip(colors[1:], jnp.clip(above + 0.5, 0, 1), strict=True):
        result += share[..., None] * (color - result)
    width = jnp.where(
        jax.random.bernoulli(keys[5], 0.4),
        jax.random.uniform(keys[6], minval=0.5, maxval=2.0),
        -1.0,
    )
    result *= 1 - jnp.clip(width + 0.5 - jnp.abs(above).min(0), 0, 1)[..., None]
    trace = jax.random.uniform(keys[7], maxval=0.25)
    return jnp.clip(result + trace * (picture - picture.mean()), 0, 1)


def _blurred(x: Float[Array, "h w"], sigma: Array) -> Float[Array, "h w"]:
    """Blurs by a Gaussian of `sigma` pixels; what lies outside is left out of its means."""

    def weights(n: int) -> Float[Array, "n n"]:
        distance = jnp.arange(n)[:, None] - jnp.arange(n)
        return jax.nn.softmax(-jnp.square(distance / sigma) / 2)

    rows, columns = map(weights, x.shape)
    return jnp.einsum("ih,hw,jw->ij", rows, x, columns, precision="highest")


def _pattern(key: Array, shape: tuple[int, ...]) -> Float[Array, "h w"]:
    """Dots, tiles or stripes, 8 to 55 pixels from one to the next; three times in five nothing."""
    keys = jax.random.split(key, 5)
    angle = jax.random.uniform(keys[0], maxval=jnp.pi)
    period = jnp.exp(jax.random.uniform(keys[1], minval=2.1, maxval=4.0))
    y, x = (2 * jnp.pi / period * axis for axis in jnp.indices(shape))
    waves = jnp.cos(x * jnp.cos(angle) + y * jnp.sin(angle))
    crossing = jnp.cos(y * jnp.cos(angle) - x * jnp.sin(angle))
    strength = jax.random.uniform(keys[2], minval=0.5, maxval=3.0)
    strength *= jax.random.bernoulli(keys[3], 0.4)
    return strength * (waves + jax.random.bernoulli(keys[4], 0.6) * crossing)


def _bright_colors(key: Array, count: int) -> Float[Array, "count 3"]:
    """Colors of all hues, mostly strong and light; one in five is black or white."""
    color_key, gray_key = jax.random.split(key)
    hue, saturation, value = jax.random.uniform(color_key, (3, count, 1))
    pure = jnp.clip(jnp.abs((hue + jnp.array([0, 1 / 3, 2 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    colors = jnp.sqrt(value) * (1 + jnp.sqrt(saturation) * (pure - 1))
    return jnp.where(jax.random.bernoulli(gray_key, 0.2, (count, 1)), jnp.round(value), colors)


def _mapped(picture: Float[Array, "h w 3"], matrix: Any) -> Float[Array, "h w 3"]:
    """A linear map of colors, which TPUs would else round so much that steps are seen."""
    return jnp.matmul(picture, matrix, precision="highest")
