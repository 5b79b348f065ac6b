"""PyTorch `.pth` files, legacy and zip, read without torch and without running anything in them.

A `.pth` file is a pickle that names the functions that rebuild its objects. Only the few names that
tensors need are known here; any other is refused before anything is called.
"""

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.convert.errors import ConversionError, some

# The same object may be named many times in a pickle: a few bytes can stand for endless values.
_MAX_VALUES = 100_000
_MAX_DEPTH = 30

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
        if _DTYPES[self.name] == "bfloat16":
            return from_bfloat16(data)
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


def read(path: Path) -> dict[str, np.ndarray]:
    """All tensors in a `.pth` file, by the keys of its nested dicts and lists, joined by dots.

    Raises:
        ConversionError: the file names anything but tensors and dictionaries (the message tells
            what), is cut short or inconsistent, or holds no tensor.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as file:
            return _read_legacy(file, path)
    except ConversionError:
        raise
    except Exception as error:  # a malicious pickle can make the unpickler fail in any way
        raise ConversionError(f"not a readable .pth file ({error})", path) from error


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
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
            unpickler = _Unpickler(io.BytesIO(file.read()), path)
            return _tensors(unpickler.load(), load, path)


def _read_legacy(file: io.BufferedReader, path: Path) -> dict[str, np.ndarray]:
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
        data = file.read(numel * storage.type.itemsize)
        storages[key] = storage.type.decode(data)
    return _tensors(result, lambda storage: storages[storage.key], path)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path):
        super().__init__(file, encoding="utf-8")
        self.path = path
        start = file.tell()
        for opcode, argument, _ in pickletools.genops(file):
            # Python makes room for as many values as the number that a value is stored under.
            if opcode.name.endswith("PUT") and int(argument or 0) > _MAX_VALUES:
                raise ConversionError(f"holds more than {_MAX_VALUES} values, and is refused", path)
        file.seek(start)
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


def from_bfloat16(data: bytes) -> np.ndarray:
    """Values of 16 bits, each the upper half of a float32, as float32."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


def _tensors(
    root: Any, load: Callable[[_Storage], np.ndarray], path: Path
) -> dict[str, np.ndarray]:
    """The tensors below `root` as arrays, once their storages can be read."""
    arrays: dict[str, np.ndarray] = {}
    others = []
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    for _ in range(_MAX_VALUES):
        if not pending:
            break
        keys, value = pending.pop()
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict) and len(keys) < _MAX_DEPTH:
            pending += [((*keys, str(key)), item) for key, item in reversed(value.items())]
        elif isinstance(value, _Tensor):
            arrays[".".join(keys)] = _array(value, load)
        else:
            others.append(".".join(keys))
    else:
        raise ConversionError(f"holds more than {_MAX_VALUES} values, and is refused", path)
    if not arrays:
        raise ConversionError(f"holds no tensors, but {some([one[:99] for one in others])}", path)
    return arrays


def _array(tensor: _Tensor, load: Callable[[_Storage], np.ndarray]) -> np.ndarray:
    """A view of the tensor's storage, so that no file needs more memory than its storages.

    Raises:
        ValueError: the tensor does not lie in its storage.
    """
    data = load(tensor.storage)
    offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (last >= len(data) and 0 not in shape):
        raise ValueError(f"a tensor of shape {shape} does not lie in its storage of {len(data)}")
    if np.prod(shape, dtype=np.float64) > len(data):
        raise ValueError(f"a tensor of shape {shape} is larger than its storage of {len(data)}")
    steps = tuple(s * data.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(data[offset:], shape, steps, writeable=False)
