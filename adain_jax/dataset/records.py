"""Where records come from: folders, WebDataset's tar shards, Parquet, data sets that TFDS prepared.

A source is read shard by shard, by whichever worker, and each shard from its beginning, always in
the same order.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from adain_jax.dataset.storage import Place, StorageError, locate
from adain_jax.errors import AdainError
from adain_jax.images import SUFFIXES

FOLDER_SHARD = 512
"""Files of a folder that are read as one shard."""
PREPARED_SHARD = 512
"""Records of a data set of TFDS that are read as one shard."""


class DatasetError(AdainError):
    """A data set that cannot be read, made or gone on with; `path` names it."""


class Record(NamedTuple):
    """A record of a data set.

    Attributes:
        key: what it is known by, unlike all others; of a file, its path below the folder.
        image: the picture, as it is stored.
        columns: everything else, by name, untouched.
        problem: why there is no picture, if there is none.
    """

    key: str
    image: bytes
    columns: dict[str, Any]
    problem: str | None = None


def stored_bytes(record: Record) -> int:
    """What a record takes of a tar file, in blocks of 512 bytes; and about that of a Parquet file."""
    members = (record.image, *record.columns.values())
    return sum(512 * ((len(data) + 1023) // 512) for data in members if isinstance(data, bytes))


class Source(Protocol):
    """A data set that can be read; it travels to the workers."""

    @property
    def kind(self) -> str:
        """ "folder", "webdataset", "parquet" or "tfds"."""
        ...

    def shards(self) -> list[str]:
        """The names of its shards, in order."""
        ...

    def read(self, shard: str) -> Iterator[Record]:
        """The records of a shard, in order."""
        ...

    def count(self) -> int | None:
        """How many records there are; None where only reading them all would tell."""
        ...

    def nbytes(self) -> int | None:
        """The size of all shards, where there is no count."""
        ...


def open_source(
    url: str, *, image_column: str | None = None, key_column: str | None = None
) -> Source:
    """Opens a data set, of the kind that its files tell.

    Args:
        url: a folder of pictures, tar shards or Parquet files, one such file, or a folder that TFDS
            prepared (local only); a local path or an address such as s3://bucket/folder.
        image_column: the column with the pictures, where there is more than one.
        key_column: the column with the records' keys, of Parquet.

    Raises:
        DatasetError: it is missing or empty, or there is no such column.
        StorageError: the place cannot be reached.
    """
    place = locate(url)
    kind = place.kind()
    if kind == "missing":
        raise DatasetError("no such file or folder", url)
    if kind == "file":
        folder, _, name = place.path.rpartition("/")
        place, names = place._replace(path=folder, url=url.rpartition("/")[0] or "."), [name]
    else:
        names = [name for name in place.files() if not _is_hidden(name)]
    if "dataset_info.json" in names:
        return Prepared(url, image_column)
    chosen = {
        suffix: [name for name in names if name.lower().endswith(suffix)]
        for suffix in (".tar", ".parquet")
    }
    if chosen[".tar"]:
        return Tars(place, tuple(chosen[".tar"]), image_column)
    if chosen[".parquet"]:
        return Parquets(place, tuple(chosen[".parquet"]), image_column, key_column).checked()
    pictures = tuple(n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES)
    if not pictures:
        raise DatasetError("no picture, tar shard, Parquet file or TFDS data set in it", url)
    return Folder(place, pictures)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


@dataclass(frozen=True)
class Folder:
    """Pictures below a folder; a key is the path below it, so that class folders are kept."""

    place: Place
    names: tuple[str, ...]
    kind: str = "folder"

    def shards(self) -> list[str]:
        """Consecutive files."""
        return [f"{i:06}" for i in range(-(-len(self.names) // FOLDER_SHARD))]

    def count(self) -> int:
        """The number of files."""
        return len(self.names)

    def nbytes(self) -> None:
        """There is a count."""

    def read(self, shard: str) -> Iterator[Record]:
        """Every file's bytes."""
        first = int(shard) * FOLDER_SHARD
        for name in self.names[first : first + FOLDER_SHARD]:
            try:
                yield Record(name, self.place.under(name).read(), {})
            except StorageError as error:
                yield Record(name, b"", {}, error.reason)


@dataclass(frozen=True)
class Tars:
    """WebDataset's shards: files of one name up to the first dot are a record."""

    place: Place
    names: tuple[str, ...]
    image_column: str | None = None
    kind: str = "webdataset"

    def shards(self) -> list[str]:
        """The tar files."""
        return list(self.names)

    def count(self) -> None:
        """Tar files do not say."""

    def nbytes(self) -> int:
        """The size of the files."""
        return self.place.size(self.names)

    def read(self, shard: str) -> Iterator[Record]:
        """The records of a tar file, read once from its beginning to its end.

        Raises:
            DatasetError: the file is damaged, from there on.
        """
        place = self.place.under(shard)
        try:
            with place.open() as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
                members = ((m.name, tar.extractfile(m)) for m in tar if m.isfile())
                named = ((*_split_name(name), file.read()) for name, file in members if file)
                for key, parts in groupby(named, key=lambda part: part[0]):
                    yield self._record(key, {suffix: data for _, suffix, data in parts})
        except (tarfile.TarError, EOFError, OSError) as error:
            raise DatasetError(f"a damaged tar file ({error})", place.url) from error

    def _record(self, key: str, parts: dict[str, bytes]) -> Record:
        pictures = [suffix for suffix in parts if f".{suffix.rpartition('.')[2]}" in SUFFIXES]
        problem = None
        if self.image_column is None and len(pictures) > 1:
            problem = (
                f"has the pictures {', '.join(pictures)}; --image-column says which to stylize"
            )
        chosen = self.image_column or (pictures[0] if pictures else "picture")
        if chosen not in parts:
            problem = f"has no {chosen}, but {', '.join(parts)}"
        image = b"" if problem else parts.pop(chosen)
        return Record(key, image, parts, problem)


