"""Where training pictures come from: a folder, or a TFDS data set prepared as ArrayRecord.

TensorFlow is never imported.
"""

import io
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from adain_jax.errors import AdainError
from adain_jax.images import PictureError, find_pictures, load_image


class DataError(AdainError):
    """A source of pictures that cannot be used; `path` names it."""


class Encoded(NamedTuple):
    """A picture as it is stored, not decoded.

    Attributes:
        file: the picture's path, or its encoded bytes.
        name: what messages call it.
    """

    file: Path | io.BytesIO
    name: str


class Source(Protocol):
    """A random-access source of encoded pictures."""

    def __len__(self) -> int:
        """The number of pictures."""
        ...

    def read(self, index: int) -> "Encoded":
        """The picture at `index`, as it is stored."""
        ...


class Folder:
    """The pictures below a folder, recursively, sorted by path.

    Raises:
        DataError: the folder holds no picture.
        PictureError: it is not a folder.
    """

    def __init__(self, folder: Path):
        self._paths = find_pictures(folder)
        if not self._paths:
            raise DataError("no picture in this folder", folder)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> Encoded:
        """The picture at `index`: its path, which is also its name."""
        return Encoded(self._paths[index], str(self._paths[index]))


class Dataset:
    """A TFDS data set, prepared as ArrayRecord.

    Its pictures are the feature `image`, or the only image feature if none has that name.

    Args:
        builder: the data set's TFDS builder.
        split: a split in TFDS's notation; None is `train`, or the only split.
        spec: what messages call the data set.

    Raises:
        DataError: there is no such split, or it is empty; there is no such feature; or TFDS cannot
            open the data set.
    """

    def __init__(self, builder: Any, split: str | None, spec: str):
        tfds = import_tfds()
        splits = list(builder.info.splits)
        if split is None:
            split = "train" if "train" in splits else splits[0] if len(splits) == 1 else None
        if split is None or split.split("[")[0] not in splits:
            raise DataError(f"has no such split; append @ and one of {', '.join(splits)}", spec)
        features = builder.info.features
        images = [key for key in features if isinstance(features[key], tfds.features.Image)]
        key = "image" if "image" in images else images[0] if len(images) == 1 else None
        if key is None:
            raise DataError(f"has no feature called image, but {', '.join(features)}", spec)
        self._spec, self._key = spec, key
        try:
            self._records = builder.as_data_source(
                split=split, decoders={key: tfds.decode.SkipDecoding()}
            )
        except Exception as error:  # TFDS's messages are long; the first line is enough
            raise DataError(str(error).strip().splitlines()[0], spec) from error
        if not len(self._records):
            raise DataError(f"the split {split} is empty", spec)

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> Encoded:
        """The picture of a record, named by the record's `name` or `filename`, else by `index`."""
        record = self._records[index]
        keys = [key for key in ("name", "filename", "file_name", "image/filename") if key in record]
        name = record[keys[0]] if keys else index
        name = name.decode() if isinstance(name, bytes) else name
        return Encoded(io.BytesIO(record[self._key]), f"{self._spec}:{name}")


def open_source(spec: str, *, data_dir: str | None = None) -> Source:
    """Opens a folder of pictures or a prepared data set.

    Args:
        spec: a folder of pictures; a data set's folder that TFDS prepared, such as
            `adain pack` writes; or a TFDS name such as `coco/2017:1.1.0`. A
            split of a data set may follow after the last `@`; the default is `train`, or the only
            split.
        data_dir: the folder in which TFDS looks up names; by default TFDS's own.

    Raises:
        DataError: there is no such source, or it holds no picture.
    """
    place, split = spec, ""
    if "@" in spec and not Path(spec).is_dir():  # a folder's own name may hold an @
        place, _, split = spec.rpartition("@")
    path = Path(place)
    if path.is_dir() and not (path / "dataset_info.json").exists():
        if split:
            raise DataError(f"{place} is a folder of pictures, which has no splits", spec)
        return Folder(path)
    if not path.is_dir() and (path.is_absolute() or place.startswith(".")):
        raise DataError("no such folder", place)
    tfds = import_tfds()
    where = f" in {data_dir}" if data_dir else ""
    try:
        if path.is_dir():
            builder = tfds.builder_from_directory(str(path))
        else:
            builder = tfds.builder(place, data_dir=data_dir)
    except Exception as error:  # for an unknown name, TFDS's message lists every name it knows
        raise DataError(
            f"neither a folder nor a data set that TFDS has prepared{where}", place
        ) from error
    if not builder.info.splits:
        raise DataError(f"TFDS knows this data set, but it is not prepared{where}", place)
    return Dataset(builder, split or None, spec)


def import_tfds() -> Any:
    """Imports TFDS without the deprecation warnings that its dependencies emit on import."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds
    return tfds


class Pictures:
    """The pipeline's random-access source: decoded pictures and their names.

    Item i is the i-th picture, uint8 (h, w, 3), RGB in 0..255, and its name. A picture that cannot
    be read is replaced by the next one that can, so that the order depends only on the files and
    the seed. Each such picture is reported once, on stderr.

    Args:
        source: where the pictures come from.
        size: length of the shorter side in pixels, keeping the aspect ratio; 0 keeps the size.
        cache_bytes: keep decoded pictures in memory, up to this many bytes in total.

    Attributes:
        size: as given.
        bad: the error message of each picture that could not be read so far, by its name.

    Raises:
        DataError: none of the pictures can be read.
    """

    def __init__(self, source: Source, size: int, cache_bytes: int = 0):
        self.bad: dict[str, str] = {}
        self._source = source
        self.size = size
        self._lock = threading.Lock()  # several threads read
        self._room = cache_bytes
        self._cache: dict[int, tuple[np.ndarray, str]] = {}
        self[0]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
        for step in range(len(self)):
            candidate = (index + step) % len(self)
            if candidate in self._cache:
                return self._cache[candidate]
            encoded = self._source.read(candidate)
            try:
                pixels = np.asarray(decode(encoded, size=self.size))
            except PictureError as error:
                with self._lock:
                    if encoded.name not in self.bad:
                        self.bad[encoded.name] = str(error)
                        print(f"skipped: {error}", file=sys.stderr)
                continue
            with self._lock:
                if pixels.nbytes <= self._room and candidate not in self._cache:
                    self._room -= pixels.nbytes
                    self._cache[candidate] = pixels, encoded.name
            return pixels, encoded.name
        name = self._source.read(0).name
        raise DataError("neither this picture nor any other can be read", name)


def decode(encoded: Encoded, *, size: int) -> Image.Image:
    """Decodes a stored picture with `load_image`, to 8-bit RGB.

    Args:
        encoded: the picture.
        size: length of the shorter side in pixels, keeping the aspect ratio; 0 keeps the size.

    Raises:
        PictureError: the picture cannot be read.
    """
    return load_image(encoded.file, size=size, name=encoded.name)
