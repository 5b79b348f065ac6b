"""The pipeline on Ray Data: parts of a data set are read, decoded, stylized, encoded and written.

    shards -> read -> decode -> paint -> encode, write
              tasks   tasks     actors   tasks

A part is some records of a shard, in order, as one row. What is in it depends on the shard alone, so
that a run that goes on after an interruption finds the parts that are done. Each actor has a device,
or some cores, and a `Stylizer` that stays warm. Ray Data keeps few parts in memory, and begins anew
what was lost with a worker or a node.
"""

import io
import json
import logging
import os
import pickle
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from adain_jax.dataset.attempts import Attempts
from adain_jax.dataset.recipe import Decoded, Painted, Recipe, decode, encode, paint
from adain_jax.dataset.records import DatasetError, Record, Source, open_source, stored_bytes
from adain_jax.dataset.sinks import Sink
from adain_jax.dataset.storage import Place, first_line
from adain_jax.errors import AdainError
from adain_jax.files import check_can_write
from adain_jax.images import Pixels, picture_size

if TYPE_CHECKING:
    import ray.data

    from adain_jax.dataset.styles import Moments

PART_BYTES = 1 << 28
"""Pixels of a part, at most, in bytes; a larger picture is a part of its own."""
TASK_CPUS = 0.25
"""Share of a core that Ray reckons for reading and decoding: more of them wait than compute."""

T = TypeVar("T")
Row = dict[str, Any]  # "part", its name, and "payload", its pickled records


@dataclass(frozen=True)
class Plan:
    """All that the workers need to know.

    Attributes:
        source: the data set to read.
        recipe: what becomes of each record.
        styles: see `adain_jax.dataset.styles.for_workers`; not `Style`, for which every worker would
            import JAX.
        shard_records: records of a part, at most.
        done: the parts that are there already.
        attempts: where workers leave notes, see `adain_jax.dataset.attempts`; None for none.
    """

    source: Source
    recipe: Recipe
    styles: "Moments | list[Pixels]"
    shard_records: int
    done: frozenset[str] = frozenset()
    attempts: Attempts | None = None


