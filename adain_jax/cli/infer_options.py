"""The options of `infer.py`, and the checks that they fit together."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adain_jax.cli.command import ModelName, flag, refuse_urls
from adain_jax.errors import UsageError
from adain_jax.files import check_can_write, is_folder
from adain_jax.models import check_files

# Other modules of this project are imported inside the functions that need them: they import NumPy,
# Pillow or JAX, which would slow down --help.

_MANY = "PATH [PATH ...]"
_Many = tyro.conf.arg(metavar=_MANY)
_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]


@dataclass(frozen=True)
class Options:
    """Stylize pictures or clips: every content in every style, unless told otherwise.

    Contents and styles are files, folders (searched recursively; the output keeps their tree) and
    quoted globs. Pictures that cannot be read are reported and skipped; the exit code is then 1. Other
    files in folders are passed over, and so are results of an earlier run.

    Example: adain stylize -c photo.jpg -s painting.jpg -o result.jpg

    Example: adain stylize -c photos -s 'paintings/*.jpg' -o stylized --grid
    """

    content: Annotated[tuple[Path, ...], tyro.conf.arg(metavar=_MANY, aliases=["-c"])] = ()
    """Pictures or clips to stylize. Videos are clips; GIFs and folders are clips if --output is a video
    or a GIF, if --format is mp4, mkv, webm or gif, or if an option for clips is given."""
    style: Annotated[tuple[Path, ...], tyro.conf.arg(metavar=_MANY, aliases=["-s"])] = ()
    """Pictures to take the style from."""
    style_file: Annotated[tuple[Path, ...], _Many] = ()
    """Styles saved by --save-style, in addition to or instead of --style."""
    style_index: Annotated[tuple[str, ...], tyro.conf.arg(metavar="I [I ...]")] = ()
    """For a decoder with styles of its own (`adain train --transform conditional`), instead of --style:
    the number of one, from 0, or its name. All options for several styles are for these too."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="PATH", aliases=["-o"])] = None
    """The folder to write to, or a file if there is a single result. In a folder, results are named
    CONTENT_stylized_STYLE, with the strength and the like where they are not the default; names that
    would still collide get _2, _3, ..."""

    model: ModelName = "fast"
    """The network. fast needs no other files; vgg19, the paper's network, needs an encoder, which
    `adain convert --download` provides once. hf://OWNER/NAME is a repository on the Hugging Face Hub
    with weights of either."""
    network: _File = None
    """Weights of fast, written by train; by default those that ship."""
    encoder: _File = None
    """Encoder weights of vgg19; by default those that `adain convert` wrote."""
    decoder: _File = None
    """Decoder weights of vgg19; by default those that `adain convert` wrote, else those that ship."""

    alpha: Annotated[tuple[float, ...], tyro.conf.arg(metavar="A [A ...]", aliases=["-a"])] = (1.0,)
    """Strength of the style: 0 gives the content, 1 the full style, more exaggerates it. Of several
    strengths, each gives a result."""
    pair: bool = False
    """Stylize the first content in the first style, the second in the second, and so on."""
    random_styles: int = 0
    """Stylize each content in this many different styles, drawn at random."""
    seed: int = 0
    """The random seed of --random-styles. What a content gets depends on the seed and on its path below
    the folder, not on the other contents."""
    shard: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Do one of N parts of the work, for arrays of jobs: each content belongs to one of them by its
    path. I counts from 1 to N or from 0 to N - 1."""
    style_weights: Annotated[tuple[float, ...], tyro.conf.arg(metavar="W [W ...]")] = ()
    """Mix all styles into one, with these weights."""
    style_schedule: Annotated[tuple[float, ...], tyro.conf.arg(metavar="S [S ...]")] = ()
    """For clips: fade from style to style, reaching them at these times, in seconds."""
    stabilize: bool = False
    """For clips: reduce flicker."""
    fps: float | None = None
    """For clips: frames per second of a folder of frames; by default 25."""
    mask: Annotated[tuple[Path, ...], _Many] = ()
    """One mask picture per style, white where that style goes; what is transparent counts as black.
    Pixels outside all masks keep the content."""
    preserve_color: Literal["none", "coral", "luminance"] = "none"
    """How to keep the content's colors. coral: recolor the style picture like the content before it
    is encoded; luminance: take only the luminance from the result."""

    content_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Shorter side of the results in pixels; by default, or with 0, that of the contents."""
    stroke_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """For pictures: strokes are as large as in a picture with this shorter side, and larger results are
    painted from coarse to fine. 0 paints at the size of the result. The default is 512, or 0 if
    --content-size is given."""
    style_size: int = 512
    """Shorter side of the style pictures in pixels; 0 keeps their size."""
    crop: bool = False
    """Crop contents and styles to a central square."""
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of pictures that each device computes at a time; by default 1 on CPU and 8 elsewhere. All
    local devices share the work."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the convolutions; statistics are always float32."""
    tile: Annotated[int | Literal["auto", "off"], tyro.conf.arg(metavar="auto|INT|off")] = "auto"
    """Side in pixels of the tiles in which large pictures are computed; tiles do not change the
    result. auto chooses the side from the free memory; off computes every picture in one piece."""
    no_compilation_cache: bool = False
    """Do not keep compiled programs in the user's cache folder. Later starts are slower then."""

    format: Literal["jpg", "png", "webp", "tiff", "mp4", "mkv", "webm", "gif"] | None = None
    """File format of results in a folder; by default that of the content. With jpg, png, webp or tiff,
    a clip becomes a folder of numbered frames."""
    quality: int = 95
    """Quality of JPEG, WebP and video, from 1 to 100."""
    overwrite: bool = False
    """Replace existing files. They are an error unless this or --skip-existing is given."""
    skip_existing: bool = False
    """Keep existing files and write the others, for example to resume an interrupted run."""
    alpha_channel: Literal["white", "keep"] = "white"
    """Put transparent contents on a white background, or keep their transparency."""
    max_pixels: int = 1 << 28
    """Refuse pictures with more pixels than this."""

    grid: bool = False
    """Also write grid.png, a labeled sheet of contents, styles and results, at most 12 x 12."""
    save_style: _File = None
    """Write the encoded styles to this folder; --content may then be omitted."""
    report: _File = None
    """Write a JSON file that lists every input and result with its outcome, and the files in folders
    that were passed over."""
    timing: bool = False
    """Print how long each phase took."""
    debug: bool = False
    """Show a traceback on failure, also of single pictures."""


