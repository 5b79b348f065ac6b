"""The fast network: AdaIN at three scales between a small encoder and decoder of its own.

The paper's idea without VGG19 at run time: an encoder, its features given the style's channel
statistics, a decoder. Everything happens at half, quarter and eighth size, which space-to-depth
reaches without loss; each scale hands AdaIN-normalised features to the decoder, so that fine detail
need not pass through the eighth. The decoder looks at neighbourhoods only: all statistics are of the
encoder's features. Convolutions are dense: on CPU, XLA computes grouped ones ten times slower.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from adain_jax.nn.layers import Frame, ReflectConv, Size, UpsampleConv, gather
from adain_jax.nn.network import Scale, StyleNetwork
from adain_jax.weights import CHANNELS

T = TypeVar("T", int, Array)


class FastNetwork(StyleNetwork):
    """Encoder, AdaIN at three scales, decoder; 1.3 million parameters."""

    strides = (2, 4, 8)
    channels = (24, 64, 128)
    encoder_reach = (2, 14, 38)
    decoder_reach = (2, 20, 56)
    recomputed = 1
    bytes_per_pixel = 200

    def __init__(self, *, rngs: nnx.Rngs):
        for name, channels in CHANNELS["fast"].items():
            layer = UpsampleConv if name in ("half_2", "quarter_4") else ReflectConv
            setattr(self, name, layer(*channels, rngs=rngs))

    def encode(self, pictures: Frame, size: Size | None) -> list[Scale]:
        """The features at half, quarter and eighth size; h and w are multiples of 8."""
        half, quarter, eighth = (None if size is None else size // s for s in self.strides)
        fine = self._apply("half_1", space_to_depth(pictures), half)
        middle = _activate(self._apply("quarter_1", space_to_depth(_activate(fine)), quarter))
        middle = self._residual(middle, "quarter", 2, quarter)
        coarse = _activate(self._apply("eighth_1", mean_pool(middle), eighth))
        coarse = self._residual(coarse, "eighth", 2, eighth)
        return [Scale(fine, half), Scale(middle, quarter), Scale(coarse, eighth)]

    def decode(self, scales: list[Scale]) -> Frame:
        """Pictures (n, 8h, 8w, 3) in [0, 1] of features, of which the coarsest are (n, h, w, 128)."""
        (fine, half), (middle, quarter), (x, eighth) = scales
        for first in (4, 6):
            x = self._residual(x, "eighth", first, eighth)
        x = _activate(self._apply("quarter_4", x, eighth) + middle)
        for first in (5, 7):
            x = self._residual(x, "quarter", first, quarter)
        x = _activate(self._apply("half_2", x, quarter) + fine)
        return jax.nn.sigmoid(depth_to_space(self._apply("half_3", x, half)).astype(jnp.float32))

    def fit(self, x: Frame, size: Size | None) -> tuple[Frame, Size | None]:
        """Mirrors pictures at their lower and right border up to a multiple of 8."""
        n, h, w, _ = x.shape
        if size is not None:
            return gather(x, size, _mirrored), round_up(size)
        if (round_up(h), round_up(w)) == (h, w):
            return x, None
        return gather(x, jnp.array([[h, w]] * n), _mirrored), None

    def _residual(self, x: Frame, scale: str, first: int, size: Size | None) -> Frame:
        """x plus two convolutions of it."""
        inner = _activate(self._apply(f"{scale}_{first}", x, size))
        return x + self._apply(f"{scale}_{first + 1}", inner, size)

    def _apply(self, name: str, x: Frame, size: Size | None) -> Frame:
        layer: ReflectConv = getattr(self, name)
        return layer(x, size)


def _activate(x: Frame) -> Frame:
    """Leaky, as plain rectifiers die: one bad batch of the style loss silences them for good."""
    return jax.nn.leaky_relu(x, 0.1)


def space_to_depth(x: Frame) -> Frame:
    """Each 2x2 block as one position of four times the channels."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


def depth_to_space(x: Frame) -> Frame:
    """The inverse of `space_to_depth`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)


def mean_pool(x: Frame) -> Frame:
    """The means of 2x2 blocks."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4), dtype=x.dtype)


def round_up(length: T) -> T:
    """To a multiple of 8, the coarsest stride."""
    return -(-length // 8) * 8


def _mirrored(length: int, size: Array) -> Array:
    i = jnp.arange(round_up(length))
    return jnp.where(i < size, i, 2 * size - 2 - i)
