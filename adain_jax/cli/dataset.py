"""`adain dataset`: stylizes a whole data set."""

import sys
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from adain_jax.cli.command import flag
from adain_jax.errors import UsageError
from adain_jax.models import Model

if TYPE_CHECKING:
    from adain_jax.dataset.recipe import Recipe
    from adain_jax.dataset.records import Source
    from adain_jax.dataset.storage import Place


@dataclass(frozen=True)
class Options:
    """Stylize a whole data set, on this machine or on a Ray cluster.

    What a record gets depends on --seed and its key alone. The same command resumes an interrupted run,
    and every record is done exactly once. Records that cannot be used are listed in failed.jsonl.
    Folders and addresses such as s3://bucket/folder are read and written alike.

    Example: adain dataset -c train -s paintings -o stylized --format folder
    """

    content: Annotated[str, tyro.conf.arg(metavar="SRC", aliases=["-c"])]
    """A folder of pictures (class folders are kept), WebDataset tar shards, Parquet files with encoded
    pictures, or a folder that TFDS prepared."""
    style: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SRC [SRC ...]", aliases=["-s"])]
    """Style pictures: files, folders or data sets; or style files, as --save-style writes them."""
    output: Annotated[str, tyro.conf.arg(metavar="DST", aliases=["-o"])]
    """A new folder, or one in which the same command was interrupted."""
    format: Literal["folder", "webdataset", "parquet", "tfds"]
    """Form of the stylized data set."""

    model: Annotated[Model, tyro.conf.arg(aliases=["-m"])] = "fast"
    """The network."""
    random_styles: int = 1
    """Number of results for each record, each in a style drawn at random."""
    mix: int = 1
    """Number of styles that are mixed in each result, with random shares."""
    alpha: tuple[float, float] = (1.0, 1.0)
    """Range that the strength of the style is drawn from."""
    seed: int = 0
    """Seed of all draws, together with a record's key."""
    content_size: int = 256
    """Shorter side of the pictures, in pixels; 0 keeps their size."""
    style_size: int = 256
    """Shorter side of the style pictures, in pixels; 0 keeps their size."""
    crop: bool = False
    """Crop pictures and styles to a central square."""
    preserve_color: Literal["none", "coral", "luminance"] = "none"
    """How to keep each picture's colors. coral: recolor its styles like the picture before they are
    encoded; luminance: take only the luminance from the result."""
    keep_original: bool = False
    """Keep each record's own picture too, in the size of the results."""

    image_column: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column, feature or suffix with the pictures, where there are several."""
    key_column: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of Parquet files with the records' keys; by default __key__, key, or the file and row."""
    image_format: Literal["same", "jpg", "png", "webp"] = "same"
    """Format of the results; same keeps that of each record, as far as it is one of these."""
    quality: int = 95
    """Quality of JPEG and WebP, from 1 to 100."""
    shard_records: int = 256
    """Records of each file that is written, at most."""

    workers: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of processes that stylize; by default one for each GPU, else one for 4 cores."""
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Address of a Ray cluster; by default that in RAY_ADDRESS. Without one, Ray runs on this machine
    for as long as it takes."""
    save_style: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write all encoded styles to this style file, for other data sets."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Write a JSON file with the sums, what each worker did, and what failed."""
    debug: bool = False
    """Show a traceback on failure."""


def _check(options: Options) -> None:
    for name in ("random_styles", "mix", "shard_records", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"{flag(name)} must be at least 1")
    for name in ("content_size", "style_size", "seed"):
        if getattr(options, name) < 0:
            raise UsageError(f"{flag(name)} must be at least 0")
    low, high = options.alpha
    if not 0 <= low <= high <= 1:
        raise UsageError("--alpha needs two numbers that rise, in 0 to 1, such as 0.5 1")
    if not 1 <= options.quality <= 100:
        raise UsageError("--quality must lie in 1 to 100")
    if options.save_style and options.preserve_color == "coral":
        raise UsageError(
            "--preserve-color coral encodes styles anew; there is none for --save-style"
        )


