"""Random changes of styles before they are encoded, so that a network sees more than its paintings.

The changes: hue, order and sign of the channels, saturation, contrast, gamma, and scale of the crop.
Bright colors matter most: paintings have few, posters and comics many, and a network that never saw
them fails on them (see docs/notebook.md).
"""

import dm_pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adain_jax.training.config import Config

PROBABILITY = 0.5  # probability that a style keeps its colors
SCALE = 2.0  # crops show windows of half to double their side


def window_side(config: Config) -> int:
    """Returns the side in pixels of the windows that crops of styles are taken from.

    With augmentation, windows leave room for the largest scale, but not more than `config.resize`.
    """
    if not config.augment_styles:
        return config.crop
    return min(int(SCALE * config.crop), config.resize)


def augment_styles(
    keys: Array, windows: Float[Array, "n side side 3"], crop: int
) -> Float[Array, "n crop crop 3"]:
    """Changes styles at random, each by its own key.

    Args:
        keys: one random key for each style, (n,).
        windows: float32 pictures in [0, 1], squares with the side `window_side`.
        crop: side of the results in pixels.

    Returns:
        float32 (n, crop, crop, 3) in [0, 1].
    """
    return jax.vmap(lambda key, window: _augment(key, window, crop))(keys, windows)


def _augment(key: Array, window: Float[Array, "side side 3"], crop: int) -> Array:
    scale_key, color_key = jax.random.split(key)
    return _change_colors(color_key, _rescaled_crop(scale_key, window, crop))


def _rescaled_crop(key: Array, window: Float[Array, "side side 3"], crop: int) -> Array:
    """A random square of the window, from crop / SCALE to all of it, resized to `crop`."""
    side = window.shape[0]
    scale_key, corner_key = jax.random.split(key)
    smallest, largest = crop / SCALE, float(side)
    # The logarithm is uniform: half and double are equally likely.
    taken = jnp.exp(
        jax.random.uniform(scale_key, minval=jnp.log(smallest), maxval=jnp.log(largest))
    )
    corner = jax.random.uniform(corner_key, (2,)) * (side - taken)
    scale = jnp.full(2, crop / taken)
    resized = jax.image.scale_and_translate(
        window, (crop, crop, 3), (0, 1), scale, -corner * scale, "linear"
    )
    return jnp.clip(resized, 0, 1)


def _change_colors(key: Array, picture: Float[Array, "h w 3"]) -> Array:
    keys = jax.random.split(key, 8)
    changed = dm_pix.adjust_hue(picture, jax.random.uniform(keys[0], minval=-0.5, maxval=0.5))
    changed = changed[..., jax.random.permutation(keys[1], 3)]
    changed = jnp.where(jax.random.bernoulli(keys[2], 0.2), 1 - changed, changed)
    gray = jnp.broadcast_to(dm_pix.rgb_to_grayscale(changed), changed.shape)
    saturation = jnp.exp(jax.random.uniform(keys[5], minval=-0.3, maxval=1.1))
    saturation *= jax.random.bernoulli(keys[7], 0.9)  # else gray
    changed = jnp.clip(gray + saturation * (changed - gray), 0, 1)
    contrast = jnp.exp(jax.random.uniform(keys[3], minval=-0.5, maxval=0.5))
    changed = jnp.clip(dm_pix.adjust_contrast(changed, contrast), 0, 1)
    gamma = jnp.exp(jax.random.uniform(keys[4], minval=-0.5, maxval=0.5))
    # Avoids 0, where the gradient of a power is infinite. Styles are data and need no gradient.
    changed = jnp.maximum(changed, 1e-6) ** gamma
    return jnp.where(jax.random.bernoulli(keys[6], PROBABILITY), picture, changed)
