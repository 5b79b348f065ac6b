"""The paper's networks: VGG19 up to relu4_1, its mirrored decoder, and the two joined by AdaIN."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.nn.cpu.row_blocks import map_row_blocks
from adain_jax.nn.layers import ReflectConv, UpsampleConv, max_pool
from adain_jax.nn.network import StyleNetwork
from adain_jax.nn.norms import InstanceNorm
from adain_jax.nn.valid_size import Features, Resized, ValidSize, double, halve

BLOCKS = (
    ("conv1_1", "conv1_2"),
    ("conv2_1", "conv2_2"),
    ("conv3_1", "conv3_2", "conv3_3", "conv3_4"),
    ("conv4_1",),
)
"""The encoder's layers between its poolings; the decoder's are their mirror images."""


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
        self.conv1_1 = ReflectConv(3, 64, rngs=rngs)
        self.conv1_2 = ReflectConv(64, 64, rngs=rngs)
        self.conv2_1 = ReflectConv(64, 128, rngs=rngs)
        self.conv2_2 = ReflectConv(128, 128, rngs=rngs)
        self.conv3_1 = ReflectConv(128, 256, rngs=rngs)
        self.conv3_2 = ReflectConv(256, 256, rngs=rngs)
        self.conv3_3 = ReflectConv(256, 256, rngs=rngs)
        self.conv3_4 = ReflectConv(256, 256, rngs=rngs)
        self.conv4_1 = ReflectConv(256, 512, rngs=rngs)

    def __call__(self, x: Float[Array, "n h w 3"], size: ValidSize | None = None) -> Taps:
        """The four taps of pictures in [0, 1]; `size` as in `adain_jax.nn.valid_size`."""
        activations = dict(self.activations(x, size))
        return Taps(*(activations[f"conv{block}_1"] for block in (1, 2, 3, 4)))

    def activations(
        self, x: Features, size: ValidSize | None = None
    ) -> Iterator[tuple[str, Features]]:
        """Every layer's name and its output after ReLU, in order."""
        for names in BLOCKS:
            for name in names:
                x = self._layer(name, x, size)
                yield name, x
            if names != BLOCKS[-1]:
                x, size = max_pool(x, size), halve(size)

    def relu4_1(
        self, x: Float[Array, "n h w 3"], size: ValidSize | None = None
    ) -> Float[Array, "n _ _ 512"]:
        """The last of the taps alone; with `size`, its two finest blocks block by block of rows."""

        def block(names: Sequence[str], x: Features, size: ValidSize | None) -> Resized:
            for name in names:
                x = self._layer(name, x, size)
            return max_pool(x, size)

        for names in BLOCKS[:2]:
            x = map_row_blocks(partial(block, names), x, size, every=2)
            size = halve(size)
        x = block(BLOCKS[2], x, size)
        return self._layer("conv4_1", x, halve(size))

    def _layer(self, name: str, x: Features, size: ValidSize | None) -> Float[Array, "n h w _"]:
        """A convolution and the ReLU after it."""
        return jax.nn.relu(getattr(self, name)(x, size))


class Decoder(nnx.Module):
    """g of the paper (section 6.1): the encoder mirrored, pooling replaced by nearest upsampling.

    Layers are named after the encoder layer they mirror. No activation at the end, and no
    normalization layers: section 7.2 shows that they undo the style. For such experiments `norm` puts
    one after each convolution but the last, and `c_in` widens the input. Normalization looks at whole
    maps, so that with it none is computed in blocks of rows.
    """

    def __init__(
        self,
        *,
        norm: Callable[[int], nnx.Module] | None = None,
        c_in: int = 512,
        rngs: nnx.Rngs,
    ):
        self.conv4_1 = ReflectConv(c_in, 256, rngs=rngs)
        self.conv3_4 = UpsampleConv(256, 256, rngs=rngs)
        self.conv3_3 = ReflectConv(256, 256, rngs=rngs)
        self.conv3_2 = ReflectConv(256, 256, rngs=rngs)
        self.conv3_1 = ReflectConv(256, 128, rngs=rngs)
        self.conv2_2 = UpsampleConv(128, 128, rngs=rngs)
        self.conv2_1 = ReflectConv(128, 64, rngs=rngs)
        self.conv1_2 = UpsampleConv(64, 64, rngs=rngs)
        self.conv1_1 = ReflectConv(64, 3, rngs=rngs)
        self.in_blocks = norm is None
        if norm:
            for name in (name for names in BLOCKS for name in names if name != "conv1_1"):
                setattr(self, f"{name}_norm", norm(getattr(self, name).bias.shape[0]))

    def __call__(
        self, x: Float[Array, "n h w ci"], size: ValidSize | None = None
    ) -> Float[Array, "n 8*h 8*w 3"]:
        """Pictures of features like relu4_1, near [0, 1] but not clipped.

        With `size`, the two finest blocks are computed block by block of rows.
        """

        def block(names: Sequence[str], x: Features, size: ValidSize | None) -> Resized:
            for name in names:
                layer = getattr(self, name)
                x = layer(x, size)
                if isinstance(layer, UpsampleConv):
                    size = double(size)
                if hasattr(self, f"{name}_norm"):
                    x = getattr(self, f"{name}_norm")(x, size=size)
                if name != "conv1_1":
                    x = jax.nn.relu(x)
            return x

        fourth, third, *finest = (names[::-1] for names in BLOCKS[::-1])
        x = block((*fourth, *third), x, size)
        for names in finest:
            size = double(size)
            if self.in_blocks:
                x = map_row_blocks(partial(block, names), x, size)
            else:
                x = block(names, x, size)
        return x.astype(jnp.float32)


class VGG19Network(StyleNetwork):
    """The whole of figure 2: encoder, AdaIN on relu4_1, decoder."""

    encoder_radius = 30
    decoder_radius = 30
    bytes_per_pixel = 310

    def __init__(self, *, rngs: nnx.Rngs):
        self.encoder = VGG19Encoder(rngs=rngs)
        self.decoder = Decoder(rngs=rngs)

    def features(self, pictures: Features, size: ValidSize | None) -> Float[Array, "n _ _ 512"]:
        """relu4_1."""
        return self.encoder.relu4_1(pictures, size)


class VGG19InstanceNormNetwork(VGG19Network):
    """The same with instance normalization in the decoder, as section 7.2 tries it."""

    in_tiles = False

    def __init__(self, *, rngs: nnx.Rngs):
        self.encoder = VGG19Encoder(rngs=rngs)
        self.decoder = Decoder(norm=InstanceNorm, rngs=rngs)
