"""What `infer.py` does with clips: videos, and GIFs and folders of frames where clips are asked for.

Videos are known by their suffix. GIFs and folders are clips where the result is one (--output is a
video or GIF, --format is mp4, mkv, webm or gif) and where an option is given that is for clips only;
otherwise they are a picture and a folder of pictures.
"""

import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adain_jax.cli import jobs
from adain_jax.cli.infer import Options, Run, _progress
from adain_jax.cli.jobs import Job, Source
from adain_jax.cli.report import describe
from adain_jax.color import keep_chroma_of_bytes
from adain_jax.errors import UsageError
from adain_jax.images import SUFFIXES, PictureError
from adain_jax.style import Style, mix
from adain_jax.video.formats import VIDEO_SUFFIXES, WRITABLE

if TYPE_CHECKING:
    from adain_jax.cli.report import Report
    from adain_jax.video import Clip


def is_for_clips(options: Options) -> bool:
    """Whether a call of `infer.py` is about clips, not pictures."""
    return bool(
        options.style_schedule
        or options.stabilize
        or options.fps is not None
        or f".{options.format}" in WRITABLE
        or any(path.suffix.lower() in VIDEO_SUFFIXES for path in options.content)
        or (options.output and not options.output.is_dir() and _asks_for_clip(options))
    )


def _asks_for_clip(options: Options) -> bool:
    assert options.output
    suffix = options.output.suffix.lower()
    animated = any(path.is_dir() or path.suffix.lower() == ".gif" for path in options.content)
    return suffix in VIDEO_SUFFIXES or (suffix == ".gif" and animated)


class VideoRun(Run):
    """One call of `infer.py` for clips: each is stylised from its first frame to its last."""

    def __init__(self, options: Options, report: "Report"):
        _check(options)
        try:
            import av  # noqa: F401
        except ModuleNotFoundError:
            raise UsageError("videos need PyAV: pip install 'adain-jax[video]'") from None
        super().__init__(options, report)

    def _find_contents(self) -> list[Source]:
        searching: dict[str, Any] = {"suffixes": VIDEO_SUFFIXES | {".gif"}, "whole_folders": True}
        return self._expand(self.options.content, self.report.contents, **searching)

    def _name_outputs(self, pairs: list[tuple[int, tuple[int, ...]]]) -> list[Job]:
        def suffix(source: Source) -> str:
            if self._frame_suffix(source):
                return ""
            if self.options.format:
                return f".{self.options.format}"
            own = source.path.suffix.lower()
            return own if own in WRITABLE else ".mp4"

        output = self.options.output or Path()
        return jobs.name_outputs(
            pairs, self.contents, self.style_names, output, suffix, files=WRITABLE
        )

    def _frame_suffix(self, source: Source) -> str:
        """How the numbered frames of a result end, if it is a folder of them."""
        options = self.options
        assert options.output
        if options.output.suffix.lower() in WRITABLE and not options.output.is_dir():
            return ""
        if options.format:
            return "" if f".{options.format}" in WRITABLE else f".{options.format}"
        return ".png" if source.path.is_dir() else ""

    def _stylise(self, _readers: Any, _writers: Any, open_jobs: list[Job]) -> None:
        for job in set(self.jobs) - set(open_jobs):
            self._leave(job)
        clips = self._open_clips({job.content for job in open_jobs})
        sizes = {content: clip.size for content, clip in clips.items()}
        ready = [job for job in open_jobs if self._is_possible(job, sizes)]
        frames = sum(clips[job.content].count for job in ready)
        with _ended_by_sigterm(), _progress(frames) as advance:
            for job in ready:
                self._stylise_clip(job, clips[job.content], advance)

    def _open_clips(self, needed: set[int]) -> dict[int, "Clip"]:
        from adain_jax.video import open_clip

        options = self.options
        clips = {}
        for index in sorted(needed):
            try:
                clips[index] = open_clip(
                    self.contents[index].path,
                    size=options.content_size or 0,
                    max_pixels=options.max_pixels,
                    fps=options.fps or 25,
                )
            except PictureError as error:
                self._content_failed(index, error)
        return clips

    def _stylise_clip(self, job: Job, clip: "Clip", advance: Callable[[int], None]) -> None:
        from adain_jax.video import stylise_clip, writing

        def count(frames: int) -> None:
            self.report.frames += frames
            advance(frames)

        options = self.options
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            with writing(
                job.output,
                clip,
                frame_suffix=self._frame_suffix(self.contents[job.content]),
                quality=options.quality,
                note=lambda text: print(f"note: {text}", file=sys.stderr),
            ) as write:
                stylise_clip(
                    clip,
                    write,
                    self.stylizer,
                    self._style_over_time(job),
                    alpha=options.alpha,
                    stabilize=options.stabilize,
                    finish=keep_chroma_of_bytes if options.preserve_color == "luminance" else None,
                    advance=count,
                )
        except (PictureError, OSError) as error:
            self.report.result(job, self._names(job), "failed", describe(error))
            self.report.fail(describe(error))
        else:
            self.report.result(job, self._names(job), "done")
            self.report.contents[str(clip.path)] = "stylised"

    def _style_over_time(self, job: Job) -> Callable[[float], Style]:
        styles = [self.styles[index] for index in job.styles]
        schedule = self.options.style_schedule
        if schedule:
            numbers = np.arange(len(styles))

            def fade(second: float) -> Style:
                position = np.interp(second, schedule, numbers)
                return mix(styles, np.maximum(0, 1 - abs(numbers - position)).tolist())

            return fade
        weights = self.options.style_weights
        style = mix(styles, weights) if weights else styles[0]
        return lambda second: style


def _check(options: Options) -> None:
    for name in ("mask", "crop", "grid"):
        if getattr(options, name):
            raise UsageError(f"--{name} is for pictures, not for clips")
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
    output = options.output
    if output and not output.is_dir():
        suffix = output.suffix.lower()
        if suffix in (VIDEO_SUFFIXES | SUFFIXES) - WRITABLE:
            raise UsageError(
                f"--output {output}: clips are written as {', '.join(sorted(WRITABLE))}, "
                "or as frames into a folder with --format png"
            )


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does, so that nothing half-written stays behind."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
