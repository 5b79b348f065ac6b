"""The losses of section 6.2, equations 11 to 13, and their variants.

Conventions: the original release sums the style loss over channels and weighs it with 0.1; most PyTorch
versions average it over channels and weigh it with 10. A layer of C channels with weight w in the mean
convention counts as much as with w / C in the sum convention.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import Taps
from adain_jax.style import Style, adain, statistics

Scalar = Float[Array, ""]


def content_loss(features: Features, target: Features) -> Scalar:
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

    def gram(x: Features) -> Float[Array, "n c c"]:
        x = x.astype(jnp.float32)
        return jnp.einsum("nhwc,nhwd->ncd", x, x) / (x.shape[1] * x.shape[2])

    losses = {}
    for name, tap, style in zip(taps._fields, taps, style_taps, strict=True):
        squares = jnp.square(gram(tap) - gram(style)).mean(-1)
        losses[name] = squares.mean() if mean_over_channels else squares.sum(-1).mean()
    return losses


def adain_losses(
    taps: Taps,
    content_relu4_1: Features,
    style_taps: Taps,
    *,
    content_target: str = "adain",
    style_statistic: str = "moments",
    mean_over_channels: bool = False,
) -> dict[str, Scalar]:
    """The losses of equations 12 and 13 of stylized pictures, unweighted.

    Args:
        taps: VGG19's features of the stylized pictures.
        content_relu4_1: of the contents.
        style_taps: of the styles.
        content_target: "adain", the output of AdaIN, or "content", the content's own features.
        style_statistic: "moments" (eq. 13) or "gram".
        mean_over_channels: the style loss averages over channels instead of summing.

    Returns:
        `content_loss`; `style_loss`, the sum of `style_loss/relu1_1` ... `style_loss/relu4_1`.
    """
    styles = tuple(statistics(tap) for tap in style_taps)
    target = content_relu4_1
    if content_target == "adain":
        target = adain(content_relu4_1, styles[-1])
    if style_statistic == "gram":
        layers = gram_losses(taps, style_taps, mean_over_channels=mean_over_channels)
    else:
        layers = style_losses(taps, styles, mean_over_channels=mean_over_channels)
    return {
        "content_loss": content_loss(taps.relu4_1, target),
        "style_loss": sum(layers.values(), jnp.zeros(())),
        **{f"style_loss/{name}": value for name, value in layers.items()},
    }


def pixel_loss(pictures: Features, target: Features) -> Scalar:
    """Mean absolute difference of pixels."""
    return jnp.abs(pictures - target).mean()


def total_variation(pictures: Features) -> Scalar:
    """Mean squared difference of neighboring pixels."""
    down = jnp.square(pictures[:, 1:] - pictures[:, :-1]).mean()
    right = jnp.square(pictures[:, :, 1:] - pictures[:, :, :-1]).mean()
    return down + right
