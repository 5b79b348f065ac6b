"""`adain convert`, which `convert_vgg.py` is too: converts published weights to the project's files."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from adain_jax.cli.command import parse, refuse_urls, run, written
from adain_jax.errors import UsageError, printable

if TYPE_CHECKING:
    from adain_jax.convert import Converted
    from adain_jax.convert.activations import Means


@dataclass(frozen=True)
class Options:
    """Fetch or convert published weights, which --model vgg19 and training need.

    The encoder should be the caffe-style *normalized* VGG19 (vgg_normalised). Others, such as
    torchvision's, train poorly unless --normalize is given.

    Example: adain convert --download
    """

    source: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")] = None
    """A .pth, .t7, .npz, .h5, .keras, .safetensors or .caffemodel file with an encoder or a decoder;
    which of the two is detected."""
    download: bool = False
    """Fetch the published encoder (80 MB) instead of reading SRC. ADAIN_JAX_MIRROR names a folder or an
    address to fetch it from."""
    with_decoder: bool = False
    """With --download: fetch the published decoder (14 MB) too."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=["-o"])] = None
    """The file to write; by default one in the user's data folder, where other commands find it."""
    convention: Literal["unit", "torchvision", "caffe", "caffe-rgb"] | None = None
    """The input that the source's encoder expects, if the names of its layers do not tell. unit:
    RGB in 0..1; torchvision: RGB in 0..1, normalized by ImageNet's mean and standard deviation;
    caffe: BGR in 0..255 minus the mean; caffe-rgb: the same in RGB order."""
    normalize: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Scale every filter of the encoder to a mean activation of 1 over this folder of photographs."""
    debug: bool = False
    """Show a traceback on failure."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0, 1 (the weights cannot be converted) or 2 (bad usage)."""
    options = parse(Options, "convert_vgg.py", arguments)
    run(partial(convert, options), debug=options.debug)


def convert(options: Options) -> None:
    """Converts, and prints what the file holds."""
    refuse_urls(options)
    if options.download is (options.source is not None):
        raise UsageError("give either SRC, a file to convert, or --download")
    if options.with_decoder and not options.download:
        raise UsageError("--with-decoder is for --download")
    if options.with_decoder and (options.output or options.normalize):
        raise UsageError("--output and --normalize are for one network, not for --with-decoder")
    if options.source:
        _write(_read(options.source, options), str(options.source), options)
        return
    from adain_jax.convert import published

    for network in (published.ENCODER, *([published.DECODER] if options.with_decoder else [])):
        converted, source = published.fetch(network)
        _write(converted, source, options)


def _write(converted: "Converted", source: str, options: Options) -> None:
    """Writes the weights from a source, and prints what they are."""
    from adain_jax import weights
    from adain_jax.convert import ConversionError, normalize_encoder

    if options.normalize:
        if converted.kind != "vgg19-encoder":
            raise ConversionError("--normalize is for encoders, this is a decoder", source)
        converted = normalize_encoder(converted, options.normalize)
    if not options.convention:
        _warn_of_guess(converted)
    means = _probe(converted) if converted.kind == "vgg19-encoder" else None
    _print_table(converted, means)
    if means:
        _warn_unless_normalized(means)
    output = options.output or weights.converted_path(converted.kind)
    converted.write(output)
    print(f"{converted.kind} written to {output}, {written(output)}; from {printable(source)}")


def _read(source: Path, options: Options) -> "Converted":
    from adain_jax import convert
    from adain_jax.convert import Convention, ConversionError, UnknownConventionError

    try:
        return convert.convert(source, options.convention)
    except UnknownConventionError as error:
        choices = ",".join(get_args(Convention))
        raise ConversionError(f"{error.reason}; give --convention {{{choices}}}", source) from None


def _probe(converted: "Converted") -> "Means":
    """The encoder's mean activations on a built-in picture."""
    from adain_jax.convert.activations import mean_activations, probe_picture

    return mean_activations(converted.layers, [probe_picture()])


def _print_table(converted: "Converted", means: "Means | None") -> None:
    from rich.console import Console
    from rich.table import Table

    from adain_jax.convert.errors import some

    table = Table(title=f"{converted.metadata['source']}: {converted.kind}", title_justify="left")
    table.add_column("layer")
    table.add_column("kernel", justify="right")
    if means:
        table.add_column("mean activation", justify="right")
    for name, parts in converted.layers.items():
        row = [name, " x ".join(map(str, parts["kernel"].shape))]
        table.add_row(*row, *([f"{means[name].mean():.3g}"] if means else []))
    Console().print(table)
    if "convention" in converted.metadata:
        print(f"convention: {converted.metadata['convention']}")
    if converted.left_out:
        print(f"left out: {some(converted.left_out, most=60)}")


def _warn_of_guess(converted: "Converted") -> None:
    """Weights that came from Caffe are passed on under torchvision's names, and nothing else tells."""
    of_torchvision = converted.metadata.get("convention") == "torchvision"
    # torchvision names its files after their checksums: this one is vgg19-dcbb9e9d.pth.
    if of_torchvision and not converted.metadata["sha256"].startswith("dcbb9e9d"):
        print(
            "warning: its names are torchvision's, so it is taken to expect pictures as torchvision "
            "prepares them; if it was translated from Caffe, for BGR in 0..255, give "
            "--convention caffe",
            file=sys.stderr,
        )


def _warn_unless_normalized(means: "Means") -> None:
    from adain_jax.convert.activations import is_normalized

    if not is_normalized(means):
        print(
            "warning: this VGG19 is not normalized (filters do not respond with about 1 on average); "
            "published decoders do not work with it and training suffers. Convert vgg_normalised, "
            "or give --normalize FOLDER with a few hundred photographs.",
            file=sys.stderr,
        )
