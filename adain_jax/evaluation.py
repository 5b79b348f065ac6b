"""Measures a model on fixed pairs: the paper's two losses, and the similarity to the content.

    adain evaluate --content DIR --style DIR --model fast

`python -m adain_jax.evaluation` is the same.

Pair i consists of the central squares of the i-th content and the i-th style by name.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax import weights
from adain_jax.images.dtypes import to_float
from adain_jax.losses import adain_losses
from adain_jax.measures import SMALLEST, measures
from adain_jax.models import MODELS, read_params
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.progress import track
from adain_jax.weights.hub import find

if TYPE_CHECKING:
    from adain_jax.data.sources import Source
    from adain_jax.images import Picture

Measures = dict[str, Float[Array, ""]]


def measure(
    encoder_params: Mapping[str, Any],
    content: Float[Array, "n h w 3"],
    style: Float[Array, "n h w 3"],
    result: Float[Array, "n h w 3"],
) -> Measures:
    """The losses of section 6.2 and SSIM of stylized pictures; pure, usable under `jit`.

    Args:
        encoder_params: the parameters of `VGG19Encoder`.
        content, style, result: pictures in [0, 1]; content and result have the same size.

    Returns:
        The following, each averaged over the batch. `content_loss` is the mean squared difference
        between the result's relu4_1 and AdaIN's output (eq. 12). `style_loss` is the sum of
        `style_loss/relu1_1` ... `style_loss/relu4_1` (eq. 13, but averaged over channels, not
        summed). `ssim` is the structural similarity of the result to the content (Wang et al. 2004;
        over RGB, with an 11 x 11 Gaussian window). For `checker` and `scratches` see
        `woven_texture`.
    """
    import dm_pix

    encoder = bind(VGG19Encoder, encoder_params)
    return {
        **adain_losses(
            encoder(result), encoder(content).relu4_1, encoder(style), mean_over_channels=True
        ),
        "ssim": dm_pix.ssim(content, result).mean(),
        **{key: value.mean() for key, value in woven_texture(content, result).items()},
    }


def woven_texture(
    content: Float[Array, "n h w 3"], result: Float[Array, "n h w 3"]
) -> dict[str, Float[Array, " n"]]:
    """How strongly a network weaves a pattern of single pixels into flat areas, in gray levels.

    Small networks can lower the style loss of the first layers cheaply, with the highest
    frequencies that their output can hold. The losses reward such patterns, viewers do not, and
    photographs have hardly any.

    Args:
        content, result: pictures in [0, 1], h and w at least 16. The flat areas are the quarter of
            the content's 8 x 8 blocks that varies least.

    Returns:
        Two measures of each picture's gray levels, the mean over RGB in 0..255. `checker` is the
        mean amplitude of (-1)^(x+y) in flat blocks. `scratches` is the root mean square, over the
        rows and columns of flat blocks, of the amplitudes of (-1)^x along each row of eight pixels
        and of (-1)^y along each column; a checkerboard counts too.
    """
    # Gives the amplitude of (-1)^x in eight pixels, whatever their mean and slope.
    signs = jnp.array([1, -3, 4, -4, 4, -4, 3, -1]) / 24
    flat_blocks = _blocks(content)
    variation = flat_blocks.std((2, 3))
    flat = variation <= jnp.quantile(variation, 0.25, axis=1, keepdims=True)
    weights = flat / flat.sum(1, keepdims=True)
    blocks = _blocks(result)
    checker = jnp.abs(jnp.einsum("nbyx,y,x->nb", blocks, signs, signs))
    columns = jnp.einsum("nbyx,x->nby", blocks, signs)
    rows = jnp.einsum("nbyx,y->nbx", blocks, signs)
    scratches = (jnp.square(columns).mean(2) + jnp.square(rows).mean(2)) / 2
    return {
        "checker": (checker * weights).sum(1),
        "scratches": jnp.sqrt((scratches * weights).sum(1)),
    }


def _blocks(pictures: Float[Array, "n h w 3"]) -> Float[Array, "n blocks 8 8"]:
    """The gray levels, 0..255, of all whole blocks of 8 x 8 pixels."""
    n, h, w, _ = pictures.shape
    gray = 255 * pictures.mean(-1)[:, : h // 8 * 8, : w // 8 * 8]
    return gray.reshape(n, h // 8, 8, w // 8, 8).swapaxes(2, 3).reshape(n, -1, 8, 8)


def read_pairs(
    content: "Source", style: "Source", side: int
) -> Iterator[tuple["Picture", "Picture"]]:
    """The pairs of two sources, as many as the shorter one has pictures.

    Pictures are central squares, see `central_square`.

    Raises:
        DataError: a source is empty.
        PictureError: a picture cannot be read.
    """
    from adain_jax.data.sources import DataError

    pairs = min(len(content), len(style))
    if not pairs:
        raise DataError("nothing to evaluate on")
    for i in range(pairs):
        yield central_square(content, i, side), central_square(style, i, side)


def central_square(source: "Source", index: int, side: int) -> "Picture":
    """The middle of a picture of a source, float32 (side, side, 3) in [0, 1].

    It keeps its resolution, except that a picture smaller than the square is enlarged to it.

    Raises:
        PictureError: the picture cannot be read.
    """
    from adain_jax.data.sources import decode

    image = decode(source.read(index), size=0)
    if min(image.size) < side:
        image = decode(source.read(index), size=side)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return to_float(np.asarray(image))


def mean(measured: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The means of many measurements with the same keys."""
    rows = list(measured)
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def columns(measured: Mapping[str, float]) -> dict[str, str]:
    """The column headings of a table of measurements, with the keys of `measure`."""
    layers = {key.split("/")[1]: key for key in sorted(measured) if key.startswith("style_loss/")}
    own = ("color", "repetition", "seams")
    indices = {
        "SSIM": "ssim",
        **{key: key for key in ("checker", "scratches", *own)},
        "LPIPS": "lpips",
        "ArtFID": "art_fid",
    }
    every = {"Lc": "content_loss", "Ls": "style_loss", **layers, **indices}
    return {heading: key for heading, key in every.items() if key in measured}


