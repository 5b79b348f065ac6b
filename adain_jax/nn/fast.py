"""The fast network: AdaIN at three scales between a small encoder and decoder of its own.

The paper's idea without VGG19 at run time: an encoder, its features given the style's channel
statistics, a decoder. Everything happens at half, quarter and eighth size, which space-to-depth
reaches without loss; each scale hands AdaIN-normalized features to the decoder, so that fine detail
need not pass through the eighth. The decoder looks at neighborhoods only: all statistics are of the
encoder's features. Convolutions are dense: on CPU, XLA computes grouped ones ten times slower.

The picture leaves by a shuffle of sub-pixels, which can weave a pattern of period two cheaply; the
style loss of the first layers rewards it and the eye does not. A fixed filter after the shuffle takes
that frequency out, in training too, so that nothing is gained by it.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.layers import ReflectConv, UpsampleConv
from adain_jax.nn.network import FeatureMap, StyleNetwork
from adain_jax.nn.valid_size import Features, ValidSize, gather, pad

T = TypeVar("T", int, Array)

SMOOTHING = (-1 / 8, 2 / 8, 6 / 8, 2 / 8, -1 / 8)
"""Along rows and columns: 0 at the highest frequency, about 1 up to half of it."""


class FastNetwork(StyleNetwork):
    """Encoder, AdaIN at three scales, decoder; 1.3 million parameters."""

    strides = (2, 4, 8)
    channels = (24, 64, 128)
    encoder_radius = (2, 14, 38)
    decoder_radius = (4, 22, 58)
    rematerialized = 1
    bytes_per_pixel = 200

    def __init__(self, *, rngs: nnx.Rngs):
        self.half_1 = ReflectConv(12, 24, rngs=rngs)
        self.quarter_1 = ReflectConv(96, 64, rngs=rngs)
        self.quarter_2 = ReflectConv(64, 64, rngs=rngs)
        self.quarter_3 = ReflectConv(64, 64, rngs=rngs)
        self.eighth_1 = ReflectConv(64, 128, rngs=rngs)
        self.eighth_2 = ReflectConv(128, 128, rngs=rngs)
        self.eighth_3 = ReflectConv(128, 128, rngs=rngs)
        # From here on the decoder.
        self.eighth_4 = ReflectConv(128, 128, rngs=rngs)
        self.eighth_5 = ReflectConv(128, 128, rngs=rngs)
        self.eighth_6 = ReflectConv(128, 128, rngs=rngs)
        self.eighth_7 = ReflectConv(128, 128, rngs=rngs)
        self.quarter_4 = UpsampleConv(128, 64, rngs=rngs)
        self.quarter_5 = ReflectConv(64, 64, rngs=rngs)
        self.quarter_6 = ReflectConv(64, 64, rngs=rngs)
        self.quarter_7 = ReflectConv(64, 64, rngs=rngs)
        self.quarter_8 = ReflectConv(64, 64, rngs=rngs)
        self.half_2 = UpsampleConv(64, 24, rngs=rngs)
        self.half_3 = ReflectConv(24, 12, rngs=rngs)

    def feature_maps(self, pictures: Features, size: ValidSize | None) -> list[FeatureMap]:
        """The features at half, quarter and eighth size; h and w are multiples of 8."""
        half, quarter, eighth = (None if size is None else size // s for s in self.strides)
        fine = self.half_1(space_to_depth(pictures), half)
        middle = activate(self.quarter_1(space_to_depth(activate(fine)), quarter))
        middle = _residual(middle, self.quarter_2, self.quarter_3, quarter)
        coarse = activate(self.eighth_1(mean_pool(middle), eighth))
        coarse = _residual(coarse, self.eighth_2, self.eighth_3, eighth)
        return [FeatureMap(fine, half), FeatureMap(middle, quarter), FeatureMap(coarse, eighth)]

    def decode(self, scales: list[FeatureMap]) -> Float[Array, "n h w 3"]:
        """Pictures (n, 8h, 8w, 3) in [0, 1] of features, of which the coarsest are (n, h, w, 128)."""
        (fine, half), (middle, quarter), (x, eighth) = scales
        x = _residual(x, self.eighth_4, self.eighth_5, eighth)
        x = _residual(x, self.eighth_6, self.eighth_7, eighth)
        x = activate(self.quarter_4(x, eighth) + middle)
        x = _residual(x, self.quarter_5, self.quarter_6, quarter)
        x = _residual(x, self.quarter_7, self.quarter_8, quarter)
        x = activate(self.half_2(x, quarter) + fine)
        x = pad(self.half_3(x, half), half, mode="edge")  # room for the filter
        return jax.nn.sigmoid(smooth(depth_to_space(x).astype(jnp.float32)))

    def pad_to_stride(
        self, x: Features, size: ValidSize | None
    ) -> tuple[Float[Array, "n _ _ c"], ValidSize | None]:
        """Mirrors pictures at their lower and right border up to a multiple of 8."""
        return mirror_to_multiple_of_8(x, size)


def _residual(
    x: Features, first: ReflectConv, second: ReflectConv, size: ValidSize | None
) -> Features:
    """x plus two convolutions of it."""
    return x + second(activate(first(x, size)), size)


def activate(x: Features) -> Features:
    """Leaky, as plain rectifiers die: one bad batch of the style loss silences them for good."""
    return jax.nn.leaky_relu(x, 0.1)


def smooth(x: Features) -> Float[Array, "n h-4 w-4 c"]:
    """The picture without its highest frequency, and two pixels less on each side."""
    for axis in (1, 2):
        length = x.shape[axis] - len(SMOOTHING) + 1
        shifted = [jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i in range(len(SMOOTHING))]
        x = sum((w * part for w, part in zip(SMOOTHING, shifted, strict=True)), jnp.zeros(()))
    return x


def space_to_depth(x: Features) -> Float[Array, "n h//2 w//2 4*c"]:
    """Each 2x2 block as one position of four times the channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


def depth_to_space(x: Features) -> Float[Array, "n 2*h 2*w c//4"]:
    """The inverse of `space_to_depth`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)


def mean_pool(x: Features) -> Float[Array, "n h//2 w//2 c"]:
    """The means of 2x2 blocks."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4), dtype=x.dtype)


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
    """To a multiple of 8, the coarsest stride."""
    return -(-length // 8) * 8


def _mirrored(length: int, size: Array) -> Array:
    i = jnp.arange(round_up(length))
    return jnp.where(i < size, i, 2 * size - 2 - i)
