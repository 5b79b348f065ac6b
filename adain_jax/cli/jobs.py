"""What `infer.py` is to do: which pictures meet which styles, and what the results are called."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adain_jax.errors import UsageError
from adain_jax.images import SUFFIXES, PictureError, find_pictures, writable_format


@dataclass(frozen=True)
class Source:
    """A picture to read: its path, and its path below the folder or glob that it was found in."""

    path: Path
    relative: Path


@dataclass(frozen=True)
class Job:
    """One result: content `content` in the styles `styles` (several for a mix or for regions)."""

    content: int
    styles: tuple[int, ...]
    output: Path


def expand(
    patterns: Iterable[Path], *, suffixes: Set[str] = SUFFIXES, whole_folders: bool = False
) -> Iterator[Source | PictureError]:
    """The pictures behind files, folders (recursively) and globs; an error where there are none.

    Globs find files with one of the `suffixes`. A folder can also stand for itself, as one source.
    """
    for pattern in patterns:
        text = str(pattern)
        if whole_folders and pattern.is_dir():
            yield Source(pattern, Path(pattern.resolve().name))
        elif pattern.is_dir():
            found = find_pictures(pattern)
            yield from (Source(path, path.relative_to(pattern)) for path in found)
            if not found:
                yield PictureError(f"{pattern}: no picture in this folder")
        elif glob.has_magic(text) and not pattern.exists():
            fixed = Path(*_before_magic(pattern))
            matches = sorted(Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207
            found = [p for p in matches if p.suffix.lower() in suffixes and p.is_file()]
            yield from (Source(path, path.relative_to(fixed)) for path in found)
            if not found:
                yield PictureError(f"{pattern}: no such file matches")
        else:
            yield Source(pattern, Path(pattern.name))


def _before_magic(pattern: Path) -> Iterator[str]:
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def combine(
    contents: int,
    styles: int,
    *,
    together: bool = False,
    pair: bool = False,
    random_styles: int = 0,
    seed: int = 0,
) -> list[tuple[int, tuple[int, ...]]]:
    """Which content meets which styles, as indices.

    Every content meets every style, unless `together` (all styles at once, as a mix or in regions),
    `pair` (the i-th meets the i-th) or `random_styles` (so many different ones each, drawn anew).

    Raises:
        UsageError: the numbers do not allow that.
    """
    if pair:
        if contents != styles:
            raise UsageError(
                f"--pair needs as many styles as contents, not {styles} and {contents}"
            )
        return [(i, (i,)) for i in range(contents)]
    if together:
        return [(i, tuple(range(styles))) for i in range(contents)]
    if random_styles:
        if not 0 < random_styles <= styles:
            raise UsageError(f"--random-styles {random_styles} needs 1 to {styles} (all styles)")
        rng = np.random.default_rng(seed)
        drawn = (rng.choice(styles, random_styles, replace=False) for _ in range(contents))
        return [(i, (int(style),)) for i, row in enumerate(drawn) for style in row]
    return [(i, (style,)) for i in range(contents) for style in range(styles)]


def name_outputs(
    pairs: Sequence[tuple[int, tuple[int, ...]]],
    contents: Sequence[Source],
    style_names: Sequence[str],
    output: Path,
    suffix: Callable[[Source], str],
    *,
    files: Set[str] = SUFFIXES,
) -> list[Job]:
    """Gives every result its file, with the suffix that its content asks for.

    With one result, `output` may be a file, if its suffix is one of `files`. Otherwise it is a folder,
    and content `trip/sea.jpg` in style `wave` becomes `trip/sea_stylized_wave.jpg`; several styles
    together are called `mix`. Where two results would get one name (letter case apart), the later ones
    get `_2`, `_3` and so on, in the order of the inputs.

    Raises:
        UsageError: `output` is a file, but there are several results.
    """
    if output.suffix.lower() in files and not output.is_dir():
        if len(pairs) > 1:
            raise UsageError(f"--output {output} is one file, but there are {len(pairs)} results")
        return [Job(content, styles, output) for content, styles in pairs]
    jobs: list[Job] = []
    taken: set[str] = set()
    for content, styles in pairs:
        relative = contents[content].relative
        style = style_names[styles[0]] if len(styles) == 1 else "mix"
        stem = output / relative.parent / f"{relative.stem}_stylized_{style}"
        path = Path(distinct(str(stem), suffix(contents[content]), taken))
        jobs.append(Job(content, styles, path))
    return jobs


def distinct(stem: str, ending: str, taken: set[str]) -> str:
    """A name not yet taken, letter case apart: `stem`, or with `_2`, `_3`, ...; it is taken then."""
    name, number = f"{stem}{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}{ending}"
    taken.add(name.casefold())
    return name


def own_suffix(path: Path) -> str:
    """The suffix of a picture's result: its own, or .png where that cannot be written."""
    try:
        writable_format(path)
    except PictureError:
        return ".png"
    return ".png" if path.suffix.lower() == ".gif" else path.suffix
