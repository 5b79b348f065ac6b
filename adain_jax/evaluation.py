"""Measures a model on fixed pairs: the paper's two losses, and the similarity to the content.

    python -m adain_jax.evaluation --content DIR --style DIR --model fast

Pair i consists of the central squares of the i-th content and the i-th style by name.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float

from adain_jax.cli.command import run
from adain_jax.errors import UsageError
from adain_jax.images.dtypes import to_float
from adain_jax.losses import adain_losses
from adain_jax.models import WEIGHT_FILES, read_params
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.weights import Model

if TYPE_CHECKING:
    from adain_jax.data.sources import Source
    from adain_jax.images import Picture

Measures = dict[str, Float[Array, ""]]
_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
_Folder = Annotated[str, tyro.conf.arg(metavar="SRC")]


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

    Pictures are central squares, float32 (side, side, 3) in [0, 1]. They keep their resolution,
    except that pictures smaller than the square are enlarged to it.

    Raises:
        DataError: a source is empty.
        PictureError: a picture cannot be read.
    """
    from adain_jax.data.sources import DataError, decode

    def read(source: "Source", index: int) -> "Picture":
        image = decode(source.read(index), size=0)
        if min(image.size) < side:
            image = decode(source.read(index), size=side)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        return to_float(np.asarray(image))

    pairs = min(len(content), len(style))
    if not pairs:
        raise DataError("nothing to evaluate on")
    for i in range(pairs):
        yield read(content, i), read(style, i)


def mean(measured: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The means of many measurements with the same keys."""
    rows = list(measured)
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def columns(measured: Mapping[str, float]) -> dict[str, str]:
    """The column headings of a table of measurements, with the keys of `measure`."""
    layers = {key.split("/")[1]: key for key in sorted(measured) if key.startswith("style_loss/")}
    indices = {"SSIM": "ssim", "checker": "checker", "scratches": "scratches"}
    return {"Lc": "content_loss", "Ls": "style_loss", **layers, **indices}


@dataclass(frozen=True)
class Options:
    """Measure a model on pairs of pictures: the paper's two losses, and SSIM to the content.

    The losses are averages over channels, and computed with the VGG19 encoder for every model.
    """

    content: _Folder
    """Photographs: a folder, or a data set as for train.py."""
    style: _Folder
    """Paintings: a folder or a data set. The i-th photograph and the i-th painting, by name, make a
    pair."""
    model: Model = "fast"
    """The network to measure."""
    network: _File = None
    """Weights of fast; by default those that ship with the package."""
    encoder: _File = None
    """The VGG19 encoder, which the losses need too; by default the one that convert_vgg.py wrote."""
    decoder: _File = None
    """Decoder weights of vgg19; by default those that convert_vgg.py wrote, else those that ship."""
    size: int = 256
    """Side of the central squares, in pixels, that are cut out of the pictures without resizing."""
    alpha: float = 1.0
    """Strength of the style."""
    json: bool = False
    """Print one JSON object instead of a table."""
    debug: bool = False
    """Show a traceback on failure."""


def evaluate(options: Options) -> dict[str, float]:
    """The means of `measure` over all pairs.

    Raises:
        UsageError: options do not fit together.
        DataError, PictureError, WeightsError: something cannot be read.
    """
    from adain_jax import weights
    from adain_jax.data.sources import open_source
    from adain_jax.inference.stylizer import Stylizer

    if options.size < 16:
        raise UsageError("--size must be at least 16")
    given = [name for name in ("network", "decoder") if getattr(options, name)]
    if any(name not in WEIGHT_FILES[options.model] for name in given):
        raise UsageError("--network is for --model fast, --decoder for --model vgg19")
    path = options.encoder or weights.default_path("vgg19-encoder")
    encoder = jax.device_put(weights.read(path, "vgg19-encoder"))
    files = {"network": options.network, "encoder": path, "decoder": options.decoder}
    own = {name: files[name] for name in WEIGHT_FILES[options.model]}
    stylizer = Stylizer(read_params(options.model, **own), model=options.model)
    pairs = read_pairs(open_source(options.content), open_source(options.style), options.size)
    measured = []
    jitted = jax.jit(measure)
    for content, style in pairs:
        result = stylizer(content, style, options.alpha)
        measured.append(jax.device_get(jitted(encoder, content[None], style[None], result[None])))
    return mean(measured) | {"pairs": len(measured)}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0, 1 (something cannot be read) or 2 (bad usage)."""
    options = tyro.cli(
        Options,
        prog="python -m adain_jax.evaluation",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    run(partial(_evaluate, options), debug=options.debug)


def _evaluate(options: Options) -> None:
    means = evaluate(options)
    if options.json:
        print(json.dumps({"model": options.model, "size": options.size, **means}))
        return
    from rich.console import Console
    from rich.table import Table

    shown = columns(means)
    # Narrow enough for 80 columns.
    table = Table("model", *shown, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_row(options.model, *(f"{means[key]:.3f}" for key in shown.values()))
    Console().print(table)
    print(f"{means['pairs']:.0f} pairs of {options.size} px")


if __name__ == "__main__":
    main()
