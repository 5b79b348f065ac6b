"""The part of `infer.py` that stylizes pictures: it feeds the engine and writes the results."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.cli.grid import Grid
from adain_jax.cli.infer_options import Options, stroke_size
from adain_jax.cli.jobs import Job, Source, expand, make_jobs, own_suffix, without_results
from adain_jax.cli.report import Report
from adain_jax.cli.styles import Styles
from adain_jax.color import keep_chroma_of_bytes
from adain_jax.files import is_folder, nearest_folder
from adain_jax.images import (
    PictureError,
    Pixels,
    picture_size,
    read_mask,
    read_pixels,
    save_picture,
    writable_format,
)
from adain_jax.images.formats import check_size, least_bytes
from adain_jax.inference.buckets import Size
from adain_jax.inference.inputs import Request, make_request
from adain_jax.inference.stream import prefetch, write_behind
from adain_jax.inference.stylizer import Stylizer
from adain_jax.progress import Advance, progress, track

JobRequest = Request[tuple[Job, Pixels]]  # the content has 4 channels if alpha is kept


class PictureRun:
    """One run of `infer.py` on pictures."""

    def __init__(self, options: Options, report: Report):
        self._options = options
        self._report = report
        found = expand(options.content, output=options.output)
        self._contents = report.found(found, report.contents)
        self._reading: dict[str, Any] = {
            "size": options.content_size or 0,
            "crop": options.crop,
            "max_pixels": options.max_pixels,
        }
        self._stroke_size = stroke_size(options)

    def make_jobs(self, styles: list[Source]) -> list[Job]:
        """Returns all jobs of this run.

        Raises:
            UsageError: the numbers of contents and styles do not match the options.
        """

        def suffix(source: Source) -> str:
            format_ = self._options.format
            return f".{format_}" if format_ else own_suffix(source.relative)

        if self._options.output:
            self._contents = without_results(self._contents, styles, self._options.output)
        return make_jobs(self._contents, styles, self._options, suffix)

    def stylize(self, jobs: list[Job], styles: Styles, stylizer: Stylizer) -> None:
        """Runs the jobs; failures are recorded in the report.

        Contents are read and results are written in the background; only a few are in memory at a
        time.
        """
        options = self._options
        mixed = bool(options.style_weights or options.mask)
        grid = None
        if options.grid:
            grid = Grid(self._contents, styles.sources, options.alpha, mixed=mixed)
        ready = self._plan(jobs, styles, stylizer)
        with progress("stylizing", sum(map(len, ready.values()))) as advance:
            requests = self._requests(ready, styles, stylizer, advance)
            results = (
                (request.key[0], self._finish(request, result, grid))
                for request, result in stylizer.stream(requests)
            )
            written = write_behind(
                self._save,
                results,
                nbytes=lambda result: result[1].nbytes,
                depth=2 * stylizer.pictures_at_once + 4,
            )
            with closing(written):  # an interruption waits for what is being written
                for (job, _), future in written:
                    try:
                        future.result()
                    except (PictureError, OSError) as error:
                        self._report.job_ended(job, error)
                    advance(1)
        if grid:
            output = options.output or Path()
            grid.write(output if is_folder(output) else output.parent, styles.picture)

    def _plan(self, jobs: list[Job], styles: Styles, stylizer: Stylizer) -> dict[Source, list[Job]]:
        """The jobs of each content that look feasible from the styles and the file headers.

        Padded shapes are planned for all contents, including those without a job: so a shard, or a
        run that resumes after an interruption, rounds like the run that does everything.
        """
        of_content = {content: list(own) for content, own in groupby(jobs, lambda j: j.content)}
        sizes: list[Size] = []
        ready: dict[Source, list[Job]] = {}
        needed = 0
        contents = self._contents if jobs else []
        headers = prefetch(self._size, contents, depth=64)
        for content, future in track("reading sizes", headers, len(contents)):
            own = of_content.get(content, [])
            try:
                size = future.result()
                sizes.append(size)
                for format_ in {writable_format(job.output) for job in own}:
                    check_size(format_, size, content.path)
            except PictureError as error:
                if own:
                    self._report.content_failed(content, own, error)
                continue
            for job in own:
                if styles.are_ready(job):
                    ready.setdefault(content, []).append(job)
                    needed += least_bytes(writable_format(job.output), size)
                else:
                    self._report.result(job, "failed", "a style could not be read")
        if needed:
            self._check_room(needed)
        stylizer.plan(sizes, self._stroke_size)
        return ready

    def _check_room(self, needed: int) -> None:
        output = self._options.output or Path()
        free = shutil.disk_usage(nearest_folder(output)).free
        if needed > free:
            raise PictureError(
                f"the results take at least {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free",
                output,
            )

    def _requests(
        self,
        of_content: dict[Source, list[Job]],
        styles: Styles,
        stylizer: Stylizer,
        advance: Advance,
    ) -> Iterator[JobRequest]:
        """Yields the requests to the engine; each content is read once, before its jobs."""
        for content, future in prefetch(
            self._read, of_content, depth=2 * stylizer.pictures_at_once
        ):
            try:
                pixels = future.result()
            except PictureError as error:
                self._report.content_failed(content, of_content[content], error)
                advance(len(of_content[content]))
                continue
            for job in of_content[content]:
                try:
                    request = self._request(job, pixels, styles, stylizer)
                except PictureError as error:  # a mask or a style picture is damaged
                    self._report.job_ended(job, error)
                    advance(1)
                else:
                    yield request

    def _request(self, job: Job, pixels: Pixels, styles: Styles, stylizer: Stylizer) -> JobRequest:
        colors = pixels[..., :3]
        style = styles.for_job(job, colors, stylizer)
        masks = [read_mask(path, colors.shape[:2], **self._reading) for path in self._options.mask]
        return make_request(
            (job, pixels),
            colors,
            style,
            job.alpha,
            masks=masks or None,
            stroke_size=self._stroke_size,
        )

    def _finish(self, request: JobRequest, result: Pixels, grid: Grid | None) -> Pixels:
        """A result with its content's colors and transparency, where the options keep them."""
        job, pixels = request.key
        if self._options.preserve_color == "luminance":
            result = keep_chroma_of_bytes(pixels[..., :3], result)
        if grid:
            grid.add(job, pixels, result)
        if pixels.shape[-1] == 4:
            result = np.concatenate([result, pixels[..., 3:]], axis=-1)
        return result

    def _size(self, source: Source) -> Size:
        return picture_size(source.path, **self._reading)

    def _read(self, source: Source) -> Pixels:
        keep_alpha = self._options.alpha_channel == "keep"
        return read_pixels(source.path, keep_alpha=keep_alpha, **self._reading)

    def _save(self, finished: tuple[Job, Pixels]) -> None:
        job, picture = finished
        job.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture, job.output, quality=self._options.quality)
        # Here, so that it is noted even if the run is interrupted.
        self._report.job_ended(job, None, picture.shape[:2])
