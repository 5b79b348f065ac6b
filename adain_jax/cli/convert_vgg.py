"""`convert_vgg.py`: published weights to the project's files."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from adain_jax.cli.command import UsageError, run

if TYPE_CHECKING:
    from adain_jax.convert import Converted


@dataclass(frozen=True)
class Options:
    """Convert published VGG19 encoder or AdaIN decoder weights for infer.py and train.py.

    The encoder is to be the caffe-style *normalised* VGG19 (vgg_normalised); torchvision's does not
    train well unless it is normalised too.
    """

    source: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")] = None
    """A .pth, .t7, .npz, .h5, .safetensors or .caffemodel file; encoder or decoder is recognised."""
    download: bool = False
    """Fetch the encoder from where the paper's authors publish it (80 MB), instead of SRC."""
    output: Path | None = None
    """Where to write; by default the user's data folder, where infer.py finds it without flags."""
    convention: Literal["unit", "torchvision", "caffe", "caffe-rgb"] | None = None
    """The pictures that the source's encoder expects, where its names do not tell: RGB in 0..1; RGB
    less ImageNet's mean over its deviation; BGR in 0..255 less the mean; the same in RGB order."""
    normalize: Path | None = None
    """Scale every filter of the encoder to a mean activation of 1 over this folder of photographs."""
    debug: bool = False
    """Show a traceback on failure."""


def main(arguments: list[str] | None = None) -> None:
    """The command; exits with 0, 1 (the weights cannot be converted) or 2 (bad usage)."""
    options = tyro.cli(
        Options, prog="convert_vgg.py", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
    run(lambda: _convert(options), debug=options.debug)


def _convert(options: Options) -> None:
    from adain_jax import weights
    from adain_jax.convert import ConversionError, convert, normalised
    from adain_jax.convert.download import ENCODER_MD5, ENCODER_URL, download

    if options.download is (options.source is not None):
        raise UsageError("give either SRC, a file to convert, or --download")
    source = options.source
    if source is None:
        folder = weights.converted_path("vgg19-encoder").parent
        source = download(ENCODER_URL, folder, md5=ENCODER_MD5)
    converted = convert(source, options.convention)
    if options.normalize:
        if converted.kind != "vgg19-encoder":
            raise ConversionError(f"{source}: --normalize is for encoders, this is a decoder")
        converted = normalised(converted, options.normalize)
    _print_table(converted, source)
    output = options.output or weights.converted_path(converted.kind)
    converted.write(output)
    print(f"{converted.kind} written to {output}")
    if options.download:
        source.unlink()


def _print_table(converted: "Converted", source: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{source.name}: {converted.kind}", title_justify="left")
    table.add_column("layer")
    table.add_column("kernel", justify="right")
    means = None
    if converted.kind == "vgg19-encoder":
        from adain_jax.convert.activations import is_normalised, mean_activations, probe_picture

        means = mean_activations(converted.layers, [probe_picture()])
        table.add_column("mean activation", justify="right")
    for name, parts in converted.layers.items():
        row = [name, " x ".join(map(str, parts["kernel"].shape))]
        table.add_row(*row, *([] if means is None else [f"{means[name].mean():.3g}"]))
    Console().print(table)
    if "convention" in converted.metadata:
        print(f"convention: {converted.metadata['convention']}")
    if converted.left_out:
        print(f"left out, after relu4_1: {', '.join(converted.left_out)}")
    if means is not None and not is_normalised(means):
        print(
            "warning: this VGG19 is not normalised (filters do not respond with about 1 on average); "
            "published decoders do not work with it and training suffers. Convert vgg_normalised, "
            "or give --normalize FOLDER with some hundred photographs.",
            file=sys.stderr,
        )
