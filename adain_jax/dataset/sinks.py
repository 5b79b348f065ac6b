"""Where stylized records go: a folder tree, WebDataset's tar shards, Parquet, a data set of TFDS.

A sink writes one part at a time, from whichever worker, whole or not at all. Writing a part again
gives the same files, byte for byte.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from adain_jax.dataset.recipe import Encoded, split_suffix
from adain_jax.dataset.records import DatasetError, Prepared, Source
from adain_jax.dataset.storage import Place, StorageError, first_line

SAME_SUFFIXES = {"jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",), "webp": (".webp",)}


class Sink(Protocol):
    """Writes a stylized data set; it travels to the workers."""

    def write(self, part: str, records: Sequence[Encoded]) -> None:
        """Writes the records of a part."""
        ...

    def finish(self, parts: Sequence[str]) -> None:
        """Called once all parts are written, with the names of those that hold records."""
        ...


def open_sink(format_: str, place: Place, source: Source) -> Sink:
    """The sink of a format: "folder", "webdataset", "parquet" or "tfds".

    Raises:
        DatasetError: data sets of TFDS are to be written to an address.
    """
    if format_ == "folder":
        return FolderSink(place)
    if format_ == "webdataset":
        return TarSink(place)
    if format_ == "parquet":
        return ParquetSink(place, getattr(source, "schema", None))
    if not place.is_local:
        raise DatasetError("--format tfds needs a local folder, as TFDS reads no other", place.url)
    return PreparedSink(place, _features(source))


@dataclass(frozen=True)
class FolderSink:
    """A file for each record, at the path that is its key, so that class folders are kept."""

    place: Place

    def write(self, part: str, records: Sequence[Encoded]) -> None:
        """Writes every picture; other columns have no place in a folder."""
        for record in records:
            _, suffix = split_suffix(record.key)
            same = suffix.lower() in SAME_SUFFIXES[record.format]
            name = record.key if same else f"{record.key}.{record.format}"
            self.place.under(_inside(name)).write(record.image)

    def finish(self, parts: Sequence[str]) -> None:
        """Nothing is left to do."""


def _inside(name: str) -> str:
    """A path that a key from outside names, kept below the folder."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return "/".join(parts).replace("\0", "") or "_"