def require_ray() -> None:
    """Checks that Ray is installed, and what comes with it.

    Raises:
        AdainError: it is not.
    """
    try:
        import pyarrow  # noqa: F401
        import ray  # noqa: F401
    except ImportError as error:
        raise AdainError("Ray is missing: pip install 'adain-jax[cluster]'") from error


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to a Ray cluster: the one at an address, else a local one for as long as it takes.

    A connection that is there already is used, and stays.

    Raises:
        AdainError: Ray is not installed.
        DatasetError: there is no such cluster.
    """
    require_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        try:  # Ray itself asks again for minutes
            socket.create_connection((place[1], int(place[2])), timeout=10).close()
        except OSError as error:
            raise DatasetError(f"no Ray cluster can be reached there ({error})", address) from error
    if address == "local":
        ensure_token()
    with quiet():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises errors of all kinds, down to plain ones
            reason = first_line(error)
            raise DatasetError(
                f"no Ray cluster can be reached there ({reason})", address
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def ensure_token() -> None:
    """Ray keeps the token of a cluster in the home folder; without one, the cluster gets its own."""
    try:
        check_can_write(Path.home() / ".ray" / "auth_token")
    except (OSError, RuntimeError):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex())


@contextmanager
def quiet() -> Iterator[None]:
    """Ray's own words left out: what a user has to know, the commands say."""
    import ray.data  # sets its loggers when it is imported

    loggers = {logging.getLogger(name) for name in ("ray", ray.data.__name__)}
    levels = {logger: logger.level for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def on_a_worker(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function where a model can be computed: on a GPU of the cluster, if it has one.

    Raises:
        What the function raises.
    """
    import ray

    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_gpus=gpus, max_calls=1)(function)
    with _errors_of_workers():
        return ray.get(task.remote(*arguments))


@contextmanager
def _errors_of_workers() -> Iterator[None]:
    """What failed on a worker is raised as it was there, without Ray's account of it."""
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


def painted_parts(plan: Plan, workers: int | None = None) -> "ray.data.Dataset":
    """The lazy `ray.data.Dataset` of painted parts.

    Args:
        plan: what is to be done.
        workers: how many actors stylize; by default one for each GPU, else one for 4 cores.
    """
    import ray.data

    resources = ray.cluster_resources()
    cores, gpus = resources.get("CPU", 1.0), int(resources.get("GPU", 0))
    number = workers or gpus or max(1, int(cores) // 4)
    actor: dict[str, Any] = {"compute": ray.data.ActorPoolStrategy(size=number)}
    if gpus:
        actor["num_gpus"] = min(1.0, gpus / number)
    else:  # half of the cores are reckoned for them, so that tasks find room
        actor["num_cpus"] = cores / 2 / number
        threads = str(max(1, int(cores / number)))
        actor["runtime_env"] = {"env_vars": {"NPROC": threads, "OMP_NUM_THREADS": threads}}
    shards = ray.data.from_items([{"shard": shard} for shard in plan.source.shards()])
    shards.context.target_max_block_size = 1  # every row is a block: parts are never joined
    shards.context.enable_progress_bars = False
    shards.context.raise_original_map_exception = True
    return (
        shards.map_batches(Reading(plan), batch_size=1, num_cpus=TASK_CPUS / 2)
        .map_batches(Decoding(plan), batch_size=1, num_cpus=TASK_CPUS)
        .map_batches(Painting, fn_constructor_args=(plan,), batch_size=1, **actor)
    )


def _row(batch: dict[str, np.ndarray]) -> Row:
    return {name: values[0] for name, values in batch.items()}


def _batch(part: str, payload: Any, **more: Any) -> dict[str, Any]:
    data = pickle.dumps(payload, protocol=5)
    return {"part": [part], "payload": [data], **{name: [value] for name, value in more.items()}}


def _unpickled(row: Row) -> Any:
    return pickle.loads(row["payload"])  # this pipeline's own


@dataclass(frozen=True)
class Reading:
    """Shards to parts."""

    plan: Plan

    def __call__(self, batch: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        """The parts of a shard that are not there yet."""
        shard = str(_row(batch)["shard"])
        for number, records in enumerate(self._parts(shard)):
            part = f"{shard.removesuffix('.tar').removesuffix('.parquet')}-{number:05}"
            if part not in self.plan.done:
                yield _batch(part, records, read=sum(map(stored_bytes, records)))

    def _parts(self, shard: str) -> Iterator[list[Record]]:
        records: list[Record] = []
        size = 0
        for record in self._records(shard):
            nbytes = self._nbytes(record)
            if records and (len(records) == self.plan.shard_records or size + nbytes > PART_BYTES):
                yield records
                records, size = [], 0
            records.append(record)
            size += nbytes
        if records:
            yield records

    def _records(self, shard: str) -> Iterator[Record]:
        """The records; where the shard is damaged, one that says so in place of the rest."""
        try:
            yield from self.plan.source.read(shard)
        except AdainError as error:
            yield Record(shard, b"", {}, str(error))

    def _nbytes(self, record: Record) -> int:
        try:
            height, width = picture_size(
                io.BytesIO(record.image), size=self.plan.recipe.content_size, name=record.key
            )
        except (AdainError, ValueError):
            return 0
        return 3 * height * width * (1 + self.plan.recipe.random_styles)


@dataclass(frozen=True)
class Decoding:
    """Records to pixels."""

    plan: Plan

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """A part, decoded."""
        row, recipe = _row(batch), self.plan.recipe
        decoded = _guarded(
            self.plan,
            f"{row['part']}.decode",
            _unpickled(row),
            key=lambda record: record.key,
            compute=lambda records: [decode(recipe, record) for record in records],
            give_up=lambda record, why: Decoded(record._replace(image=b""), None, problem=why),
        )
        return _batch(row["part"], decoded, read=row["read"])


class Painting:
    """Pixels to results, in an actor with a device of its own."""

    def __init__(self, plan: Plan):
        from adain_jax.inference.compilation_cache import enable_compilation_cache
        from adain_jax.inference.stylizer import Stylizer
        from adain_jax.style import Style

        enable_compilation_cache()
        self._plan = plan
        coral = plan.recipe.preserve_color == "coral"
        self._styles: Any = plan.styles if coral else list(map(Style, *plan.styles))
        self._stylizer = Stylizer.load(plan.recipe.model, tile=TILE, shapes="fixed")
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """A part, stylized."""
        row, start = _row(batch), time.perf_counter()
        painted = _guarded(
            self._plan,
            f"{row['part']}.paint",
            _unpickled(row),
            key=lambda decoded: decoded.record.key,
            compute=lambda decoded: paint(
                self._plan.recipe, self._stylizer, self._styles, list(decoded)
            ),
            give_up=lambda decoded, why: Painted(decoded._replace(pixels=None, problem=why), []),
        )
        seconds = time.perf_counter() - start
        more = {"read": row["read"], "worker": self._name, "seconds": seconds}
        return _batch(row["part"], painted, **more)


TILE = 1024
"""Larger pictures are computed in such tiles: not chosen by free memory, which machines differ in."""


@dataclass(frozen=True)
class Writing:
    """Results to files, and a note that the part is done."""

    plan: Plan
    sink: Sink
    parts: Place

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """A part, encoded and written."""
        row = _row(batch)
        painted: list[Painted] = _unpickled(row)
        records = [record for one in painted for record in encode(self.plan.recipe, one)]
        failed = [
            [one.decoded.record.key, one.decoded.problem] for one in painted if one.decoded.problem
        ]
        if records:
            self.sink.write(row["part"], records)
        summary = {
            "part": str(row["part"]),
            "records": len(painted) - len(failed),
            "results": len(records),
            "bytes": sum(len(record.image) for record in records),
            "read": int(row["read"]),
            "failed": failed,
            "worker": str(row["worker"]),
            "seconds": round(float(row["seconds"]), 3),
        }
        text = json.dumps(summary)
        self.parts.under(f"{row['part']}.json").write(text.encode())
        return {"summary": [text]}


@dataclass(frozen=True)
class Exploding:
    """Painted parts to records, for whoever goes on from there."""

    plan: Plan

    def __call__(self, batch: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        """A row for each result; other columns as they were. What failed has no row."""
        for one in _unpickled(_row(batch)):
            for record in encode(self.plan.recipe, one):
                columns = {"__key__": record.key, "image": record.image, **record.columns}
                yield {name: [value] for name, value in columns.items()}


def stylized(
    content: str,
    style: Sequence[str],
    recipe: Recipe | None = None,
    *,
    style_size: int = 256,
    image_column: str | None = None,
    key_column: str | None = None,
    part_records: int = 256,
    workers: int | None = None,
) -> "ray.data.Dataset":
    """A stylized data set as a lazy `ray.data.Dataset`, to go on from; nothing is written.

    Only the styles are encoded at once. Connect to a cluster by `ray.init` before, or Ray starts on
    this machine.

    Args:
        content: see `adain_jax.dataset.records.open_source`.
        style: pictures, folders, data sets, and style files.
        recipe: what becomes of each record.
        style_size: shorter side of the style pictures, in pixels; 0 keeps their size.
        image_column, key_column: see `open_source`.
        part_records: records that are computed together, at most.
        workers: how many actors stylize; by default one for each GPU, else one for 4 cores.

    Returns:
        A row for each result: `__key__`; `image`, the encoded picture; and all other columns as they
        were. Records that cannot be used have no row.

    Raises:
        DatasetError, StorageError, PictureError, StyleError: the content or a style cannot be read.
    """
    from adain_jax.dataset.styles import for_workers

    recipe = recipe or Recipe()
    source = open_source(content, image_column=image_column, key_column=key_column)
    styles = on_a_worker(for_workers, list(style), recipe, style_size)
    plan = Plan(source, recipe, styles, part_records)
    return painted_parts(plan, workers).map_batches(
        Exploding(plan), batch_size=1, num_cpus=TASK_CPUS
    )


def _guarded(plan: Plan, part: str, items: Any, *, key: Any, compute: Any, give_up: Any) -> Any:
    if plan.attempts is None:
        return compute(items)
    return plan.attempts.guarded(part, items, key, compute, give_up)


def write_parts(
    plan: Plan, sink: Sink, parts: Place, workers: int | None = None
) -> Iterator[dict[str, Any]]:
    """Does all parts that are not done, and gives each one's summary as it is written.

    Raises:
        StorageError: a part cannot be written. What was written before stays.
    """
    dataset = painted_parts(plan, workers).map_batches(
        Writing(plan, sink, parts), batch_size=1, num_cpus=TASK_CPUS
    )
    with _errors_of_workers():
        for row in dataset.iter_rows():
            yield json.loads(row["summary"])
