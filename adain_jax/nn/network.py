"""What all networks here have in common (figure 2 of the paper): encoder, AdaIN, decoder."""

from itertools import accumulate
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.valid_size import Features, ValidSize, valid_mask
from adain_jax.style import (
    AnyArray,
    Style,
    adain,
    adain_regions,
    blend,
    downsample_masks,
    normalize_masks,
    statistics,
)


class FeatureMap(NamedTuple):
    """Features of one resolution, and their valid sizes (None: all positions are valid)."""

    features: Features
    size: ValidSize | None

    @property
    def valid_mask(self) -> Array | None:
        """Which positions are valid: bool (n, h, w), or None for all."""
        return None if self.size is None else valid_mask(self.features, self.size)


class StyleNetwork(nnx.Module):
    """AdaIN at one or more scales between an encoder and a decoder. For inference and training.

    Networks differ in `feature_maps` and `decode`. The decoder looks at neighborhoods only: all
    statistics are of the encoder's features. In a `Style` the channels of all scales lie side by side.
    """

    strides: ClassVar[tuple[int, ...]]
    """Pixels per feature of each scale, the finest first; the last is a multiple of the others."""
    channels: ClassVar[tuple[int, ...]]
    """Number of channels of each scale."""
    encoder_radius: ClassVar[tuple[int, ...]]
    """Receptive radius: how many pixels beyond its own a feature of each scale depends on, at most."""
    decoder_radius: ClassVar[tuple[int, ...]]
    """How many pixels away the features of each scale may lie that a pixel is decoded from."""
    rematerialized: ClassVar[int] = 0
    """Number of finest scales that are computed again, not kept: computing is as fast as fetching."""
    bytes_per_pixel: ClassVar[int]
    """Approximate peak memory of stylizing on CPU, in bytes per pixel, in float32."""

    def feature_maps(self, pictures: Features, size: ValidSize | None) -> list[FeatureMap]:
        """The features that AdaIN works on, scale by scale, of pictures padded to the stride."""
        raise NotImplementedError

    def decode(self, scales: list[FeatureMap]) -> Float[Array, "n h w 3"]:
        """Pictures (n, H, W, 3) of features, H and W rounded up to the last stride; not clipped."""
        raise NotImplementedError

    def pad_to_stride(
        self, x: Features, size: ValidSize | None
    ) -> tuple[Float[Array, "n _ _ c"], ValidSize | None]:
        """Pictures, or masks, as `feature_maps` takes them, and their valid sizes then."""
        return x, size

    def encode(self, pictures: Features, size: ValidSize | None = None) -> list[FeatureMap]:
        """The features that AdaIN works on, scale by scale.

        Args:
            pictures: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            size: valid sizes, see `adain_jax.nn.valid_size`.
        """
        return self.feature_maps(*self.pad_to_stride(pictures, size))

    def encode_style(self, pictures: Features, size: ValidSize | None = None) -> Style:
        """Statistics (n, c) of the pictures' features."""
        return self.statistics(self.encode(pictures, size))

    @staticmethod
    def statistics(scales: list[FeatureMap]) -> Style:
        """Statistics (n, c) of feature maps, the channels of all scales side by side."""
        styles = [statistics(scale.features, scale.valid_mask) for scale in scales]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *styles)

    def regions(
        self, masks: Float[AnyArray, "n h w r"] | None, size: ValidSize | None
    ) -> list[Float[Array, "n _ _ r"]] | None:
        """Masks of pictures of these sizes as every scale sees them, summing to at most 1."""
        if masks is None:
            return None
        masks, size = self.pad_to_stride(jnp.asarray(masks), size)
        return [normalize_masks(downsample_masks(masks, stride, size)) for stride in self.strides]

    def __call__(
        self,
        contents: Features,
        styles: Style,
        alpha: float | Float[AnyArray, "..."] = 1.0,
        masks: Float[AnyArray, "n h w r"] | None = None,
        size: ValidSize | None = None,
        content_style: Style | None = None,
    ) -> Float[Array, "n _ _ 3"]:
        """T(c, s, alpha) of equation 14.

        Args:
            contents: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            styles: statistics (c,) or (n, c); with masks (r, c) or (n, r, c).
            alpha: strength, one number or one per picture.
            masks: soft regions at picture size, or None for one region.
            size: valid sizes, see `adain_jax.nn.valid_size`.
            content_style: see `stylize`.

        Returns:
            float32 (n, H, W, 3), h and w rounded up to multiples of 8; not clipped.
        """
        scales = self.encode(contents, size)
        return self.stylize(scales, styles, alpha, self.regions(masks, size), content_style)

    def stylize(
        self,
        scales: list[FeatureMap],
        styles: Style,
        alpha: float | Float[AnyArray, "..."] = 1.0,
        regions: list[Float[Array, "n _ _ r"]] | None = None,
        content_style: Style | None = None,
    ) -> Float[Array, "n _ _ 3"]:
        """T(c, s, alpha) of equation 14, of the features of c.

        Args:
            scales: as `encode` gives them.
            styles, alpha: see `__call__`.
            regions: as the method of that name gives them.
            content_style: the contents' own statistics, where they are not those of `scales`, which
                may be parts of pictures; of the shape of `styles`.

        Returns:
            float32 (n, H, W, 3); not clipped.
        """
        own = [None] * len(scales) if content_style is None else self._split(content_style)
        transformed = []
        for i, (scale, style) in enumerate(zip(scales, self._split(styles), strict=True)):
            content = scale.features
            if regions is None:
                stylized = adain(
                    content, style, weights=scale.valid_mask, content_statistics=own[i]
                )
            else:
                stylized = adain_regions(
                    content, style, regions[i], weights=scale.valid_mask, content_statistics=own[i]
                )
            blended = blend(content, stylized, alpha).astype(content.dtype)
            transformed.append(FeatureMap(blended, scale.size))
        return self.decode(transformed)

    def _split(self, style: Style) -> list[Style]:
        """The styles of the scales."""
        ends = list(accumulate(self.channels[:-1]))
        means, stds = (jnp.split(jnp.asarray(x), ends, -1) for x in (style.mean, style.std))
        return [Style(mean, std) for mean, std in zip(means, stds, strict=True)]
