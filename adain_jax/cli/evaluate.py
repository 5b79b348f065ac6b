"""`adain evaluate`: measures a model on pairs of pictures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.cli.command import ModelName
from adain_jax.errors import UsageError
from adain_jax.models import check_files

_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]


@dataclass(frozen=True)
class Options:
    """Measure a model on pairs of pictures: the paper's two losses, and SSIM to the content.

    The losses are averages over channels, and computed with the VGG19 encoder for every model.

    Example: adain evaluate --content photos --style paintings --model vgg19
    """

    content: Annotated[str, tyro.conf.arg(metavar="SRC", aliases=["-c"])]
    """Photographs: a folder, or a data set as for train."""
    style: Annotated[str, tyro.conf.arg(metavar="SRC", aliases=["-s"])]
    """Paintings: a folder or a data set. The i-th photograph and the i-th painting, by name, make a
    pair."""
    model: ModelName = "fast"
    """The network to measure, as for stylize."""
    network: _File = None
    """Weights of fast; by default those that ship with the package."""
    encoder: _File = None
    """The VGG19 encoder, which the losses need too; by default the one that `adain convert` wrote."""
    decoder: _File = None
    """Decoder weights of vgg19; by default those that `adain convert` wrote, else those that ship."""
    size: int = 256
    """Side of the central squares, in pixels, that are cut out of the pictures without resizing."""
    alpha: Annotated[float, tyro.conf.arg(aliases=["-a"])] = 1.0
    """Strength of the style."""
    json: bool = False
    """Print one JSON object instead of a table."""
    debug: bool = False
    """Show a traceback on failure."""


def evaluate(options: Options) -> None:
    """Measures, and prints the means over all pairs.

    Raises:
        UsageError: options do not fit together.
    """
    if options.size < 16:
        raise UsageError("--size must be at least 16")
    # The losses need the encoder, whatever the model.
    check_files(options.model, {"network": options.network, "decoder": options.decoder})
    from adain_jax import evaluation

    means = evaluation.evaluate(
        options.model,
        options.content,
        options.style,
        size=options.size,
        alpha=options.alpha,
        encoder=options.encoder,
        network=options.network,
        decoder=options.decoder,
    )
    if options.json:
        print(json.dumps({"model": options.model, "size": options.size, **means}))
        return
    from rich.console import Console
    from rich.table import Table

    shown = evaluation.columns(means)
    # Narrow enough for 80 columns.
    table = Table("model", *shown, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_row(options.model, *(f"{means[key]:.3f}" for key in shown.values()))
    Console().print(table)
    print(f"{means['pairs']:.0f} pairs of {options.size} px")
