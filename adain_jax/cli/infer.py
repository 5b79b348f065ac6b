"""`infer.py`: stylise pictures, folders of pictures, whole data sets."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from adain_jax.cli.command import run
from adain_jax.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from adain_jax.cli.jobs import Job, Source
    from adain_jax.cli.report import Report
    from adain_jax.style import Style

T = TypeVar("T")
R = TypeVar("R")

UNSAVED = 256 << 20  # bytes of results that may wait for being written

_Many = tyro.conf.arg(metavar="PATH [PATH ...]")
_File = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]


@dataclass(frozen=True)
class Options:
    """Stylize pictures or clips: every content in every style, unless told otherwise.

    Contents and styles are files, folders (searched recursively; the output keeps their tree) and
    quoted globs. Pictures that cannot be read are reported and skipped; the exit code is then 1.

    Example: python infer.py --content photos --style paintings/*.jpg --output stylised
    """

    content: Annotated[tuple[Path, ...], _Many] = ()
    """Pictures or clips to stylize. Videos are clips; GIFs and folders are clips if --output is a video
    or a GIF, if --format is mp4, mkv, webm or gif, or if an option for clips is given."""
    style: Annotated[tuple[Path, ...], _Many] = ()
    """Pictures to take the style from."""
    style_file: Annotated[tuple[Path, ...], _Many] = ()
    """Styles saved by --save-style, in addition to or instead of --style."""
    output: _File = None
    """The folder to write to, or a file if there is a single result. In a folder, results are named
    CONTENT_stylized_STYLE; names that would collide get _2, _3, ..."""

    model: Literal["fast", "vgg19"] = "fast"
    """The network. fast needs no other files; vgg19, the paper's network, needs an encoder, which
    `convert_vgg.py --download` provides once."""
    network: _File = None
    """Weights of fast, as train.py writes them; by default those that ship with the package."""
    encoder: _File = None
    """Encoder weights of vgg19; by default those that convert_vgg.py wrote."""
    decoder: _File = None
    """Decoder weights of vgg19; by default those that convert_vgg.py wrote, else those that ship."""

    alpha: float = 1.0
    """Strength of the style: 0 gives the content, 1 the full style."""
    pair: bool = False
    """Stylize the first content in the first style, the second in the second, and so on."""
    random_styles: int = 0
    """Stylize each content in this many different styles, drawn at random."""
    seed: int = 0
    """The random seed of --random-styles."""
    style_weights: Annotated[tuple[float, ...], tyro.conf.arg(metavar="W [W ...]")] = ()
    """Mix all styles into one, with these weights."""
    style_schedule: Annotated[tuple[float, ...], tyro.conf.arg(metavar="S [S ...]")] = ()
    """For clips: fade from style to style; the time in seconds at which each one is reached."""
    stabilize: bool = False
    """For clips: reduce flicker."""
    fps: float | None = None
    """For clips: frames per second of a folder of frames; by default 25."""
    mask: Annotated[tuple[Path, ...], _Many] = ()
    """One mask picture per style, white where that style goes. Pixels outside all masks keep the
    content."""
    preserve_color: Literal["none", "coral", "luminance"] = "none"
    """How to keep the content's colors: coral gives the style picture the content's colors first;
    luminance takes only the luminance of the result."""

    content_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Shorter side of the contents in pixels; 0 keeps their size. By default 512 for pictures and 0 for
    clips."""
    style_size: int = 512
    """Shorter side of the style pictures in pixels; 0 keeps their size."""
    crop: bool = False
    """Crop contents and styles to a central square."""
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of pictures computed at a time; by default 1 on CPU and 8 elsewhere."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the convolutions; statistics are always float32."""
    tile: Annotated[int | Literal["auto", "off"], tyro.conf.arg(metavar="auto|INT|off")] = "auto"
    """Side in pixels of the tiles in which large pictures are computed; the result is that of one
    piece. auto chooses it by the free memory; off computes every picture in one piece."""
    no_compilation_cache: bool = False
    """Do not keep compiled programs in the user's cache folder, which makes later starts slower."""

    format: Literal["jpg", "png", "webp", "tiff", "mp4", "mkv", "webm", "gif"] | None = None
    """File format of results in a folder; by default that of the content. With jpg, png, webp or tiff,
    a clip becomes a folder of numbered frames."""
    quality: int = 95
    """Quality of JPEG, WebP and video, from 1 to 100."""
    overwrite: bool = False
    """Replace existing files, which are an error otherwise."""
    skip_existing: bool = False
    """Keep existing files and write the others, for example to resume an interrupted run."""
    alpha_channel: Literal["white", "keep"] = "white"
    """Lay transparent contents on white, or keep their transparency."""
    max_pixels: int = 1 << 28
    """Refuse pictures with more pixels than this."""

    grid: bool = False
    """Also write grid.png, a labelled sheet of contents, styles and results, at most 12 x 12."""
    save_style: _File = None
    """Write the encoded styles to this folder; --content may then be omitted."""
    report: _File = None
    """Write a JSON file that lists every input and result with its outcome."""
    timing: bool = False
    """Print how long each phase took."""
    debug: bool = False
    """Show a traceback on failure."""


def main(arguments: list[str] | None = None) -> None:
    """The command; exits with 0, 1 (something failed, the rest was done) or 2 (bad usage)."""
    options = tyro.cli(
        Options, prog="infer.py", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
    run(lambda: _infer(options), debug=options.debug)


def _infer(options: Options) -> int:
    from adain_jax.cli.report import Report

    timing = Timing()
    _check(options)
    if not options.no_compilation_cache:
        from adain_jax.inference.compilation_cache import keep_programs

        keep_programs()
    timing.mark("imports")
    report = Report()
    try:
        run = _run_class(options)(options, report)
        timing.mark("weights and names")
        run.all(timing)
    finally:
        if options.report:
            report.write(options.report)
    if options.content:
        print(report.summary())
    if options.timing:
        print(timing.summary(), file=sys.stderr)
    return 1 if report.failures else 0


class Timing:
    """Where the time of a call went, from the start of the process."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []
        self.mark("start")

    def mark(self, name: str) -> None:
        """A part has ended here."""
        self.parts.append((name, time.time()))

    def summary(self) -> str:
        """One line for the end."""
        began = _start_of_process()
        times = [began, *(moment for _, moment in self.parts)]
        parts = [
            f"{name} {after - before:.2f} s"
            for (name, _), (before, after) in zip(self.parts, pairwise(times), strict=True)
        ]
        return f"timing: {', '.join(parts)}; together {times[-1] - began:.2f} s"


def _start_of_process() -> float:
    """In seconds, as `time.time` counts them."""
    import psutil

    start = psutil.Process().create_time()
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux rounds the time of booting to seconds
        start += time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - psutil.boot_time()
    return start


def _run_class(options: Options) -> "type[Run]":
    from adain_jax.cli.video import VideoRun, is_for_clips

    return VideoRun if is_for_clips(options) else Run


def _check(options: Options) -> None:
    from adain_jax.inference.memory import SMALLEST

    styles = len(options.style) + len(options.style_file)
    if not styles:
        raise UsageError("--style or --style-file is missing")
    if not options.content and not options.save_style:
        raise UsageError("--content is missing")
    if options.content and not options.output:
        raise UsageError("--output is missing")
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    ways = ("pair", "random_styles", "style_weights", "style_schedule", "mask")
    if sum(bool(getattr(options, name)) for name in ways) > 1:
        names = [f"--{name.replace('_', '-')}" for name in ways]
        raise UsageError(f"{', '.join(names[:-1])} and {names[-1]} exclude each other")
    if options.model == "fast" and (options.encoder or options.decoder):
        raise UsageError("--encoder and --decoder are for --model vgg19")
    if options.model == "vgg19" and options.network:
        raise UsageError("--network is for --model fast")
    if options.style_file and options.preserve_color == "coral":
        raise UsageError(
            "--preserve-color coral recolours style pictures; it cannot use --style-file"
        )
    for name in ("content_size", "style_size", "random_styles"):
        if (getattr(options, name) or 0) < 0:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 0")
    if options.batch_size is not None and options.batch_size < 1:
        raise UsageError("--batch-size must be at least 1")
    if isinstance(options.tile, int) and options.tile < SMALLEST:
        raise UsageError(f"--tile must be auto, off or at least {SMALLEST}, not {options.tile}")
    if not 1 <= options.quality <= 100:
        raise UsageError("--quality must lie in 1 to 100")


class Run:
    """One call of `infer.py`: styles first, then contents, batch by batch.

    Pictures are read ahead and written behind in threads while the next batch is computed; only a
    few batches are in memory at a time.
    """

    def __init__(self, options: Options, report: "Report"):
        from adain_jax.cli import jobs
        from adain_jax.inference.stylizer import Stylizer

        self.options = options
        self.report = report
        shared = {"crop": options.crop, "max_pixels": options.max_pixels}
        size = 512 if options.content_size is None else options.content_size
        self.content_reading: dict[str, Any] = {"size": size, **shared}
        self.style_reading: dict[str, Any] = {"size": options.style_size, **shared}
        self.contents = self._find_contents()
        self.style_pictures = self._expand(options.style, report.styles)
        self.style_names = [source.relative.stem for source in self.style_pictures]
        self.style_names += [path.stem for path in options.style_file]
        self.style_paths = [str(source.path) for source in self.style_pictures]
        self.style_paths += [str(path) for path in options.style_file]
        self.styles: dict[int, Style] = {}
        together = False
        for name in ("style_weights", "style_schedule", "mask"):
            given = len(getattr(options, name))
            together |= given > 0
            if given not in (0, len(self.style_names)):
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option}: {given} given for {len(self.style_names)} styles")
        pairs = jobs.combine(
            len(self.contents),
            len(self.style_names),
            together=together,
            pair=options.pair,
            random_styles=options.random_styles,
            seed=options.seed,
        )
        self.jobs = self._name_outputs(pairs)
        self.stylizer = Stylizer.load(
            options.model,
            network=options.network,
            encoder=options.encoder,
            decoder=options.decoder,
            dtype=options.dtype,
            batch_size=options.batch_size,
            tile=options.tile,
        )
        self.sheet: dict[tuple[int, int], np.ndarray] = {}
        self._style_picture = lru_cache(maxsize=32)(self._read_style)

    def all(self, timing: Timing) -> None:
        """Does everything; what fails is noted in the report."""
        start = time.perf_counter()
        with ThreadPoolExecutor(4) as readers, ThreadPoolExecutor(4) as writers:
            try:
                open_jobs = self._open_jobs()
                self._encode_styles(readers, open_jobs)
                timing.mark("styles")
                self._stylise(readers, writers, open_jobs)
            except BaseException:
                readers.shutdown(cancel_futures=True)
                writers.shutdown(cancel_futures=True)
                raise
            finally:
                self.report.seconds = time.perf_counter() - start
        if self.options.grid and self.sheet:
            self._write_grid()
        timing.mark("contents")

    def _find_contents(self) -> list["Source"]:
        return self._expand(self.options.content, self.report.contents)

    def _name_outputs(self, pairs: list[tuple[int, tuple[int, ...]]]) -> list["Job"]:
        from adain_jax.cli.jobs import name_outputs, own_suffix

        def suffix(source: "Source") -> str:
            format_ = self.options.format
            return f".{format_}" if format_ else own_suffix(source.relative)

        output = self.options.output or Path()
        return name_outputs(pairs, self.contents, self.style_names, output, suffix)

    def _expand(
        self, patterns: Iterable[Path], outcomes: dict[str, str], **searching: Any
    ) -> list["Source"]:
        from adain_jax.cli import jobs
        from adain_jax.cli.report import describe
        from adain_jax.images import PictureError

        found = []
        for source in jobs.expand(patterns, **searching):
            if isinstance(source, PictureError):
                self.report.fail(describe(source))
            else:
                outcomes[str(source.path)] = "unused"
                found.append(source)
        return found

    # Styles

    def _read_style(self, index: int) -> "np.ndarray":
        from adain_jax.images import read_pixels

        return read_pixels(self.style_pictures[index].path, **self.style_reading)

    def _encode_styles(self, readers: ThreadPoolExecutor, open_jobs: list["Job"]) -> None:
        """Encodes each style that some result needs, once."""
        from adain_jax.cli.report import describe
        from adain_jax.images import PictureError
        from adain_jax.style import Style, StyleError

        pictures = len(self.style_pictures)
        needed = {style for job in open_jobs for style in job.styles}
        if self.options.save_style:
            needed = set(range(len(self.style_names)))
        if self.options.preserve_color != "coral":
            indices = sorted(index for index in needed if index < pictures)
            for index, future in _ahead(readers, self._read_style, indices, 4):
                try:
                    self.styles[index] = self.stylizer.encode_style(future.result())
                    outcome = "encoded"
                except PictureError as error:
                    outcome = describe(error)
                    self.report.fail(outcome)
                self.report.styles[self.style_paths[index]] = outcome
        for index, path in enumerate(self.options.style_file, start=pictures):
            try:
                self.styles[index] = Style.load(path, self.stylizer.encoder_id)
                outcome = "loaded"
            except StyleError as error:
                outcome = describe(error)
                self.report.fail(outcome)
            self.report.styles[str(path)] = outcome
        if self.options.save_style:
            self._save_styles(self.options.save_style)

    def _save_styles(self, target: Path) -> None:
        from adain_jax.cli.jobs import distinct

        one_file = target.suffix == ".safetensors"
        if one_file and len(self.style_names) != 1:
            raise UsageError(
                f"--save-style {target} is one file, for {len(self.style_names)} styles"
            )
        folder = target.parent if one_file else target
        folder.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        for index, style in self.styles.items():
            name = distinct(self.style_names[index], ".safetensors", taken)
            style.save(target if one_file else folder / name, self.stylizer.encoder_id)

    # Contents

    def _open_jobs(self) -> list["Job"]:
        """The jobs whose file is not there yet, or may be replaced."""
        if self.options.overwrite:
            return self.jobs
        return [job for job in self.jobs if not job.output.exists()]

    def _stylise(
        self, readers: ThreadPoolExecutor, writers: ThreadPoolExecutor, open_jobs: list["Job"]
    ) -> None:
        for job in set(self.jobs) - set(open_jobs):
            self._leave(job)
        sizes = self._content_sizes(readers, {job.content for job in open_jobs})
        self.stylizer.plan(sizes.values())
        ready = [job for job in open_jobs if self._is_possible(job, sizes)]
        ready.sort(key=lambda job: (self.stylizer.frame(sizes[job.content]), job.content))
        one_by_one = bool(self.options.mask)
        step = 1 if one_by_one else self.stylizer.batch_size
        batches = [ready[i : i + step] for i in range(0, len(ready), step)]
        saving: deque[tuple[Job, int, Future[None]]] = deque()
        with _progress(len(ready)) as advance:
            for batch, future in _ahead(readers, self._read_contents, batches, 2):
                for job, picture in self._stylise_batch(batch, future.result()):
                    saving.append((job, picture.nbytes, writers.submit(self._save, job, picture)))
                while len(saving) > 2 * step + 4 or sum(size for _, size, _ in saving) > UNSAVED:
                    job, _, saved = saving.popleft()
                    self._saved(job, saved)
                advance(len(batch))
            for job, _, saved in saving:
                self._saved(job, saved)

    def _leave(self, job: "Job") -> None:
        if self.options.skip_existing:
            self.report.result(job, self._names(job), "skipped")
        else:
            error = f"{job.output}: exists; give --overwrite or --skip-existing"
            self.report.result(job, self._names(job), "failed", error)
            self.report.fail(error)

    def _content_sizes(
        self, readers: ThreadPoolExecutor, needed: set[int]
    ) -> dict[int, tuple[int, int]]:
        """The size each content will have, from the files' headers."""
        from adain_jax.images import PictureError, picture_size

        def size(index: int) -> tuple[int, int]:
            return picture_size(self.contents[index].path, **self.content_reading)

        sizes = {}
        for index, future in _ahead(readers, size, sorted(needed), 64):
            try:
                sizes[index] = future.result()
            except PictureError as error:
                self._content_failed(index, error)
        return sizes

    def _content_failed(self, index: int, error: Exception) -> None:
        from adain_jax.cli.report import describe

        path = str(self.contents[index].path)
        if self.report.contents[path] != describe(error):
            self.report.contents[path] = describe(error)
            self.report.fail(describe(error))

    def _is_possible(self, job: "Job", sizes: dict[int, tuple[int, int]]) -> bool:
        if job.content not in sizes:
            error = self.report.contents[str(self.contents[job.content].path)]
        elif self.options.preserve_color != "coral" and any(
            s not in self.styles for s in job.styles
        ):
            error = "a style could not be read"
        else:
            return True
        self.report.result(job, self._names(job), "failed", error)
        return False

    def _read_contents(self, batch: list["Job"]) -> dict[int, "np.ndarray | Exception"]:
        """The contents of a batch of jobs, uint8 (h, w, 3 or 4), or what is wrong with them."""
        import numpy as np

        from adain_jax.images import PictureError, read_pixels

        pictures: dict[int, np.ndarray | Exception] = {}
        for index in {job.content for job in batch}:
            try:
                pictures[index] = read_pixels(
                    self.contents[index].path,
                    keep_alpha=self.options.alpha_channel == "keep",
                    **self.content_reading,
                )
            except PictureError as error:
                pictures[index] = error
        return pictures

    def _stylise_batch(
        self, batch: list["Job"], pictures: dict[int, "np.ndarray | Exception"]
    ) -> Iterator[tuple["Job", "np.ndarray"]]:
        import numpy as np

        from adain_jax.cli.report import describe
        from adain_jax.color import keep_chroma_of_bytes
        from adain_jax.images import PictureError
        from adain_jax.style import Style

        jobs, contents, styles, masks = [], [], [], None
        for job in batch:
            picture = pictures[job.content]
            try:
                if isinstance(picture, Exception):
                    self._content_failed(job.content, picture)
                    raise picture
                style = self._style_for(job, picture[..., :3])
                if self.options.mask:
                    masks = self._masks(picture.shape[:2])
            except PictureError as error:
                if not isinstance(picture, Exception):
                    self.report.fail(describe(error))
                self.report.result(job, self._names(job), "failed", describe(error))
                continue
            jobs.append(job)
            contents.append(picture)
            styles.append(style)
        if not jobs:
            return
        colors = [content[..., :3] for content in contents]
        if masks is None:
            results = self.stylizer(colors, Style.stack(styles), self.options.alpha)
        else:
            results = [self.stylizer(colors[0], styles[0], self.options.alpha, masks=masks)]
        for job, content, result in zip(jobs, contents, results, strict=True):
            if self.options.preserve_color == "luminance":
                result = keep_chroma_of_bytes(content[..., :3], result)
            self._add_to_sheet(job, content, result)
            if content.shape[-1] == 4:
                result = np.concatenate([result, content[..., 3:]], axis=-1)
            yield job, result

    def _style_for(self, job: "Job", content: "np.ndarray") -> "Style":
        """The style of a job: one, a mix, or one per region."""
        import numpy as np

        from adain_jax.color import coral
        from adain_jax.images.dtypes import to_float
        from adain_jax.style import Style, mix

        if self.options.preserve_color == "coral":
            sparse = content[:: content.shape[0] // 2048 + 1, :: content.shape[1] // 2048 + 1]
            colors = sparse / np.float32(255)  # of a few million pixels, which is enough
            pictures = [to_float(self._style_picture(index)) for index in job.styles]
            recolored = [coral(picture, colors) for picture in pictures]
            styles = [self.stylizer.encode_style(picture) for picture in recolored]
            for index in job.styles:
                self.report.styles[self.style_paths[index]] = "encoded"
        else:
            styles = [self.styles[index] for index in job.styles]
        if self.options.style_weights:
            return mix(styles, self.options.style_weights)
        return Style.stack(styles) if self.options.mask else styles[0]

    def _masks(self, shape: tuple[int, int]) -> list["np.ndarray"]:
        from adain_jax.images import read_mask

        return [read_mask(path, shape, **self.content_reading) for path in self.options.mask]

    # Results

    def _save(self, job: "Job", picture: "np.ndarray") -> None:
        from adain_jax.images import save_picture

        job.output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(picture, job.output, quality=self.options.quality)

    def _saved(self, job: "Job", future: "Future[None]") -> None:
        from adain_jax.cli.report import describe
        from adain_jax.images import PictureError

        try:
            future.result()
        except (PictureError, OSError) as error:
            self.report.result(job, self._names(job), "failed", describe(error))
            self.report.fail(describe(error))
        else:
            self.report.result(job, self._names(job), "done")
            self.report.contents[str(self.contents[job.content].path)] = "stylised"

    def _names(self, job: "Job") -> list[str]:
        styles = (self.style_paths[index] for index in job.styles)
        return [str(self.contents[job.content].path), *styles]

    def _add_to_sheet(self, job: "Job", content: "np.ndarray", result: "np.ndarray") -> None:
        column = job.styles[0] if len(job.styles) == 1 else 0
        if self.options.grid and job.content < 12 and column < 12:
            from adain_jax.images.contact_sheet import shrink

            self.sheet[job.content + 1, 0] = shrink(content)
            self.sheet[job.content + 1, column + 1] = shrink(result)

    def _write_grid(self) -> None:
        from adain_jax.images import save_picture
        from adain_jax.images.contact_sheet import contact_sheet

        columns = sorted({column for _, column in self.sheet if column})
        rows = sorted({row for row, _ in self.sheet})
        cells = {
            (1 + rows.index(row), columns.index(column) + 1 if column else 0): picture
            for (row, column), picture in self.sheet.items()
        }
        together = bool(self.options.style_weights or self.options.mask)
        labels = ["mix"] if together else [self.style_names[column - 1] for column in columns]
        if not together:
            for position, column in enumerate(columns, start=1):
                if column - 1 < len(self.style_pictures):
                    cells[0, position] = self._style_picture(column - 1)
        names = [self.contents[row - 1].relative.stem for row in rows]
        sheet = contact_sheet(cells, ["", *names], ["", *labels])
        output = self.options.output or Path()
        folder = output if output.is_dir() else output.parent
        save_picture(sheet, folder / "grid.png")


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], depth: int
) -> Iterator[tuple[T, "Future[R]"]]:
    """Items with the future of function(item), begun for at most `depth` items in advance."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; gives the function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("stylising", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
