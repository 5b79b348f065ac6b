"""The paper's networks: VGG19 up to relu4_1, its mirrored decoder, and the two joined by AdaIN."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.layers import (
    Frame,
    ReflectConv,
    Size,
    UpsampleConv,
    double,
    halve,
    inside,
    max_pool,
)
from adain_jax.style import Style, adain, adain_regions, blend, shrink_masks, statistics
from adain_jax.weights import CHANNELS

ENCODER_CHANNELS = CHANNELS["vgg19-encoder"]
DECODER_CHANNELS = CHANNELS["vgg19-decoder"]


class Taps(NamedTuple):
    """The activations the losses look at, float (n, h / 2^k, w / 2^k, c), rounded up."""

    relu1_1: Float[Array, "n h1 w1 64"]
    relu2_1: Float[Array, "n h2 w2 128"]
    relu3_1: Float[Array, "n h3 w3 256"]
    relu4_1: Float[Array, "n h4 w4 512"]


class VGG19Encoder(nnx.Module):
    """f of the paper (section 6.1): VGG19 from the picture to relu4_1.

    Takes RGB in [0, 1]; the caffe-style preprocessing of the published weights (BGR, times 255, minus
    the mean) is folded into conv1_1 by the conversion. Reflection padding and ceil-mode pooling, as
    in the original release.
    """

    def __init__(self, *, rngs: nnx.Rngs):
        for name, channels in ENCODER_CHANNELS.items():
            setattr(self, name, ReflectConv(*channels, rngs=rngs))

    def __call__(self, x: Float[Array, "n h w 3"], size: Size | None = None) -> Taps:
        """The four taps of pictures in [0, 1]; `size` as in `adain_jax.nn.layers`."""
        activations = dict(self.activations(x, size))
        return Taps(*(activations[f"conv{block}_1"] for block in (1, 2, 3, 4)))

    def activations(self, x: Frame, size: Size | None = None) -> Iterator[tuple[str, Frame]]:
        """Every layer's name and its output after ReLU, in order."""
        for name in ENCODER_CHANNELS:
            if name in ("conv2_1", "conv3_1", "conv4_1"):
                x, size = max_pool(x, size), halve(size)
            x = jax.nn.relu(getattr(self, name)(x, size))
            yield name, x


class Decoder(nnx.Module):
    """g of the paper (section 6.1): the encoder mirrored, pooling replaced by nearest upsampling.

    Layers are named after the encoder layer they mirror. No activation at the end, and no
    normalisation layers: section 7.2 shows that they undo the style. For such experiments `norm` puts
    one after each convolution but the last, and `c_in` widens the input.
    """

    def __init__(
        self,
        *,
        norm: Callable[[int], nnx.Module] | None = None,
        c_in: int = 512,
        rngs: nnx.Rngs,
    ):
        for name, (own_c_in, c_out) in DECODER_CHANNELS.items():
            layer = UpsampleConv if name in ("conv3_4", "conv2_2", "conv1_2") else ReflectConv
            setattr(self, name, layer(c_in if name == "conv4_1" else own_c_in, c_out, rngs=rngs))
            if norm and name != "conv1_1":
                setattr(self, f"{name}_norm", norm(c_out))

    def __call__(self, x: Float[Array, "n h w 512"], size: Size | None = None) -> Frame:
        """Maps features like relu4_1 to pictures (n, 8h, 8w, 3), near [0, 1] but not clipped."""
        for name in DECODER_CHANNELS:
            layer = getattr(self, name)
            x = layer(x, size)
            if isinstance(layer, UpsampleConv):
                size = double(size)
            if hasattr(self, f"{name}_norm"):
                x = getattr(self, f"{name}_norm")(x)
            if name != "conv1_1":
                x = jax.nn.relu(x)
        return x.astype(jnp.float32)


class VGG19Network(nnx.Module):
    """The whole of figure 2: encoder, AdaIN, decoder. Inference only; training holds them apart."""

    stride = 8  # pixels per feature at relu4_1

    def __init__(self, *, rngs: nnx.Rngs):
        self.encoder = VGG19Encoder(rngs=rngs)
        self.decoder = Decoder(rngs=rngs)

    def encode_style(self, pictures: Frame, size: Size | None = None) -> Style:
        """Statistics (n, 512) of the pictures' relu4_1."""
        return statistics(*self._features(pictures, size))

    def __call__(
        self,
        contents: Frame,
        styles: Style,
        alpha: float | Float[Array, " n"] = 1.0,
        masks: Float[Array, "n h w r"] | None = None,
        size: Size | None = None,
    ) -> Frame:
        """T(c, s, alpha) of equation 14.

        Args:
            contents: float (n, h, w, 3) in [0, 1]; with `size`, h and w are multiples of 8.
            styles: statistics (512,) or (n, 512); with masks (r, 512) or (n, r, 512).
            alpha: strength, one number or one per picture.
            masks: soft regions at picture size, or None for one region.
            size: real sizes, see `adain_jax.nn.layers`.

        Returns:
            float32 (n, H, W, 3), h and w rounded up to multiples of 8; not clipped.
        """
        content, real = self._features(contents, size)
        if masks is None:
            stylised = adain(content, styles, weights=real)
        else:
            stylised = adain_regions(content, styles, shrink_masks(masks, self.stride, size), real)
        small = None if size is None else -(-size // self.stride)
        return self.decoder(blend(content, stylised, alpha), small)

    def _features(self, pictures: Frame, size: Size | None) -> tuple[Frame, Array | None]:
        """relu4_1 and which of its positions are real."""
        features = self.encoder(pictures, size).relu4_1
        if size is None:
            return features, None
        return features, inside(features, -(-size // self.stride))