def stylize(options: Options) -> int:
    """Stylizes, and says what was done; returns 1 if a record failed."""
    _check(options)
    from adain_jax.dataset import manifest, styles
    from adain_jax.dataset.cluster import require_ray
    from adain_jax.dataset.recipe import Recipe
    from adain_jax.dataset.records import open_source
    from adain_jax.dataset.storage import locate
    from adain_jax.files import exclusive

    require_ray()
    source = open_source(
        options.content, image_column=options.image_column, key_column=options.key_column
    )
    output = locate(options.output)
    recipe = Recipe(
        model=options.model,
        random_styles=options.random_styles,
        mixed=options.mix,
        alpha=options.alpha,
        seed=options.seed,
        content_size=options.content_size,
        crop=options.crop,
        preserve_color=options.preserve_color,
        keep_original=options.keep_original,
        image_format=options.image_format,
        quality=options.quality,
    )
    names = ("format", "style_size", "shard_records")
    begun = manifest.describe(
        source,
        options.content,
        recipe,
        styles.name_styles(list(options.style)),
        {name: getattr(options, name) for name in names},
    )
    start = time.monotonic()
    with exclusive(Path(output.path)) if output.is_local else nullcontext():
        if manifest.begin(output, begun):
            print(f"{options.output}: complete already")
            return 0
        summaries = _write(options, source, recipe, output)
        ended = manifest.complete(output, summaries.values())
    return _report(options, ended, list(summaries.values()), time.monotonic() - start)


def _write(
    options: Options, source: "Source", recipe: "Recipe", output: "Place"
) -> dict[str, dict[str, Any]]:
    """Writes the parts that are not done yet; returns the summaries of all."""
    from adain_jax.dataset import manifest, styles
    from adain_jax.dataset.attempts import Attempts
    from adain_jax.dataset.cluster import Plan, connected, on_a_worker, write_parts
    from adain_jax.dataset.sinks import open_sink
    from adain_jax.dataset.storage import StorageError, locate
    from adain_jax.progress import progress

    summaries = manifest.done_parts(output)
    sink = open_sink(options.format, output, source)
    with connected(options.address):
        kept = output.under(styles.NAME)
        encoded = on_a_worker(
            styles.for_workers, list(options.style), recipe, options.style_size, kept
        )
        if options.save_style:
            locate(options.save_style).write(kept.read())
        done, attempts = frozenset(summaries), Attempts(output.under(manifest.ATTEMPTS))
        plan = Plan(source, recipe, encoded, options.shard_records, done, attempts)
        count, nbytes = source.count(), source.nbytes()
        before = sum(map(manifest.records_of, summaries.values()))
        parts = write_parts(plan, sink, output.under(manifest.PARTS), options.workers)
        with progress("stylizing", count, done=before) as advance:
            try:
                for summary in parts:
                    summaries[summary["part"]] = summary
                    if nbytes:  # there is no count: records so far tell how many all shards hold
                        count = manifest.estimate(summaries.values(), nbytes)
                    advance(manifest.records_of(summary), total=count)
            except StorageError as error:
                reason = f"{error.reason}; once that is mended, the same command goes on"
                raise StorageError(reason, error.path) from error
    sink.finish(sorted(name for name, one in summaries.items() if one["results"]))
    return summaries


def _report(
    options: Options, ended: dict[str, Any], summaries: list[dict[str, Any]], seconds: float
) -> int:
    import json

    from adain_jax.files import write_atomically

    records, busy = Counter[str](), Counter[str]()
    for summary in summaries:
        records[summary["worker"]] += summary["records"]
        busy[summary["worker"]] += summary["seconds"]
    failed = [pair for summary in summaries for pair in summary["failed"]]
    print(
        f"{ended['results']} results of {ended['records']} records in {seconds:.0f} s"
        + (f", {len(failed)} failed, see failed.jsonl" if failed else "")
    )
    for worker in sorted(records):
        rate = records[worker] / max(busy[worker], 1e-9)
        print(f"  {worker}: {records[worker]} records, {rate:.1f} a second")
    for key, reason in failed[:10]:
        print(f"  {key}: {reason}", file=sys.stderr)
    if options.report:
        workers = {w: {"records": records[w], "seconds": round(busy[w], 3)} for w in records}
        whole = {**ended, "seconds": round(seconds, 1), "workers": workers}
        whole["failures"] = [{"key": key, "reason": reason} for key, reason in failed]
        write_atomically(options.report, json.dumps(whole, indent=1).encode())
    return 1 if failed else 0