def is_for_clips(options: Options) -> bool:
    """Whether a run of `infer.py` stylizes clips rather than pictures.

    Videos are recognized by their suffix. GIFs and folders are clips if the result is a clip
    (--output is a video or GIF, or --format is mp4, mkv, webm or gif) or if an option for clips
    only is given. Otherwise they are pictures and folders of pictures.
    """
    from adain_jax.video.formats import VIDEO_SUFFIXES, WRITABLE

    output = options.output
    suffix = output.suffix.lower() if output and not is_folder(output) else ""
    animated = any(is_folder(path) or path.suffix.lower() == ".gif" for path in options.content)
    return bool(
        options.style_schedule
        or options.stabilize
        or options.fps is not None
        or f".{options.format}" in WRITABLE
        or any(path.suffix.lower() in VIDEO_SUFFIXES for path in options.content)
        or suffix in VIDEO_SUFFIXES
        or (suffix == ".gif" and animated)
    )


def stroke_size(options: Options) -> int | None:
    """The shorter side in pixels at which strokes are painted; None if it is that of the result."""
    if options.stroke_size is None and options.content_size is None:
        return 512
    return options.stroke_size or None


def check(options: Options) -> None:
    """Checks everything that depends on the options alone.

    Raises:
        UsageError: options are missing, out of range, or do not fit together.
        OSError: --report or --save-style cannot be written.
    """
    refuse_urls(options)
    if not options.style and not options.style_file and not options.style_index:
        raise UsageError("--style or --style-file is missing")
    if options.style_index and (options.style or options.style_file or options.save_style):
        raise UsageError(
            "--style-index chooses from a decoder's own styles, without --style, --style-file and "
            "--save-style"
        )
    if not options.content and not options.save_style:
        raise UsageError("--content is missing")
    if options.content and not options.output:
        raise UsageError("--output is missing")
    if options.output:
        _check_ending(options.output)
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    ways = ("pair", "random_styles", "style_weights", "style_schedule", "mask")
    if sum(bool(getattr(options, name)) for name in ways) > 1:
        *most, last = map(flag, ways)
        raise UsageError(f"{', '.join(most)} and {last} exclude each other")
    check_files(
        options.model, {name: getattr(options, name) for name in ("network", "encoder", "decoder")}
    )
    if options.style_file and options.preserve_color == "coral":
        raise UsageError(
            "--preserve-color coral recolors style pictures; it cannot use --style-file"
        )
    if options.style_index and options.preserve_color == "coral":
        raise UsageError("--preserve-color coral needs style pictures; luminance does not")
    _check_numbers(options)
    if options.report:
        if is_folder(options.report):
            raise UsageError(f"--report {options.report} is a folder; give a file")
        check_can_write(options.report)
    if options.save_style:
        check_can_write(options.save_style)
    if options.shard:
        from adain_jax.dataset.draws import parse_shard

        parse_shard(options.shard)
        if options.grid:
            raise UsageError("--shard does a part of the work, --grid needs all of it")
    if is_for_clips(options):
        _check_for_clips(options)


def _check_ending(output: Path) -> None:
    """Refuses what looks like a file of a kind that is not written: no folder is meant by it."""
    from adain_jax.images import SUFFIXES
    from adain_jax.video.formats import VIDEO_SUFFIXES, WRITABLE

    suffix = output.suffix.lower()
    if (
        re.fullmatch(r"\.[a-z]{2,5}", suffix)
        and suffix not in SUFFIXES | VIDEO_SUFFIXES
        and not is_folder(output)
    ):
        pictures, clips = (", ".join(sorted(kind)) for kind in (SUFFIXES - WRITABLE, WRITABLE))
        raise UsageError(
            f"--output {output}: no such format; pictures end in {pictures} and clips in {clips}; "
            "if it is to be a folder, make it first"
        )


def _check_numbers(options: Options) -> None:
    for name in ("content_size", "stroke_size", "style_size", "random_styles", "seed"):
        if (getattr(options, name) or 0) < 0:
            raise UsageError(f"{flag(name)} must be at least 0")
    if not options.alpha or not all(map(math.isfinite, options.alpha)):
        raise UsageError("--alpha needs one or more numbers")
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
    for name in ("mask", "crop", "grid", "stroke_size"):
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
        if not any(is_folder(path) for path in options.content):
            raise UsageError(
                "--fps is for a folder of frames; videos and GIFs keep their own times"
            )
    if options.output and not is_folder(options.output):
        _check_clip_suffix(options.output)


def _check_clip_suffix(output: Path) -> None:
    from adain_jax.images import SUFFIXES
    from adain_jax.video.formats import VIDEO_SUFFIXES, WRITABLE

    if output.suffix.lower() in (VIDEO_SUFFIXES | SUFFIXES) - WRITABLE:
        raise UsageError(
            f"--output {output}: clips are written as {', '.join(sorted(WRITABLE))}, "
            "or as frames into a folder with --format png"
        )
