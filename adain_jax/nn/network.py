"""What all networks here have in common (figure 2 of the paper): encoder, AdaIN, decoder."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

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

STRIDE = 8
"""Pixels per feature, along each side."""
CHANNELS = 512
"""Channels of the features: those of relu4_1."""


class FeatureMap(NamedTuple):
    """Features, and their valid sizes (None: all positions are valid)."""

    features: Features
    size: ValidSize | None

    @property
    def valid_mask(self) -> Array | None:
        """Which positions are valid: bool (n, h, w), or None for all."""
        return None if self.size is None else valid_mask(self.features, self.size)


def features_size(size: ValidSize | None) -> ValidSize | None:
    """The valid sizes of the features of pictures of these sizes."""
    return None if size is None else -(-size // STRIDE)


class StyleNetwork(nnx.Module):
    """AdaIN between an encoder and a decoder, on features like relu4_1. For inference and training.

    Networks differ in `features` and in their decoder, which (with `in_tiles`) looks at neighborhoods
    only: all statistics are of the encoder's features.
    """

    encoder_radius: ClassVar[int]
    """Receptive radius: how many pixels beyond its own a feature depends on, at most."""
    decoder_radius: ClassVar[int]
    """How many pixels away the features may lie that a pixel is decoded from."""
    in_tiles: ClassVar[bool] = True
    """Whether a part of a picture can be decoded from a part of its features; not where the decoder
    normalizes, by statistics of the whole."""
    bytes_per_pixel: ClassVar[int]
    """Approximate peak memory of stylizing on CPU, in bytes per pixel, in float32."""

    decoder: Callable[[Features, ValidSize | None], Features]
    """From features to pictures, h and w rounded up to multiples of 8; not clipped."""

    def features(self, pictures: Features, size: ValidSize | None) -> Float[Array, "n _ _ 512"]:
        """The features that AdaIN works on, of pictures as `pad_to_stride` gives them."""
        raise NotImplementedError

    def pad_to_stride(
        self, x: Features, size: ValidSize | None
    ) -> tuple[Float[Array, "n _ _ c"], ValidSize | None]:
        """Pictures, or masks, as `features` takes them, and their valid sizes then."""
        return x, size

    def encode(self, pictures: Features, size: ValidSize | None = None) -> FeatureMap:
        """The features that AdaIN works on.

        Args:
            pictures: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            size: valid sizes, see `adain_jax.nn.valid_size`.
        """
        pictures, size = self.pad_to_stride(pictures, size)
        return FeatureMap(self.features(pictures, size), features_size(size))

    def encode_style(self, pictures: Features, size: ValidSize | None = None) -> Style:
        """Statistics (n, c) of the pictures' features. The arguments are those of `encode`."""
        encoded = self.encode(pictures, size)
        return statistics(encoded.features, encoded.valid_mask)

    def regions(
        self, masks: Float[AnyArray, "n h w r"] | None, size: ValidSize | None
    ) -> Float[Array, "n _ _ r"] | None:
        """Masks of pictures of these sizes at the features' resolution, summing to at most 1."""
        if masks is None:
            return None
        masks, size = self.pad_to_stride(jnp.asarray(masks), size)
        return normalize_masks(downsample_masks(masks, STRIDE, size))

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
        encoded = self.encode(contents, size)
        return self.stylize(encoded, styles, alpha, self.regions(masks, size), content_style)

    def stylize(
        self,
        encoded: FeatureMap,
        styles: Style,
        alpha: float | Float[AnyArray, "..."] = 1.0,
        regions: Float[Array, "n _ _ r"] | None = None,
        content_style: Style | None = None,
    ) -> Float[Array, "n _ _ 3"]:
        """T(c, s, alpha) of equation 14, of the features of c.

        Args:
            encoded: as `encode` gives them.
            styles, alpha: see `__call__`.
            regions: as the method of that name gives them.
            content_style: the contents' own statistics, where they are not those of `encoded`, which
                may be a part of a picture; of the shape of `styles`.

        Returns:
            float32 (n, H, W, 3); not clipped.
        """
        content, valid = encoded.features, encoded.valid_mask
        if regions is None:
            target = adain(content, styles, weights=valid, content_statistics=content_style)
        else:
            target = adain_regions(
                content, styles, regions, weights=valid, content_statistics=content_style
            )
        blended = blend(content, target, alpha).astype(content.dtype)
        return self.decoder(blended, encoded.size)
