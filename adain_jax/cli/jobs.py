"""The jobs of `infer.py`: which contents get which styles, and the names of the results."""

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from adain_jax.cli.command import flag
from adain_jax.cli.infer_options import Options
from adain_jax.dataset.draws import generator, in_shard, parse_shard
from adain_jax.errors import UsageError
from adain_jax.files import exists, is_folder
from adain_jax.images import SUFFIXES, PictureError, writable_format
from adain_jax.images.folders import search
from adain_jax.images.formats import PHOTOGRAPHS


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
    alpha: float
    output: Path


@dataclass(frozen=True)
class PassedOver:
    """What lies among the inputs and is none: a file, by its suffix, or the folder of the results."""

    path: Path


def expand(
    patterns: Iterable[Path],
    *,
    suffixes: Set[str] = SUFFIXES | PHOTOGRAPHS,
    whole_folders: bool = False,
    output: Path | None = None,
) -> Iterator[Source | PassedOver | PictureError]:
    """Yields the inputs of files, folders (recursively) and globs, or an error if there are none.

    Args:
        patterns: what was given. Of globs, the part that exists as it is written is taken so.
        suffixes: of the files that are inputs, where they are found and not named.
        whole_folders: let a folder stand for itself, as one source.
        output: the folder of the results, which is no input where it lies inside one.
    """
    for pattern in patterns:
        if whole_folders and is_folder(pattern):
            yield Source(pattern, Path(pattern.resolve().name))
        elif is_folder(pattern):
            found = search(pattern, suffixes=suffixes, leave_out=output)
            yield from (Source(path, path.relative_to(pattern)) for path in found.pictures)
            yield from map(PassedOver, found.others)
            yield from found.unreadable
            if not found.pictures and not found.unreadable:
                yield PictureError("no picture in this folder", pattern)
        elif glob.has_magic(str(pattern)) and not exists(pattern):
            fixed, rest = _split_at_magic(pattern)
            files = _matches(fixed, rest, output)
            pictures = [path for path in files if path.suffix.lower() in suffixes]
            yield from (Source(path, path.relative_to(fixed)) for path in pictures)
            yield from (PassedOver(path) for path in files if path.suffix.lower() not in suffixes)
            if not pictures:
                yield PictureError(
                    "no picture matches" if files else "no such file matches", pattern
                )
        else:
            yield Source(pattern, Path(pattern.name))


def _split_at_magic(pattern: Path) -> tuple[Path, str]:
    """A glob's first parts, as far as they exist as they are written, and the rest."""
    fixed = Path(pattern.anchor)
    parts = pattern.parts[1:] if pattern.anchor else pattern.parts
    for number, part in enumerate(parts):
        if glob.has_magic(part) and not exists(fixed / part):
            return fixed, str(Path(*parts[number:]))
        fixed /= part
    return fixed.parent, fixed.name


def _matches(fixed: Path, rest: str, output: Path | None) -> list[Path]:
    """The files that a glob below a folder matches, sorted; each once, whatever links lead to it."""
    skip = output.resolve() if output and output.resolve() != fixed.resolve() else None
    files: dict[Path, Path] = {}  # by where they are
    for match in glob.glob(rest, root_dir=fixed, recursive=True):  # noqa: PTH207
        path = fixed / match
        real = path.parent.resolve() / path.name
        if path.is_file() and skip not in real.parents:
            files[real] = min(path, files.get(real, path), key=lambda p: (len(p.parts), p))
    return sorted(files.values())


def without_results(
    contents: Sequence[Source], styles: Sequence[Source], output: Path
) -> list[Source]:
    """The contents that are no results of these styles, of an earlier run into the same folder."""
    known = {(one.path.parent, one.name) for one in contents}
    names = (*(style.name for style in styles), *COMBINED.values())

    def is_result(source: Source) -> bool:
        start, mark, style = source.name.rpartition("_stylized_")
        return (
            bool(mark)
            and style.startswith(names)
            and (source.path.parent, start) in known
            and (output / source.relative).resolve() == source.path.resolve()
        )

    return [source for source in contents if not is_result(source)]


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
    `suffix` gives the suffix for the content; settings that change the result are part of the name,
    see `_name`. If results would have the same name (ignoring case), the later ones get `_2`, `_3` and
    so on, in the order of the inputs. With --shard, only the jobs of some contents are returned, with
    the same names.

    Raises:
        UsageError: --output is one file for several results, or the numbers of contents and styles
            do not match the options.
    """
    pairs = [(*pair, alpha) for pair in _pair(contents, styles, options) for alpha in options.alpha]
    output = options.output or Path()
    if output.suffix.lower() in files and not is_folder(output):
        if len(pairs) > 1:
            raise UsageError(f"--output {output} is one file, but there are {len(pairs)} results")
        return [Job(content, chosen, alpha, output) for content, chosen, alpha in pairs]
    jobs: list[Job] = []
    taken: set[str] = set()
    for content, chosen, alpha in pairs:
        stem = output / content.relative.parent / _name(content, chosen, alpha, options)
        name = distinct(str(stem), suffix(content), taken)
        jobs.append(Job(content, chosen, alpha, Path(name)))
    if options.shard:  # only now, so that names do not depend on it
        shard = parse_shard(options.shard)
        return [job for job in jobs if in_shard(job.content.key, shard)]
    return jobs


# What many combined styles are called, by the option that combines them.
COMBINED = {"style_weights": "mix", "style_schedule": "fade", "mask": "regions"}


def _name(content: Source, styles: Sequence[Source], alpha: float, options: Options) -> str:
    """The name of a result in a folder, without suffix.

    It tells results of different settings apart, also of several runs: `sea_stylized_wave_alpha0.5`,
    `sea_stylized_mix_wave0.7_night0.3`. Of more than four styles it gives no names.
    """
    parts = [content.name, "stylized"]
    (way,) = [name for key, name in COMBINED.items() if getattr(options, key)] or [""]
    if way:
        parts.append(way)
    if not way or len(styles) <= 4:
        shares = [f"{share:g}" for share in options.style_weights] or [""] * len(styles)
        parts += [f"{style.name}{share}" for style, share in zip(styles, shares, strict=True)]
    if alpha != 1:
        parts.append(f"alpha{alpha:g}")
    if options.preserve_color != "none":
        parts.append(options.preserve_color)
    return "_".join(parts)


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
