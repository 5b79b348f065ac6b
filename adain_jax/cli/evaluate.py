"""`adain evaluate`: measures models on pairs of pictures."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.cli.command import ModelNames, written
from adain_jax.errors import UsageError
from adain_jax.files import check_can_write, write_atomically
from adain_jax.models import MODELS, check_files

SHOWN = 12
"""Pairs whose pictures are in the report."""

_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]


@dataclass(frozen=True)
class Options:
    """Measure models on pairs of pictures: the paper's two losses, and what the losses do not see.

    The losses are averages over channels, and computed with the VGG19 encoder for every model.

    Example: adain evaluate --content photos --style paintings --model fast vgg19 --html report.html
    """

    content: Annotated[str, tyro.conf.arg(metavar="SRC", aliases=["-c"])]
    """Photographs: a folder, or a data set as for train."""
    style: Annotated[str, tyro.conf.arg(metavar="SRC", aliases=["-s"])]
    """Paintings: a folder or a data set. The i-th photograph and the i-th painting, by name, make a
    pair."""
    model: ModelNames = ("fast",)
    """The networks to measure, as for stylize; each has a row in the table."""
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
    lpips: bool = False
    """Also measure LPIPS between contents and results, with the package lpips and PyTorch."""
    art_fid: bool = False
    """Also measure ArtFID over all pairs, with the packages art_fid, lpips and PyTorch."""
    json: bool = False
    """Print one JSON object per model instead of a table."""
    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the table and the first dozen pairs in full size to one HTML file."""
    debug: bool = False
    """Show a traceback on failure."""


def evaluate(options: Options) -> None:
    """Measures, and prints the means over all pairs.

    Raises:
        UsageError: options do not fit together.
    """
    if options.size < 16:
        raise UsageError("--size must be at least 16")
    own = {"network": options.network, "decoder": options.decoder}
    _check_files(options.model, own)
    if options.html:
        check_can_write(options.html)
    from adain_jax import evaluation
    from adain_jax.perceptual import LPIPS, ArtFID

    lpips = LPIPS() if options.lpips else None
    means: dict[str, dict[str, float]] = {}
    shown: dict[str, list[evaluation.Measured]] = {}
    for model in options.model:
        pairs = evaluation.measured_pairs(
            model,
            options.content,
            options.style,
            size=options.size,
            alpha=options.alpha,
            encoder=options.encoder,
            **_files_of(model, own),
        )
        rows = []
        shown[model] = []
        with ArtFID() if options.art_fid else nullcontext() as art_fid:
            for pair in pairs:
                of_lpips = {"lpips": lpips(pair.content, pair.result)} if lpips else {}
                rows.append(pair.values | of_lpips)
                if art_fid:
                    art_fid.add(pair.content, pair.style, pair.result)
                if options.html and len(shown[model]) < SHOWN:
                    shown[model].append(pair)
            of_all = {"art_fid": art_fid.value()} if art_fid else {}
        means[model] = evaluation.mean(rows) | of_all | {"pairs": len(rows)}
    if options.html:
        from adain_jax.cli.evaluation_page import page

        write_atomically(options.html, page(means, shown, options.size).encode())
    if options.json:
        for model, values in means.items():
            print(json.dumps({"model": model, "size": options.size, **values}))
    else:
        _print_table(means, options.size)
    if options.html and not options.json:
        print(f"the report is {options.html}, {written(options.html)}")


def _check_files(models: Sequence[str], own: Mapping[str, Path | None]) -> None:
    """Checks that each file belongs to one of the models.

    Raises:
        UsageError: a file does not, or there is no such model.
    """
    if len(models) == 1:
        return check_files(models[0], own)
    for model in models:
        check_files(model, {})
    for name, path in own.items():
        if path and not any(name in _files_of(model, own) for model in models):
            raise UsageError(f"none of the models takes such a file as {name}: {path}")


def _files_of(model: str, own: Mapping[str, Path | None]) -> dict[str, Path | None]:
    """Those of the given files that a model has."""
    files = MODELS[model].files if model in MODELS else {}
    return {name: path for name, path in own.items() if name in files}


def _print_table(means: Mapping[str, Mapping[str, float]], size: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from adain_jax import evaluation

    first = next(iter(means.values()))
    shown = evaluation.columns(first)
    # Narrow enough for 80 columns.
    table = Table("model", *shown, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for model, values in means.items():
        table.add_row(model, *(f"{values[key]:.3f}" for key in shown.values()))
    Console().print(table)
    print(f"{first['pairs']:.0f} pairs of {size} px")
