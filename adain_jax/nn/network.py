"""What all networks here have in common (figure 2 of the paper): encoder, AdaIN, decoder."""

from itertools import accumulate
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.layers import Frame, Size, inside
from adain_jax.style import Style, adain, adain_regions, blend, shrink_masks, statistics


class Scale(NamedTuple):
    """Features of one resolution, and the real sizes there (None: they fill the frame)."""

    features: Frame
    size: Size | None

    @property
    def real(self) -> Array | None:
        """Which positions hold a picture: bool (n, h, w), or None for all."""
        return None if self.size is None else inside(self.features, self.size)


class StyleNetwork(nnx.Module):
    """AdaIN at one or more scales between an encoder and a decoder. For inference and training.

    Networks differ in `encode` and `decode`. The decoder looks at neighbourhoods only: all statistics
    are of the encoder's features. In a `Style` the channels of all scales lie side by side.
    """

    strides: ClassVar[tuple[int, ...]]
    """Pixels per feature of each scale, the finest first; the last is a multiple of the others."""
    channels: ClassVar[tuple[int, ...]]
    """Of each scale."""

    def encode(self, pictures: Frame, size: Size | None) -> list[Scale]:
        """The features that AdaIN works on, scale by scale."""
        raise NotImplementedError

    def decode(self, scales: list[Scale]) -> Frame:
        """Pictures (n, H, W, 3) of features, H and W rounded up to the last stride; not clipped."""
        raise NotImplementedError

    def fit(self, x: Frame, size: Size | None) -> tuple[Frame, Size | None]:
        """Pictures, or masks, as `encode` takes them, and their sizes then."""
        return x, size

    def encode_style(self, pictures: Frame, size: Size | None = None) -> Style:
        """Statistics (n, c) of the pictures' features."""
        scales = self.encode(*self.fit(pictures, size))
        styles = [statistics(scale.features, scale.real) for scale in scales]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *styles)

    def __call__(
        self,
        contents: Frame,
        styles: Style,
        alpha: float | Float[Array, " n"] = 1.0,
        masks: Float[Array, "n h w r"] | None = None,
        size: Size | None = None,
        content_style: Style | None = None,
    ) -> Frame:
        """T(c, s, alpha) of equation 14.

        Args:
            contents: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            styles: statistics (c,) or (n, c); with masks (r, c) or (n, r, c).
            alpha: strength, one number or one per picture.
            masks: soft regions at picture size, or None for one region.
            size: real sizes, see `adain_jax.nn.layers`.
            content_style: statistics (c,) or (n, c) to normalise the contents with; by default
                their own. Regions always take their own.

        Returns:
            float32 (n, H, W, 3), h and w rounded up to multiples of 8; not clipped.
        """
        if masks is not None:
            masks, mask_size = self.fit(masks, size)
        transformed = []
        scales = self.encode(*self.fit(contents, size))
        own = [None] * len(scales) if content_style is None else self._split(content_style)
        parts = zip(scales, self.strides, self._split(styles), own, strict=True)
        for scale, stride, style, normal in parts:
            content = scale.features
            if masks is None:
                stylised = adain(content, style, weights=scale.real, content_style=normal)
            else:
                regions = shrink_masks(masks, stride, mask_size)
                stylised = adain_regions(content, style, regions, scale.real)
            blended = blend(content, stylised, alpha).astype(content.dtype)
            transformed.append(Scale(blended, scale.size))
        return self.decode(transformed)

    def _split(self, style: Style) -> list[Style]:
        """The styles of the scales."""
        ends = list(accumulate(self.channels[:-1]))
        means, stds = (jnp.split(jnp.asarray(x), ends, -1) for x in (style.mean, style.std))
        return [Style(mean, std) for mean, std in zip(means, stds, strict=True)]
