"""The command line: `python -m adain_jax.export --model fast --format onnx --output DIR`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adain_jax.cli.command import ModelName, parse, refuse_urls, run, written
from adain_jax.errors import UsageError

_File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Options:
    """Write a model as two files that other runtimes run: MODEL-style and MODEL-painter.

    The first makes a style's statistics of a picture of any size, the second paints a picture of any
    size in that style. docs/export.md shows how to use them.
    """

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder for the files."""
    model: ModelName = "fast"
    """The network, as for adain stylize."""
    format: Literal["onnx", "stablehlo"] = "onnx"
    """onnx, for ONNX Runtime and others; stablehlo, for jax.export."""
    half: bool = False
    """Keep the weights in float16: half the size, and next to the same pictures."""
    regions: int = 0
    """Have the painter take so many masks, and a style for each; 0: one style for the whole picture."""
    split: bool = False
    """Write the painter's halves instead, MODEL-encoder and MODEL-decoder, for pictures in tiles."""
    network: _File = None
    """Weights of fast, instead of those that ship."""
    encoder: _File = None
    """Weights of the encoder of vgg19, instead of those that `adain convert` wrote."""
    decoder: _File = None
    """Weights of the decoder of vgg19, instead of those that ship."""
    debug: bool = False
    """Show a traceback on failure."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0, 1 (the model cannot be exported) or 2 (bad usage)."""
    options = parse(Options, "python -m adain_jax.export", arguments)
    run(lambda: _export(options), debug=options.debug)


def _export(options: Options) -> None:
    refuse_urls(options)
    if options.regions < 0:
        raise UsageError("--regions must be at least 0")
    if options.regions and options.split:
        raise UsageError("--split is for painters without --regions")
    from adain_jax.export import export
    from adain_jax.inference.stylizer import Stylizer

    stylizer = Stylizer.load(
        options.model, network=options.network, encoder=options.encoder, decoder=options.decoder
    )
    for path in export(
        stylizer,
        options.output,
        format=options.format,
        half=options.half,
        regions=options.regions,
        split=options.split,
    ):
        print(f"{path}: {written(path)}")


if __name__ == "__main__":
    main()
