"""PyTorch `.pth` files, legacy and zip, read without torch and without running anything in them.

A `.pth` file is a pickle that names the functions that rebuild its objects. Only the few names that
tensors need are known here; any other is refused before anything is called.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.convert.errors import ConversionError

MAX_BYTES = 4 << 30  # far above VGG19 with its classifier, far below a zip bomb

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True)
class _StorageType:
    name: str

    @property
    def itemsize(self) -> int:
        dtype = _DTYPES[self.name]
        return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize

    def decode(self, data: bytes) -> np.ndarray:
        if _DTYPES[self.name] == "bfloat16":  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        return np.frombuffer(data, _DTYPES[self.name])


@dataclass(frozen=True)
class _Storage:
    key: str
    type: _StorageType
    numel: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> Any:
    """The object in a `.pth` file: nested dicts and lists, with NumPy arrays for tensors.

    Raises:
        ConversionError: the file names anything but tensors and dictionaries (the message tells
            what), is cut short, or is inconsistent.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as file:
            return _read_legacy(file, path)
    except (ConversionError, OSError):
        raise
    except Exception as error:  # a malicious pickle can make the unpickler fail in any way
        raise ConversionError(f"not a readable .pth file ({error})", path) from error


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise ConversionError(f"unpacks to more than {MAX_BYTES >> 30} GiB", path)
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise ConversionError("a zip file, but not one that torch.save wrote", path)
        root = pickles[0].split("/")[0]
        storages: dict[str, np.ndarray] = {}

        def load(storage: _Storage) -> np.ndarray:
            if storage.key not in storages:
                data = archive.read(f"{root}/data/{storage.key}")
                storages[storage.key] = storage.type.decode(data)
            return storages[storage.key]

        with archive.open(pickles[0]) as file:
            return _resolve(_Unpickler(io.BytesIO(file.read()), path).load(), load)


def _read_legacy(file: io.BufferedReader, path: Path) -> Any:
    # Four pickles (magic number, version, system, the object), then the storages' keys and data.
    if _Unpickler(file, path).load() != _LEGACY_MAGIC:
        raise ConversionError("a pickle, but not one that torch.save wrote", path)
    _Unpickler(file, path).load()
    _Unpickler(file, path).load()
    unpickler = _Unpickler(file, path)
    result = unpickler.load()
    storages: dict[str, np.ndarray] = {}
    for key in _Unpickler(file, path).load():
        storage = unpickler.storages[key]
        numel = int.from_bytes(file.read(8), "little", signed=True)
        if numel != storage.numel:
            raise ConversionError(f"storage {key} has {numel} values, not {storage.numel}", path)
        data = file.read(numel * storage.type.itemsize) if numel < MAX_BYTES else b""
        storages[key] = storage.type.decode(data)
    return _resolve(result, lambda storage: storages[storage.key])


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path):
        super().__init__(file, encoding="utf-8")
        self.path = path
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        raise ConversionError(
            f"names {module}.{name}, which could run code, and is refused; "
            f"save a plain state_dict()",
            self.path,
        )

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, _, numel = pid[:5]
        if tag != "storage" or not isinstance(kind, _StorageType) or not isinstance(numel, int):
            raise ConversionError(f"refers to {pid!r}, which is no storage", self.path)
        return self.storages.setdefault(str(key), _Storage(str(key), kind, numel))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


def _resolve(value: Any, load: Callable[[_Storage], np.ndarray]) -> Any:
    """Replaces tensors with arrays, once their storages can be read.

    Raises:
        ValueError: a tensor does not fit its storage.
    """
    if isinstance(value, dict):
        return {key: _resolve(item, load) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve(item, load) for item in value]
    if not isinstance(value, _Tensor):
        return value
    data = load(value.storage)
    last = value.offset + sum((n - 1) * s for n, s in zip(value.shape, value.strides, strict=True))
    if min((value.offset, *value.shape, *value.strides)) < 0 or last >= len(data):
        raise ValueError(
            f"a tensor of shape {value.shape} does not lie in its storage of {len(data)} values"
        )
    strides = tuple(s * data.itemsize for s in value.strides)
    view = np.lib.stride_tricks.as_strided(data[value.offset :], value.shape, strides)
    if view.nbytes > MAX_BYTES:
        raise ValueError(f"a tensor of shape {value.shape} is too large")
    return np.ascontiguousarray(view)