class Measured(NamedTuple):
    """A pair, what a model made of it, and how good that is."""

    content: "Picture"
    style: "Picture"
    result: "Picture"
    values: dict[str, float]


def measured_pairs(
    model: str,
    content: str,
    style: str,
    *,
    size: int = 256,
    alpha: float = 1.0,
    encoder: Path | None = None,
    **own: Path | None,
) -> Iterator[Measured]:
    """Stylizes and measures all pairs of two sources, one after the other.

    The values are those of `measure` and, of pictures that are large enough, of `adain_jax.measures`.

    Args:
        model: the network to measure, as `Stylizer.load` takes it.
        content, style: the sources, as `open_source` takes them.
        size: side of the pictures, see `read_pairs`.
        alpha: strength of the style.
        encoder: the VGG19 encoder, which the losses need for every model.
        own: the model's other weight files, by name; those that are None or missing are the default.

    Raises:
        DataError, PictureError, WeightsError: something cannot be read.
    """
    from adain_jax.data.sources import open_source
    from adain_jax.inference.stylizer import Stylizer

    encoder = encoder or weights.default_path("vgg19-encoder")
    params = jax.device_put(weights.read(encoder, "vgg19-encoder"))
    found, brought = find(model)
    files = {"encoder": encoder, **own, **brought}
    if "encoder" not in MODELS[found].files:  # the losses alone need it
        del files["encoder"]
    network, architecture = read_params(found, **files)
    stylizer = Stylizer(network, model=found, architecture=architecture)
    sources = open_source(content), open_source(style)
    jitted = jax.jit(measure)
    pairs = read_pairs(*sources, size)
    for photograph, painting in track("measuring", pairs, min(map(len, sources))):
        result = stylizer(photograph, painting, alpha)
        losses = jitted(params, photograph[None], painting[None], result[None])
        seen = measures(photograph, painting, result) if size >= SMALLEST else {}
        values = {key: float(value) for key, value in jax.device_get(losses).items()}
        yield Measured(photograph, painting, result, values | seen)


def evaluate(model: str, content: str, style: str, **options: Any) -> dict[str, float]:
    """The means of the values of `measured_pairs`, and the number of pairs as `pairs`.

    The arguments and errors are those of `measured_pairs`.
    """
    rows = [pair.values for pair in measured_pairs(model, content, style, **options)]
    return mean(rows) | {"pairs": len(rows)}


if __name__ == "__main__":
    from adain_jax.__main__ import main

    main(["evaluate", *sys.argv[1:]])
