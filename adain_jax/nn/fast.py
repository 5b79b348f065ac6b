"""The fast network: AdaIN at three scales between a small encoder and decoder of its own.

The paper's idea without VGG19 at run time: an encoder, its features given the style's channel
statistics, a decoder. Everything happens at half, quarter and eighth size, which space-to-depth
reaches without loss; each scale hands AdaIN-normalised features to the decoder, so that fine detail
need not pass through the eighth. The decoder looks at neighbourhoods only: all statistics are of the
encoder's features. Convolutions are dense: on CPU, XLA computes grouped ones ten times slower.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.layers import Frame, ReflectConv, Size, UpsampleConv, inside
from adain_jax.style import Style, adain, adain_regions, blend, shrink_masks, statistics
from adain_jax.weights import CHANNELS

STRIDES = (2, 4, 8)
WIDTHS = (24, 64, 128)  # channels at each stride
STRIDE = STRIDES[-1]


class FastNetwork(nnx.Module):
    """Encoder, AdaIN at every scale, decoder; about 1.3 million parameters.

    The three scales' channels lie side by side in its `Style`, 216 in all.
    """

    def __init__(self, *, rngs: nnx.Rngs):
        for name, channels in CHANNELS["fast"].items():
            layer = UpsampleConv if name in ("half_2", "quarter_4") else ReflectConv
            setattr(self, name, layer(*channels, rngs=rngs))

    def encode_style(self, pictures: Frame, size: Size | None = None) -> Style:
        """Statistics (n, 216) of the pictures' features."""
        scales = self._encode(*_extend(pictures, size))
        styles = [
            statistics(x, None if real is None else inside(x, real).astype(jnp.float32))
            for x, real in scales
        ]
        return Style(*(jnp.concatenate(leaves, -1) for leaves in _leaves(styles)))

    def __call__(
        self,
        contents: Frame,
        styles: Style,
        alpha: float | Float[Array, " n"] = 1.0,
        masks: Float[Array, "n h w r"] | None = None,
        size: Size | None = None,
    ) -> Frame:
        """Stylised pictures, as `VGG19Network` gives them.

        Args:
            contents: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            styles: statistics (216,) or (n, 216); with masks (r, 216) or (n, r, 216).
            alpha: strength, one number or one per picture.
            masks: soft regions at picture size, or None for one region.
            size: real sizes, see `adain_jax.nn.layers`.

        Returns:
            float32 (n, H, W, 3), h and w rounded up to multiples of 8; not clipped.
        """
        transformed, reals = [], []
        scales = self._encode(*_extend(contents, size))
        if masks is not None:
            masks, size = _extend(masks, size)
        for (x, real), stride, style in zip(scales, STRIDES, _split(styles), strict=True):
            weights = None if real is None else inside(x, real)
            if masks is None:
                stylised = adain(x, style, weights=weights)
            else:
                stylised = adain_regions(x, style, shrink_masks(masks, stride, size), weights)
            transformed.append(blend(x, stylised, alpha).astype(x.dtype))
            reals.append(real)
        return self._decode(transformed, reals)

    def _encode(self, x: Frame, size: Size | None) -> list[tuple[Frame, Size | None]]:
        """The features at half, quarter and eighth size, and their real sizes."""
        half = None if size is None else size // 2
        quarter = None if size is None else size // 4
        eighth = None if size is None else size // 8
        fine = self._apply("half_1", space_to_depth(x), half)
        middle = jax.nn.relu(self._apply("quarter_1", space_to_depth(jax.nn.relu(fine)), quarter))
        middle = self._residual(middle, "quarter", 2, quarter)
        coarse = jax.nn.relu(self._apply("eighth_1", mean_pool(middle), eighth))
        coarse = self._residual(coarse, "eighth", 2, eighth)
        return [(fine, half), (middle, quarter), (coarse, eighth)]

    def _decode(self, features: list[Frame], sizes: list[Size | None]) -> Frame:
        (fine, middle, coarse), (half, quarter, eighth) = features, sizes
        for first in (4, 6):
            coarse = self._residual(coarse, "eighth", first, eighth)
        x = jax.nn.relu(self._apply("quarter_4", coarse, eighth) + middle)
        for first in (5, 7):
            x = self._residual(x, "quarter", first, quarter)
        x = jax.nn.relu(self._apply("half_2", x, quarter) + fine)
        return depth_to_space(self._apply("half_3", x, half)).astype(jnp.float32)

    def _residual(self, x: Frame, scale: str, first: int, size: Size | None) -> Frame:
        """x plus two convolutions of it."""
        inner = jax.nn.relu(self._apply(f"{scale}_{first}", x, size))
        return x + self._apply(f"{scale}_{first + 1}", inner, size)

    def _apply(self, name: str, x: Frame, size: Size | None) -> Frame:
        layer: ReflectConv = getattr(self, name)
        return layer(x, size)


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


def _extend(x: Frame, size: Size | None) -> tuple[Frame, Size | None]:
    """Pictures mirrored at their lower and right border up to a multiple of 8, and those sizes."""
    n, h, w, _ = x.shape
    real = jnp.array([[h, w]] * n) if size is None else size
    frame = -(-h // STRIDE) * STRIDE, -(-w // STRIDE) * STRIDE
    if size is None and frame == (h, w):
        return x, None

    def gather(x: Array, real: Array) -> Array:
        rows, columns = (_mirrored(length, real[i]) for i, length in enumerate(frame))
        return x.at[rows[:, None], columns].get(mode="promise_in_bounds")

    x = jax.vmap(gather)(x, real)
    return x, None if size is None else -(-size // STRIDE) * STRIDE


def _mirrored(length: int, size: Array) -> Array:
    i = jnp.arange(length)
    return jnp.clip(jnp.where(i < size, i, 2 * size - 2 - i), 0, size - 1)


def _split(style: Style) -> list[Style]:
    """The styles of the three scales."""
    ends = (WIDTHS[0], WIDTHS[0] + WIDTHS[1])
    leaves = zip(*(jnp.split(x, ends, axis=-1) for x in (style.mean, style.std)), strict=True)
    return [Style(mean, std) for mean, std in leaves]


def _leaves(styles: list[Style]) -> tuple[list[Array], list[Array]]:
    return [jnp.asarray(s.mean) for s in styles], [jnp.asarray(s.std) for s in styles]
