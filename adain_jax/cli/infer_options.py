"""The options of `infer.py`, and which of them fit together."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adain_jax.cli.command import UsageError
from adain_jax.containers import VIDEO_SUFFIXES, WRITABLE_SUFFIXES

# Other imports of this project stand in the functions that need them: they wait for NumPy, Pillow or
# JAX, and --help must not.

_Many = tyro.conf.arg(metavar="PATH [PATH ...]")
_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]


@dataclass(frozen=True)
class Options:
    """Stylise pictures: every content in every style, unless told otherwise.

    Contents and styles are files, folders (searched recursively, their tree kept in the output) and
    quoted globs. Bad pictures are reported and passed over; the exit code is then 1.

    Example: python infer.py --content photos --style paintings/*.jpg --output stylised
    """

    content: Annotated[tuple[Path, ...], _Many] = ()
    """Pictures to stylise, or clips: videos, and GIFs and folders of frames where --output is a video
    or GIF, --format is mp4, mkv, webm or gif, or an option that is for clips only is given."""
    style: Annotated[tuple[Path, ...], _Many] = ()
    """Pictures whose style to take."""
    style_file: Annotated[tuple[Path, ...], _Many] = ()
    """Styles saved by --save-style, beside or instead of --style."""
    output: _File = None
    """A folder, or with a single result a file. In a folder, results are called
    CONTENT_stylized_STYLE; those that would collide get _2, _3, ..."""

    model: Literal["fast", "vgg19"] = "fast"
    """fast needs nothing else; vgg19, the paper's network, needs the encoder converted once by
    `convert_vgg.py --download`."""
    network: _File = None
    """Weights of fast, trained by train.py; by default those that ship."""
    encoder: _File = None
    """Encoder weights of vgg19; by default where convert_vgg.py wrote them."""
    decoder: _File = None
    """Decoder weights of vgg19; by default where convert_vgg.py wrote them, else those shipped."""

    alpha: float = 1.0
    """Strength of the style: 0 is the content, 1 the full style."""
    pair: bool = False
    """The first content in the first style, the second in the second, and so on."""
    random_styles: int = 0
    """So many different styles for each content, drawn at random."""
    seed: int = 0
    """Seed of --random-styles."""
    style_weights: Annotated[tuple[float, ...], tyro.conf.arg(metavar="W [W ...]")] = ()
    """Mix all styles into one, by these weights."""
    style_schedule: Annotated[tuple[float, ...], tyro.conf.arg(metavar="S [S ...]")] = ()
    """Clips: fade from style to style; the second at which each one is full."""
    stabilize: bool = False
    """Clips: reduce flicker."""
    fps: float | None = None
    """Clips: frames per second of a folder of frames; by default 25."""
    mask: Annotated[tuple[Path, ...], _Many] = ()
    """One mask picture per style: white is where that style goes. Pixels of no mask stay plain."""
    preserve_color: Literal["none", "coral", "luminance"] = "none"
    """Keep the content's colours: coral recolours the style picture first, luminance takes only the
    lightness of the result."""

    content_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Shorter side of the contents in pixels; 0 keeps their own. By default 512 for pictures, their own
    for clips."""
    style_size: int = 512
    """Shorter side of the style pictures in pixels; 0 keeps their own."""
    crop: bool = False
    """Cut contents and styles to a central square."""
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Pictures per step; by default 1 on CPU, 8 elsewhere."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the convolutions; bfloat16 is faster on GPU and TPU, and less exact."""
    tile: Annotated[int | Literal["auto", "off"], tyro.conf.arg(metavar="auto|INT|off")] = "auto"
    """Side in pixels of the tiles in which large pictures are computed, with the same result as in one
    piece: auto fits it to the memory that is free, off computes every picture in one piece."""
    no_compilation_cache: bool = False
    """Do not keep compiled programs, which make the next start faster, in the user's cache folder."""

    format: Literal["jpg", "png", "webp", "tiff", "mp4", "mkv", "webm", "gif"] | None = None
    """File format of results in a folder; by default the content's own. A clip as jpg, png, webp or
    tiff is a folder of numbered frames."""
    quality: int = 95
    """Quality of JPEG, WebP and video, 1 to 100."""
    overwrite: bool = False
    """Replace existing files; otherwise they are an error."""
    skip_existing: bool = False
    """Leave existing files and do the rest, as after an interrupted run."""
    alpha_channel: Literal["white", "keep"] = "white"
    """Transparent contents are laid on white, or keep their transparency."""
    max_pixels: int = 1 << 28
    """Refuse pictures of more pixels."""

    grid: bool = False
    """Also write grid.png, a labelled sheet of (at most 12 x 12) contents, styles and results."""
    save_style: _File = None
    """Write the encoded styles into this folder; needs no --content."""
    report: _File = None
    """Write a JSON file that lists every input and result with its outcome."""
    timing: bool = False
    """Print at the end where the time went."""
    debug: bool = False
    """Show a traceback on failure."""


def flag(name: str) -> str:
    """How an option is given on the command line."""
    return f"--{name.replace('_', '-')}"


def is_for_clips(options: Options) -> bool:
    """Whether a call of `infer.py` is about clips, not pictures.

    Videos are known by their suffix. GIFs and folders are clips where the result is one (--output is a
    video or GIF, --format is mp4, mkv, webm or gif) and where an option is given that is for clips
    only; otherwise they are a picture and a folder of pictures.
    """
    return bool(
        options.style_schedule
        or options.stabilize
        or options.fps is not None
        or f".{options.format}" in WRITABLE_SUFFIXES
        or any(path.suffix.lower() in VIDEO_SUFFIXES for path in options.content)
        or (options.output and not options.output.is_dir() and _names_a_clip(options))
    )


def _names_a_clip(options: Options) -> bool:
    assert options.output
    suffix = options.output.suffix.lower()
    animated = any(path.is_dir() or path.suffix.lower() == ".gif" for path in options.content)
    return suffix in VIDEO_SUFFIXES or (suffix == ".gif" and animated)


def check(options: Options) -> None:
    """Checks all that can be told from the options alone.

    Raises:
        UsageError: they do not fit together.
    """
    if not options.style and not options.style_file:
        raise UsageError("--style or --style-file is missing")
    if not options.content and not options.save_style:
        raise UsageError("--content is missing")
    if options.content and not options.output:
        raise UsageError("--output is missing")
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    ways = ("pair", "random_styles", "style_weights", "style_schedule", "mask")
    if sum(bool(getattr(options, name)) for name in ways) > 1:
        *most, last = map(flag, ways)
        raise UsageError(f"{', '.join(most)} and {last} exclude each other")
    _check_weights(options)
    if options.style_file and options.preserve_color == "coral":
        raise UsageError(
            "--preserve-color coral recolours style pictures; it cannot use --style-file"
        )
    _check_numbers(options)
    if is_for_clips(options):
        _check_for_clips(options)


def _check_weights(options: Options) -> None:
    from adain_jax.models import WEIGHT_FILES

    for model, files in WEIGHT_FILES.items():
        if model != options.model and any(getattr(options, name) for name in files):
            flags = " and ".join(map(flag, files))
            raise UsageError(f"{flags} {'is' if len(files) == 1 else 'are'} for --model {model}")


def _check_numbers(options: Options) -> None:
    for name in ("content_size", "style_size", "random_styles"):
        if (getattr(options, name) or 0) < 0:
            raise UsageError(f"{flag(name)} must be at least 0")
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError("--batch-size must be at least 1")
    if isinstance(options.tile, int):
        from adain_jax.inference.memory import MIN_TILE_SIZE

        if options.tile < MIN_TILE_SIZE:
            raise UsageError(
                f"--tile must be auto, off or at least {MIN_TILE_SIZE}, not {options.tile}"
            )
    if not 1 <= options.quality <= 100:
        raise UsageError("--quality must lie in 1 to 100")


def _check_for_clips(options: Options) -> None:
    for name in ("mask", "crop", "grid"):
        if getattr(options, name):
            raise UsageError(f"{flag(name)} is for pictures, not for clips")
    if options.preserve_color == "coral":
        raise UsageError("--preserve-color coral is for pictures; luminance is for clips too")
    if options.alpha_channel == "keep":
        raise UsageError("--alpha-channel keep is for pictures; clips are laid on white")
    if any(b <= a for a, b in pairwise(options.style_schedule)):
        raise UsageError("--style-schedule needs rising seconds, such as 0 5 10")
    if options.fps is not None:
        if not (math.isfinite(options.fps) and 0.01 <= options.fps <= 1000):
            raise UsageError("--fps must lie in 0.01 to 1000")
        if not any(path.is_dir() for path in options.content):
            raise UsageError(
                "--fps is for a folder of frames; videos and GIFs keep their own times"
            )
    if options.output and not options.output.is_dir():
        _check_clip_suffix(options.output)


def _check_clip_suffix(output: Path) -> None:
    from adain_jax.images.files import SUFFIXES

    if output.suffix.lower() in (VIDEO_SUFFIXES | SUFFIXES) - WRITABLE_SUFFIXES:
        raise UsageError(
            f"--output {output}: clips are written as {', '.join(sorted(WRITABLE_SUFFIXES))}, "
            "or as frames into a folder with --format png"
        )
