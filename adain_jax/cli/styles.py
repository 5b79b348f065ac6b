"""The styles of a run of `infer.py`: encoded or loaded once, saved, and combined for each job."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path

from adain_jax.cli.command import written
from adain_jax.cli.infer_options import Options
from adain_jax.cli.jobs import Job, Source, distinct, expand
from adain_jax.cli.report import Report
from adain_jax.color import coral_of_bytes
from adain_jax.errors import UsageError, printable
from adain_jax.images import PictureError, Pixels, read_pixels
from adain_jax.inference.stream import prefetch
from adain_jax.inference.stylizer import Stylizer
from adain_jax.progress import track
from adain_jax.style import Style, StyleError, mix


class Styles:
    """The styles of a run.

    Attributes:
        sources: style pictures, then style files written by --save-style; or the decoder's own styles
            that --style-index names.
        encoded: the style of each source that could be read.
    """

    def __init__(self, options: Options, report: Report):
        self._options = options
        self._report = report
        self._pictures = report.found(expand(options.style, output=options.output), report.styles)
        self._files = [Source(path, Path(path.name)) for path in options.style_file]
        # The suffix is there for a source's name to be without it: names may hold a dot.
        self._own = [Source(Path(one), Path(f"{one}.row")) for one in options.style_index]
        self.sources = [*self._pictures, *self._files, *self._own]
        self.encoded: dict[Source, Style] = {}
        self._cached_picture = lru_cache(maxsize=32)(self._read)

    def encode(self, stylizer: Stylizer, jobs: Iterable[Job]) -> None:
        """Encodes the style pictures that jobs need, or all if styles are saved; loads style files.

        With --preserve-color coral, the style of a picture depends on the content: see `for_job`.

        Raises:
            UsageError: --save-style names one file for several styles, or the decoder has styles of
                its own and --style-index names none of them, or it has none and --style-index is given.
        """
        self._check_kind(stylizer)
        for source in self._own:
            self.encoded[source] = _row(stylizer.styles, str(source.path))
            self._report.styles[str(source.path)] = "loaded"
        needed = {style for job in jobs for style in job.styles}
        save_to = self._options.save_style
        if self._options.preserve_color != "coral":
            wanted = [one for one in self._pictures if save_to or one in needed]
            pictures = prefetch(self._read, wanted, depth=4)
            for source, future in track("encoding styles", pictures, len(wanted)):
                try:
                    self.encoded[source] = stylizer.encode_style(future.result())
                except PictureError as error:
                    self._report.style_failed(source, error)
                else:
                    self._report.styles[str(source.path)] = "encoded"
        for source in self._files:
            try:
                self.encoded[source] = Style.load(source.path, stylizer.encoder_id)
            except StyleError as error:
                self._report.style_failed(source, error)
            else:
                self._report.styles[str(source.path)] = "loaded"
        if save_to:
            self._save(save_to, stylizer.encoder_id)

    def are_ready(self, job: Job) -> bool:
        """Whether all styles of a job are encoded; with coral, `for_job` reads them later."""
        coral = self._options.preserve_color == "coral"
        return coral or all(source in self.encoded for source in job.styles)

    def for_job(self, job: Job, content: Pixels, stylizer: Stylizer) -> Style:
        """The style of a picture's job: leaves (c,) for one or a mix, (r, c) for one per region.

        Raises:
            PictureError: with --preserve-color coral, a style picture cannot be read.
        """
        if self._options.preserve_color == "coral":
            styles = self._recolored(job, content, stylizer)
        else:
            styles = [self.encoded[source] for source in job.styles]
        if self._options.style_weights:
            return mix(styles, self._options.style_weights)
        return Style.stack(styles) if self._options.mask else styles[0]

    def picture(self, source: Source) -> Pixels | None:
        """The picture of a style, or None for a style file or a decoder's own style.

        Raises:
            PictureError: it cannot be read.
        """
        return self._cached_picture(source) if source in self._pictures else None

    def _check_kind(self, stylizer: Stylizer) -> None:
        """Checks that the styles are of the kind that the decoder takes."""
        if self._own and not stylizer.styles:
            raise UsageError(
                "--style-index is for a decoder with styles of its own (adain train --transform "
                "conditional); this one takes any picture with --style"
            )
        if stylizer.styles and not self._own:
            raise UsageError(
                f"this decoder takes no pictures: choose with --style-index from its own styles, "
                f"{_listed(stylizer.styles)}"
            )

    def _read(self, source: Source) -> Pixels:
        options = self._options
        return read_pixels(
            source.path, size=options.style_size, crop=options.crop, max_pixels=options.max_pixels
        )

    def _recolored(self, job: Job, content: Pixels, stylizer: Stylizer) -> list[Style]:
        """The styles of a job's pictures in the colors of the content."""
        pictures = [self._cached_picture(source) for source in job.styles]
        recolored = [coral_of_bytes(picture, content) for picture in pictures]
        styles = [stylizer.encode_style(picture) for picture in recolored]
        for source in job.styles:
            self._report.styles[str(source.path)] = "encoded"
        return styles

    def _save(self, target: Path, encoder_id: str) -> None:
        one_file = target.suffix == ".safetensors"
        if one_file and len(self.sources) != 1:
            raise UsageError(f"--save-style {target} is one file, for {len(self.sources)} styles")
        folder = target.parent if one_file else target
        folder.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        saved = []
        for source, style in self.encoded.items():
            name = distinct(source.name, ".safetensors", taken)
            saved.append(target if one_file else folder / name)
            style.save(saved[-1], encoder_id)
        files = "1 style" if len(self.encoded) == 1 else f"{len(self.encoded)} styles"
        print(f"{files} saved in {printable(target)}, {written(*saved)}")


def _row(styles: Mapping[str, Style], wanted: str) -> Style:
    """A decoder's own style, by its number or its name.

    Raises:
        UsageError: there is no such style.
    """
    if wanted in styles:
        return styles[wanted]
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(styles):
        return list(styles.values())[int(wanted)]
    raise UsageError(f"--style-index {wanted}: this decoder has only {_listed(styles)}")


def _listed(styles: Mapping[str, Style]) -> str:
    """The first of a decoder's styles, and how many there are."""
    names = ", ".join(f"{i} {name}" for i, name in enumerate(islice(styles, 8)))
    return f"{names}{', ...' if len(styles) > 8 else ''} ({len(styles)} in all)"
