"""How each kind of file is read, and what may come of it: the file, or one line that names it."""

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adain_jax.cli.command import describe
from adain_jax.convert.errors import ConversionError
from adain_jax.errors import AdainError
from adain_jax.images import PictureWarning
from fuzz import seeds
from fuzz.mutation import mutate, unzipped

MAX_PIXELS = 1 << 26  # as on the page; a picture of the command's limit takes 3 GiB by itself


class FindingError(Exception):
    """A failure that is not told as it should be."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        seeds: makes whole files, by name.
        read: reads a file as the library's users do.
        inside: whether the files stand for folders, of which one file each is damaged.
    """

    seeds: Callable[[], seeds.Files]
    read: Callable[[Path], None]
    inside: bool = False


def mutant(name: str, seed: int, number: int) -> tuple[str, bytes]:
    """The name and the bytes of a damaged file of a kind; they depend on the arguments alone."""
    rng = random.Random(f"{name} {seed} {number}")
    files = _seeds(name)
    chosen = rng.choice(sorted(files))
    others = list(files.values())
    return f"{number}-{chosen}", mutate(files[chosen], others, rng, inside=KINDS[name].inside)


def outcome(name: str, path: Path) -> str | None:
    """Reads a file of a kind; returns None if it could be read, else what its user is told.

    Raises:
        FindingError: the failure is not told in one printable line that names the file.
        Exception: the failure is not one of the library's.
    """
    told, lines = None, []
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PictureWarning)
        try:
            KINDS[name].read(path)
        except AdainError as error:
            told = describe(error)
            # Of weights, every problem has a line of its own.
            lines = told.split("\n") if isinstance(error, ConversionError) else [told]
    for line in (*lines, *(str(note.message) for note in notes)):
        if str(path.with_suffix("")) not in line or not line.isprintable():
            raise FindingError(f"no printable line that names the file: {line!r}")
    return told


@cache
def _seeds(name: str) -> seeds.Files:
    return KINDS[name].seeds()


def _read_picture(path: Path) -> None:
    from adain_jax.images import picture_size, read_picture

    size = picture_size(path, max_pixels=MAX_PIXELS)
    picture = read_picture(path, max_pixels=MAX_PIXELS)
    if picture.shape[:2] != size:
        raise FindingError(f"its size is {picture.shape[:2]}, not {size} as was said before")


def _read_weights(path: Path) -> None:
    from adain_jax import convert, weights

    if "own" in path.name:
        weights.read(path, "fast")
    else:
        convert.sources.read(path)
        try:
            convert.convert(path)
        except ConversionError as error:
            if "keys found" not in error.reason and "no layer names" not in error.reason:
                raise


def _read_clip(path: Path) -> None:
    from adain_jax.video import open_clip, writing

    clip = open_clip(path, max_pixels=1 << 20)
    with writing(path.with_suffix(".copy.mkv"), clip, note=lambda text: None) as write:
        for frame in clip.frames():
            write(frame)


def _read_style(path: Path) -> None:
    from adain_jax.style import Style

    Style.load(path, "fast")


def _go_on_with_run(path: Path) -> None:
    from adain_jax.training.checkpoints import Checkpoints
    from adain_jax.training.run_dir import Metrics, agree

    run = path.with_suffix("")
    for name, data in unzipped(path.read_bytes()).items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(data)
    agree(seeds.run_config(run))
    checkpoints = Checkpoints(run / "checkpoints")
    try:
        restored = checkpoints.restore(seeds.small_state())
        Metrics(run / "metrics.jsonl", int(restored.state.step)).close()
    finally:
        checkpoints.close()


KINDS = {
    "pictures": Kind(seeds.pictures, _read_picture),
    "weights": Kind(seeds.weights, _read_weights),
    "clips": Kind(seeds.clips, _read_clip),
    "styles": Kind(seeds.styles, _read_style),
    "checkpoints": Kind(seeds.checkpoints, _go_on_with_run, inside=True),
}