def _split_name(name: str) -> tuple[str, str]:
    """The key and the suffix: the base name counts up to its first dot."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()


@dataclass(frozen=True)
class Parquets:
    """Parquet files with encoded pictures, binary or as Hugging Face's data sets hold them."""

    place: Place
    names: tuple[str, ...]
    image_column: str | None = None
    key_column: str | None = None
    schema: Any = None
    kind: str = "parquet"

    def checked(self) -> "Parquets":
        """With its columns, once the first file has them.

        Raises:
            DatasetError: the file is damaged, or there is no such column.
        """
        import pyarrow as pa
        from pyarrow import parquet

        place = self.place.under(self.names[0])
        try:
            with self.place.system.open_input_file(place.path) as file:
                schema = parquet.read_schema(file)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"a damaged Parquet file ({error})", place.url) from error
        pictures = [
            column.name
            for column in schema
            if pa.types.is_binary(column.type)
            or pa.types.is_large_binary(column.type)
            or (pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0)
        ]
        image = self.image_column or (
            "image" if "image" in pictures else pictures[0] if len(pictures) == 1 else None
        )
        for name, option in ((image, "--image-column"), (self.key_column, "--key-column")):
            if name is not None and name not in schema.names:
                have = ", ".join(schema.names)
                raise DatasetError(f"has no column {name} ({option}), but {have}", place.url)
        if image is None:
            raise DatasetError(
                f"which of {', '.join(schema.names)} holds the pictures? --image-column says it",
                place.url,
            )
        keys = [name for name in ("__key__", "key") if name in schema.names]
        key = self.key_column or (keys[0] if keys else None)
        return Parquets(self.place, self.names, image, key, schema)

    def shards(self) -> list[str]:
        """The files."""
        return list(self.names)

    def count(self) -> None:
        """Only the files themselves would say."""

    def nbytes(self) -> int:
        """The size of the files."""
        return self.place.size(self.names)

    def read(self, shard: str) -> Iterator[Record]:
        """The rows of a file. Without a column of keys, a key is the file's name and the row.

        Raises:
            DatasetError: the file is damaged.
        """
        import pyarrow as pa
        from pyarrow import parquet

        place, rows = self.place.under(shard), count()
        try:
            with self.place.system.open_input_file(place.path) as file:
                for batch in parquet.ParquetFile(file).iter_batches(batch_size=64):
                    for row in batch.to_pylist():
                        number = next(rows)
                        image = row.pop(str(self.image_column))
                        if isinstance(image, dict):
                            image = image.get("bytes")
                        key = row.pop(self.key_column) if self.key_column else f"{shard}:{number}"
                        yield Record(str(key), image or b"", row)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"a damaged Parquet file ({error})", place.url) from error


@dataclass(frozen=True)
class Prepared:
    """A data set that TFDS prepared as ArrayRecord, in a local folder: its split train or its first."""

    url: str
    image_column: str | None = None
    kind: str = "tfds"
    _opened: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def shards(self) -> list[str]:
        """Consecutive records."""
        return [f"{i:06}" for i in range(-(-len(self._records()) // PREPARED_SHARD))]

    def count(self) -> int:
        """The number of records."""
        return len(self._records())

    def nbytes(self) -> None:
        """There is a count."""

    def read(self, shard: str) -> Iterator[Record]:
        """Records with all their features; a key is the feature `name` or like it, or the number."""
        records, first = self._records(), int(shard) * PREPARED_SHARD
        for number in range(first, min(first + PREPARED_SHARD, len(records))):
            columns = dict(records[number])
            image = columns.pop(self._opened["image"])
            names = ("__key__", "name", "filename", "file_name", "image/filename")
            key = next((columns[name] for name in names if name in columns), number)
            yield Record(key.decode() if isinstance(key, bytes) else str(key), image, columns)

    def features(self) -> dict[str, Any]:
        """TFDS's features of a record's other columns, by name."""
        self._records()
        features = dict(self._opened["features"])
        del features[self._opened["image"]]
        return features

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: each worker opens it again."""
        return {"url": self.url, "image_column": self.image_column, "kind": self.kind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See `__getstate__`."""
        for name, value in {**state, "_opened": {}}.items():
            object.__setattr__(self, name, value)

    def _records(self) -> Any:
        if not self._opened:
            from adain_jax.data.sources import import_tfds

            tfds = import_tfds()
            builder = tfds.builder_from_directory(self.url)
            splits, features = list(builder.info.splits), builder.info.features
            images = [key for key in features if isinstance(features[key], tfds.features.Image)]
            image = self.image_column or ("image" if "image" in images else (*images, None)[0])
            if image not in features:
                raise DatasetError(f"has no feature {image}, but {', '.join(features)}", self.url)
            split = "train" if "train" in splits else splits[0]
            decoders = {image: tfds.decode.SkipDecoding()}
            self._opened["records"] = builder.as_data_source(split=split, decoders=decoders)
            self._opened.update(image=image, features=features)
        return self._opened["records"]
