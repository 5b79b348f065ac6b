"""The losses of section 6.2, equations 11 to 13, and their variants.

Conventions: the original release sums the style loss over channels and weighs it with 0.1; most PyTorch
versions average it over channels and weigh it with 10. A layer of C channels with weight w in the mean
convention counts as much as with w / C in the sum convention.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from adain_jax.nn.layers import Frame
from adain_jax.nn.vgg19 import Taps
from adain_jax.style import Style, statistics

Scalar = Float[Array, ""]


def content_loss(features: Frame, target: Frame) -> Scalar:
    """Equation 12: mean squared difference of relu4_1 to the target."""
    return jnp.mean(jnp.square(features.astype(jnp.float32) - target.astype(jnp.float32)))


def style_losses(
    taps: Taps, styles: tuple[Style, ...], *, mean_over_channels: bool = False
) -> dict[str, Scalar]:
    """Equation 13, per layer: squared differences of channel means and standard deviations.

    Summed (or averaged) over channels, averaged over the batch.
    """
    losses = {}
    for name, tap, style in zip(taps._fields, taps, styles, strict=True):
        own = statistics(tap)
        squares = jnp.square(own.mean - style.mean) + jnp.square(own.std - style.std)
        losses[name] = squares.mean() if mean_over_channels else squares.sum(-1).mean()
    return losses


def gram_losses(
    taps: Taps, style_taps: Taps, *, mean_over_channels: bool = False
) -> dict[str, Scalar]:
    """Gatys et al.'s style loss per layer: squared differences of Gram matrices (per position)."""

    def gram(x: Frame) -> Float[Array, "n c c"]:
        x = x.astype(jnp.float32)
        return jnp.einsum("nhwc,nhwd->ncd", x, x) / (x.shape[1] * x.shape[2])

    losses = {}
    for name, tap, style in zip(taps._fields, taps, style_taps, strict=True):
        squares = jnp.square(gram(tap) - gram(style)).mean(-1)
        losses[name] = squares.mean() if mean_over_channels else squares.sum(-1).mean()
    return losses


def total_variation(pictures: Frame) -> Scalar:
    """Mean squared difference of neighbouring pixels."""
    down = jnp.square(pictures[:, 1:] - pictures[:, :-1]).mean()
    right = jnp.square(pictures[:, :, 1:] - pictures[:, :, :-1]).mean()
    return down + right
