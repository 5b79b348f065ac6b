"""The jobs of `infer.py`: which contents get which styles, and the names of the results."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from adain_jax.cli.infer_options import Options, flag
from adain_jax.dataset.draws import generator, in_shard, parse_shard
from adain_jax.errors import UsageError
from adain_jax.images import SUFFIXES, PictureError, find_pictures, writable_format


@dataclass(frozen=True, eq=False)
class Source:
    """An input. It equals only itself, even if another input is the same file.

    Attributes:
        path: the file, or a folder of frames.
        relative: its path relative to the folder or glob that it was found in.
    """

    path: Path
    relative: Path

    @property
    def name(self) -> str:
        """Its name in the file names of results."""
        return self.relative.stem

    @property
    def key(self) -> str:
        """What draws and shards know it by: the same wherever the folder lies."""
        return self.relative.as_posix()


@dataclass(frozen=True, eq=False)
class Job:
    """One result: a content in one style, or in several that are mixed or used by region."""

    content: Source
    styles: tuple[Source, ...]
    output: Path


def expand(
    patterns: Iterable[Path], *, suffixes: Set[str] = SUFFIXES, whole_folders: bool = False
) -> Iterator[Source | PictureError]:
    """Yields the inputs of files, folders (recursively) and globs, or an error if there are none.

    Globs find files with one of the `suffixes`. With `whole_folders`, a folder is one source.
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


def make_jobs(
    contents: Sequence[Source],
    styles: Sequence[Source],
    options: Options,
    suffix: Callable[[Source], str],
    *,
    files: Set[str] = SUFFIXES,
) -> list[Job]:
    """Returns all jobs, content by content, each with its own output file.

    For a single result, --output may be a file with one of the suffixes `files`. Otherwise it is a
    folder, and content `trip/sea.jpg` in style `wave` becomes `trip/sea_stylized_wave.jpg`, where
    `suffix` gives the suffix for the content. Several combined styles are called `mix`. If results
    would have the same name (ignoring case), the later ones get `_2`, `_3` and so on, in the order
    of the inputs. With --shard, only the jobs of some contents are returned, with the same names.

    Raises:
        UsageError: --output is one file for several results, or the numbers of contents and styles
            do not match the options.
    """
    pairs = _pair(contents, styles, options)
    output = options.output or Path()
    if output.suffix.lower() in files and not output.is_dir():
        if len(pairs) > 1:
            raise UsageError(f"--output {output} is one file, but there are {len(pairs)} results")
        return [Job(content, chosen, output) for content, chosen in pairs]
    jobs: list[Job] = []
    taken: set[str] = set()
    for content, chosen in pairs:
        style = chosen[0].name if len(chosen) == 1 else "mix"
        stem = output / content.relative.parent / f"{content.name}_stylized_{style}"
        jobs.append(Job(content, chosen, Path(distinct(str(stem), suffix(content), taken))))
    if options.shard:  # only now, so that names do not depend on it
        shard = parse_shard(options.shard)
        return [job for job in jobs if in_shard(job.content.key, shard)]
    return jobs


def _pair(
    contents: Sequence[Source], styles: Sequence[Source], options: Options
) -> list[tuple[Source, tuple[Source, ...]]]:
    """Pairs contents with styles: all with all, unless an option says otherwise."""
    together = False
    for name in ("style_weights", "style_schedule", "mask"):
        given = len(getattr(options, name))
        together |= given > 0
        if given not in (0, len(styles)):
            raise UsageError(f"{flag(name)}: {given} given for {len(styles)} styles")
    if options.pair:
        if len(contents) != len(styles):
            raise UsageError(
                f"--pair needs as many styles as contents, not {len(styles)} and {len(contents)}"
            )
        return [(content, (style,)) for content, style in zip(contents, styles, strict=True)]
    if together:
        return [(content, tuple(styles)) for content in contents]
    number = options.random_styles
    if number:
        if number > len(styles):
            raise UsageError(f"--random-styles {number} needs 1 to {len(styles)} (all styles)")
        return [
            (content, (styles[i],))
            for content in contents
            for i in generator(options.seed, content.key).choice(len(styles), number, replace=False)
        ]
    return [(content, (style,)) for content in contents for style in styles]


def distinct(stem: str, ending: str, taken: set[str]) -> str:
    """Returns a name that is not in `taken` (ignoring case), and adds it to `taken`.

    The name is `stem`, followed by `_2`, `_3`, ... if necessary, and by `ending`.
    """
    name, number = f"{stem}{ending}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}{ending}"
    taken.add(name.casefold())
    return name


def own_suffix(path: Path) -> str:
    """The suffix of a picture's result: its own, or .png if that is .gif or cannot be written."""
    try:
        writable_format(path)
    except PictureError:
        return ".png"
    return ".png" if path.suffix.lower() == ".gif" else path.suffix