@dataclass(frozen=True)
class TarSink:
    """A tar shard for each part. Columns of bytes are members of their own; the others one of JSON."""

    place: Place

    def write(self, part: str, records: Sequence[Encoded]) -> None:
        """Writes PART.tar, without times or owners."""
        data, taken = io.BytesIO(), set[str]()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for record in records:
                key = _member_key(record, taken)
                for suffix, content in _members(record):
                    info = tarfile.TarInfo(f"{key}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        self.place.under(f"{part}.tar").write(data.getvalue())

    def finish(self, parts: Sequence[str]) -> None:
        """Nothing is left to do."""


def _member_key(record: Encoded, taken: set[str]) -> str:
    """A key without dots in its last part, where WebDataset would end it, and without a suffix."""
    for key in (split_suffix(record.key)[0], record.key):
        folder, slash, base = _inside(key).rpartition("/")
        name = f"{folder}{slash}{base.replace('.', '_')}"
        if name not in taken:
            break
    taken.add(name)
    return name


def _members(record: Encoded) -> Iterator[tuple[str, bytes]]:
    yield record.format, record.image
    rest = {}
    for name, value in record.columns.items():
        if isinstance(value, bytes):
            yield name, value
        else:
            rest[name] = value
    if rest:
        yield "json", json.dumps(rest, default=_plain, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """What JSON has no word for, as what it has."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class ParquetSink:
    """A Parquet file for each part: key, image as Hugging Face's data sets hold it, other columns.

    Columns that came from Parquet keep their types and names.
    """

    place: Place
    schema: Any = None

    def write(self, part: str, records: Sequence[Encoded]) -> None:
        """Writes PART.parquet."""
        import pyarrow as pa
        from pyarrow import parquet

        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [
            {"__key__": r.key, "image": {"bytes": r.image, "path": f"{r.key}.{r.format}"}}
            | {name: _for_arrow(value) for name, value in r.columns.items()}
            for r in records
        ]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        known = {} if self.schema is None else {f.name: f.type for f in self.schema}
        types = {**known, "__key__": pa.string(), "image": image}
        arrays = [pa.array([row.get(name) for row in rows], types.get(name)) for name in columns]
        data = io.BytesIO()
        parquet.write_table(pa.table(arrays, names=columns), data)
        self.place.under(f"{part}.parquet").write(data.getvalue())

    def finish(self, parts: Sequence[str]) -> None:
        """Nothing is left to do."""


def _for_arrow(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@dataclass(frozen=True)
class PreparedSink:
    """ArrayRecord files and what TFDS has to know of them, as the split train.

    Attributes:
        place: a local folder.
        features: of a record, as TFDS writes them in JSON.
    """

    place: Place
    features: Any
    _opened: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def write(self, part: str, records: Sequence[Encoded]) -> None:
        """Writes a file of the part's own name; `finish` gives it TFDS's."""
        from array_record.python.array_record_module import ArrayRecordWriter

        from adain_jax.files import atomic_path

        features = self._features()
        path = self._part(part)
        examples = (
            features.encode_example({"name": r.key, **r.columns, "image": r.image}) for r in records
        )
        data = [features.serialize_example(example) for example in examples]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                writer = ArrayRecordWriter(str(temporary), "group_size:1")
                for serialized in data:
                    writer.write(serialized)
                writer.close()
        except (OSError, RuntimeError) as error:  # ArrayRecord's own errors are of the second kind
            raise StorageError(first_line(error), str(path)) from error

    def finish(self, parts: Sequence[str]) -> None:
        """Names the files as TFDS does, and writes its description of them."""
        from array_record.python.array_record_module import ArrayRecordReader

        from adain_jax.data.sources import import_tfds

        tfds = import_tfds()
        folder, lengths, size = Path(self.place.path), [], 0
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name="stylized", split="train", filetype_suffix="array_record"
        )
        for i, part in enumerate(parts):
            target = Path(template.sharded_filepath(shard_index=i, num_shards=len(parts)))
            if self._part(part).exists():  # not moved before an interruption
                self._part(part).replace(target)
            reader = ArrayRecordReader(str(target))
            lengths.append(reader.num_records())
            reader.close()
            size += target.stat().st_size
        tfds.folder_dataset.write_metadata(
            data_dir=str(folder),
            features=self._features(),
            split_infos=[
                tfds.core.SplitInfo(
                    name="train",
                    shard_lengths=lengths,
                    num_bytes=size,
                    filename_template=template,
                )
            ],
            check_data=False,
        )
        self.place.under("_records").delete()

    def _part(self, part: str) -> Path:
        return Path(self.place.path, "_records", f"{part}.array_record")

    def _features(self) -> Any:
        if not self._opened:
            from adain_jax.data.sources import import_tfds

            features = import_tfds().features.FeaturesDict.from_json(self.features)
            self._opened["features"] = features
        return self._opened["features"]


def _features(source: Source) -> Any:
    """The features of a source's records, in TFDS's JSON: its own, or as its first record has them.

    Raises:
        DatasetError: there is no record, or a column holds what TFDS has no feature for.
    """
    from adain_jax.data.sources import import_tfds

    tfds = import_tfds()
    if isinstance(source, Prepared):
        features = source.features()
    else:
        record = next((r for s in source.shards() for r in source.read(s)), None)
        if record is None:
            raise DatasetError("holds no record", "--content")
        features = {name: _feature(tfds, name, value) for name, value in record.columns.items()}
    features = {"name": tfds.features.Text(), **features, "image": tfds.features.Image()}
    return tfds.features.FeaturesDict(features).to_json()


def _feature(tfds: Any, name: str, value: Any) -> Any:
    if isinstance(value, str | bytes):
        return tfds.features.Text()
    array = np.asarray(value)
    if array.dtype == object:
        raise DatasetError(f"column {name} ({type(value).__name__}) fits no feature of TFDS", name)
    return tfds.features.Tensor(shape=(None,) * array.ndim, dtype=array.dtype)
