"""The part of `infer.py` that stylizes clips: videos, animated GIFs and folders of frames."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from adain_jax.cli.infer_options import Options
from adain_jax.cli.jobs import Job, Source, expand, make_jobs
from adain_jax.cli.report import Report
from adain_jax.cli.styles import Styles
from adain_jax.color import keep_chroma_of_bytes
from adain_jax.errors import UsageError
from adain_jax.files import is_folder
from adain_jax.images import PictureError
from adain_jax.inference.stylizer import Stylizer
from adain_jax.progress import Advance, progress
from adain_jax.style import Style, mix
from adain_jax.video.formats import VIDEO_SUFFIXES, WRITABLE

if TYPE_CHECKING:
    from adain_jax.video import Clip


class ClipRun:
    """One run of `infer.py` on clips. Each clip is stylized from its first frame to its last.

    Raises:
        UsageError: PyAV, or for --stabilize OpenCV, is not installed.
    """

    def __init__(self, options: Options, report: Report):
        needs = {"videos need PyAV": "av", "--stabilize needs OpenCV": "cv2"}
        for who, module in needs.items():
            try:
                if module == "av" or options.stabilize:
                    import_module(module)
            except ModuleNotFoundError:
                raise UsageError(f"{who}: pip install 'adain-jax[video]'") from None
        self._options = options
        self._report = report
        suffixes = VIDEO_SUFFIXES | {".gif"}
        found = expand(
            options.content, suffixes=suffixes, whole_folders=True, output=options.output
        )
        self._contents = report.found(found, report.contents)

    def make_jobs(self, styles: list[Source]) -> list[Job]:
        """Returns all jobs of this run.

        Raises:
            UsageError: the numbers of contents and styles do not match the options.
        """

        def suffix(source: Source) -> str:
            if self._frame_suffix(source):
                return ""
            if self._options.format:
                return f".{self._options.format}"
            own = source.path.suffix.lower()
            return own if own in WRITABLE else ".mp4"

        return make_jobs(self._contents, styles, self._options, suffix, files=WRITABLE)

    def stylize(self, jobs: list[Job], styles: Styles, stylizer: Stylizer) -> None:
        """Runs the jobs one after another; failures are recorded in the report."""
        ready = list(self._open(jobs, styles))
        with progress("stylizing frames", sum(clip.count for _, clip in ready)) as advance:
            for job, clip in ready:
                style = self._style_over_time([styles.encoded[source] for source in job.styles])
                try:
                    self._stylize(job, clip, style, stylizer, advance)
                except (PictureError, OSError) as error:
                    self._report.job_ended(job, error)
                else:
                    self._report.job_ended(job, None, clip.size)

    def _open(self, jobs: list[Job], styles: Styles) -> Iterator[tuple[Job, "Clip"]]:
        """Yields each job that can be done, with its opened clip."""
        from adain_jax.video import open_clip  # not at the top: PyAV is an optional extra

        options = self._options
        for content, group in groupby(jobs, lambda job: job.content):
            own = list(group)
            try:
                clip = open_clip(
                    content.path,
                    size=options.content_size or 0,
                    max_pixels=options.max_pixels,
                    fps=options.fps or 25,
                )
            except PictureError as error:
                self._report.content_failed(content, own, error)
                continue
            for text in clip.notes:
                _note(text)
            for job in own:
                if styles.are_ready(job):
                    yield job, clip
                else:
                    self._report.result(job, "failed", "a style could not be read")

    def _stylize(
        self,
        job: Job,
        clip: "Clip",
        style: Callable[[float], Style],
        stylizer: Stylizer,
        advance: Advance,
    ) -> None:
        from adain_jax.video import stylize_clip, writing  # not at the top: PyAV is an extra

        def count(frames: int) -> None:
            self._report.frames += frames
            advance(frames)

        options = self._options
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with writing(
            job.output,
            clip,
            frame_suffix=self._frame_suffix(job.content),
            quality=options.quality,
            note=_note,
        ) as write:
            stylize_clip(
                clip,
                write,
                stylizer,
                style,
                alpha=job.alpha,
                stabilize=options.stabilize,
                finish=keep_chroma_of_bytes if options.preserve_color == "luminance" else None,
                advance=count,
            )

    def _style_over_time(self, styles: list[Style]) -> Callable[[float], Style]:
        """Returns the style as a function of seconds: constant, or fading between styles."""
        schedule, weights = self._options.style_schedule, self._options.style_weights
        if schedule:
            numbers = np.arange(len(styles))

            def fade(second: float) -> Style:
                position = np.interp(second, schedule, numbers)
                return mix(styles, np.maximum(0, 1 - abs(numbers - position)).tolist())

            return fade
        style = mix(styles, weights) if weights else styles[0]
        return lambda second: style

    def _frame_suffix(self, source: Source) -> str:
        """The suffix of the numbered frames if the result is a folder of frames, otherwise ''."""
        options = self._options
        assert options.output
        if options.output.suffix.lower() in WRITABLE and not is_folder(options.output):
            return ""
        if options.format:
            return "" if f".{options.format}" in WRITABLE else f".{options.format}"
        return ".png" if source.path.is_dir() else ""


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
