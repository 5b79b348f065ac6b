"""The fast network: the paper's own (figure 2) in small, distilled from VGG19.

A light encoder has learnt to see what VGG19 sees: its features stand for relu4_1, channel by channel.
AdaIN works on them alone, and a slim mirrored decoder paints from nothing else, so it cannot recolor
the content by way of finer features; it has to paint. The last layers follow nearest upsampling, which
cannot weave a pattern of single pixels as a shuffle of sub-pixels can.

Nearly everything happens at quarter and eighth size, which space-to-depth reaches without loss.
Convolutions are dense: on CPU, XLA computes grouped ones ten times slower.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.layers import PointwiseConv, ReflectConv, UpsampleConv
from adain_jax.nn.network import StyleNetwork
from adain_jax.nn.valid_size import Features, ValidSize, gather

T = TypeVar("T", int, Array)

SLOPE = 0.1
"""Of the rectifiers below 0."""


class Residual(nnx.Module):
    """x plus two convolutions of it, both of the same number of channels."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.conv_1 = ReflectConv(channels, channels, rngs=rngs)
        self.conv_2 = ReflectConv(channels, channels, rngs=rngs)

    def __call__(self, x: Features, size: ValidSize | None) -> Features:
        """A map of the same shape."""
        return x + self.conv_2(activate(self.conv_1(x, size)), size)


class FastEncoder(nnx.Module):
    """A stand-in for `VGG19Encoder.relu4_1` at a tenth of its cost."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.half = ReflectConv(12, 24, rngs=rngs)
        self.quarter = ReflectConv(96, 64, rngs=rngs)
        self.eighth = ReflectConv(256, 128, rngs=rngs)
        self.eighth_block_1 = Residual(128, rngs=rngs)
        self.eighth_block_2 = Residual(128, rngs=rngs)
        self.relu4_1 = PointwiseConv(128, 512, rngs=rngs)

    def __call__(
        self, x: Float[Array, "n h w 3"], size: ValidSize | None = None
    ) -> Float[Array, "n h//8 w//8 512"]:
        """Features like relu4_1 of pictures in [0, 1]; h and w are multiples of 8."""
        half, quarter, eighth = (None if size is None else size // s for s in (2, 4, 8))
        x = activate(self.half(space_to_depth(x), half))
        x = activate(self.quarter(space_to_depth(x), quarter))
        x = activate(self.eighth(space_to_depth(x), eighth))
        x = self.eighth_block_2(self.eighth_block_1(x, eighth), eighth)
        return jax.nn.relu(self.relu4_1(activate(x)))


class FastDecoder(nnx.Module):
    """A slim `Decoder`: from features like relu4_1 to the picture."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.relu4_1 = PointwiseConv(512, 128, rngs=rngs)
        self.eighth_block_1 = Residual(128, rngs=rngs)
        self.eighth_block_2 = Residual(128, rngs=rngs)
        self.eighth_block_3 = Residual(128, rngs=rngs)
        self.quarter = UpsampleConv(128, 64, rngs=rngs)
        self.quarter_block_1 = Residual(64, rngs=rngs)
        self.quarter_block_2 = Residual(64, rngs=rngs)
        self.half = UpsampleConv(64, 32, rngs=rngs)
        self.picture = UpsampleConv(32, 3, rngs=rngs)

    def __call__(
        self, x: Float[Array, "n h w 512"], size: ValidSize | None = None
    ) -> Float[Array, "n 8*h 8*w 3"]:
        """Pictures of features like relu4_1, near [0, 1] but not clipped."""
        quarter, half = (None if size is None else size * s for s in (2, 4))
        x = activate(self.relu4_1(x))
        for block in (self.eighth_block_1, self.eighth_block_2, self.eighth_block_3):
            x = block(x, size)
        x = activate(self.quarter(x, size))
        for block in (self.quarter_block_1, self.quarter_block_2):
            x = block(x, quarter)
        x = activate(self.half(x, quarter))
        return self.picture(x, half).astype(jnp.float32)


class FastNetwork(StyleNetwork):
    """Encoder, AdaIN at an eighth of the size, decoder; 2.2 million parameters."""

    encoder_radius = 46
    decoder_radius = 71
    bytes_per_pixel = 200

    def __init__(self, *, rngs: nnx.Rngs):
        self.encoder = FastEncoder(rngs=rngs)
        self.decoder = FastDecoder(rngs=rngs)

    def features(
        self, pictures: Features, size: ValidSize | None
    ) -> Float[Array, "n h//8 w//8 512"]:
        """The stand-in for relu4_1; h and w are multiples of 8."""
        return self.encoder(pictures, size)

    def pad_to_stride(
        self, x: Features, size: ValidSize | None
    ) -> tuple[Float[Array, "n _ _ c"], ValidSize | None]:
        """Mirrors pictures at their lower and right border up to a multiple of 8."""
        return mirror_to_multiple_of_8(x, size)


def activate(x: Features) -> Features:
    """Leaky, as plain rectifiers die: one bad batch of the style loss silences them for good."""
    return jax.nn.leaky_relu(x, SLOPE)


def space_to_depth(x: Features) -> Float[Array, "n h//2 w//2 4*c"]:
    """Each 2x2 block as one position of four times the channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


def mirror_to_multiple_of_8(
    x: Features, size: ValidSize | None
) -> tuple[Float[Array, "n _ _ c"], ValidSize | None]:
    """Pictures mirrored at their lower and right border up to a multiple of 8, and their sizes then."""
    n, h, w, _ = x.shape
    if size is not None:
        return gather(x, size, _mirrored), round_up(size)
    if (round_up(h), round_up(w)) == (h, w):
        return x, None
    return gather(x, jnp.array([[h, w]] * n), _mirrored), None


def round_up(length: T) -> T:
    """To a multiple of 8, the stride of the features."""
    return -(-length // 8) * 8


def _mirrored(length: int, size: Array) -> Array:
    i = jnp.arange(round_up(length))
    return jnp.where(i < size, i, 2 * size - 2 - i)
