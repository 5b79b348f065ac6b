"""Torch7 `.t7` files in binary form, the format of the original release of AdaIN.

A file is a tree of tagged values, see
https://github.com/torch/torch7/blob/master/doc/serialization.md. Here classes are only names, so
nothing in a file can run.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.convert.errors import ConversionError

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Cuda": "<f4",
    "CudaDouble": "<f8",
    "CudaHalf": "<f2",
    "Half": "<f2",
    "Long": "<i8",
    "CudaLong": "<i8",
    "Int": "<i4",
    "CudaInt": "<i4",
    "Short": "<i2",
    "Char": "<i1",
    "Byte": "<u1",
    "CudaByte": "<u1",
}
_MAX_DEPTH = 200


@dataclass
class _Object:
    """An instance of a Lua class: its name and its fields."""

    name: str
    fields: dict[Any, Any] = field(default_factory=dict)


def read(path: Path) -> dict[str, np.ndarray]:
    """The convolutions of an `nn.Sequential`: `N.weight` (OIHW) and `N.bias`, N the module's index.

    Raises:
        ConversionError: the file is not a binary Torch7 file, holds functions, or has no network.
    """
    try:
        root = _Reader(path.read_bytes(), path).value()
        arrays = _arrays(list(_modules(root, 0)))
    except ConversionError:
        raise
    except Exception as error:  # any byte of a malicious file can be wrong
        raise ConversionError(f"not a readable binary .t7 file ({error})", path) from error
    if not arrays:
        raise ConversionError("holds no network with weights", path)
    return arrays


def _arrays(modules: list[_Object]) -> dict[str, np.ndarray]:
    arrays = {}
    for index, module in enumerate(modules):
        weight, bias = module.fields.get("weight"), module.fields.get("bias")
        if isinstance(weight, np.ndarray):
            if weight.ndim == 2:  # SpatialConvolutionMM keeps one row per filter
                planes = (int(module.fields[key]) for key in ("nInputPlane", "kH", "kW"))
                weight = weight.reshape(len(weight), *planes)
            arrays[f"{index}.weight"] = weight
        if isinstance(bias, np.ndarray):
            arrays[f"{index}.bias"] = bias
    return arrays


def _modules(value: Any, depth: int) -> Iterator[_Object]:
    """The modules of nested containers, in order of application."""
    if not isinstance(value, _Object) or depth > _MAX_DEPTH:
        return
    children = value.fields.get("modules")
    if isinstance(children, dict):
        for key in sorted(key for key in children if isinstance(key, int | float)):
            yield from _modules(children[key], depth + 1)
    else:
        yield value


class _Reader:
    def __init__(self, data: bytes, path: Path):
        self.data = data
        self.path = path
        self.position = 0
        self.known: dict[int, Any] = {}
        self.depth = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.position:
            raise ConversionError("cut short, or not a binary .t7 file", self.path)
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def int32(self) -> int:
        return int(struct.unpack("<i", self.take(4))[0])

    def int64s(self, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}q", self.take(8 * count)))

    def string(self) -> str:
        return self.take(self.int32()).decode("latin-1")

    def value(self) -> Any:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ConversionError("nested too deeply", self.path)
        try:
            return self._value(self.int32())
        finally:
            self.depth -= 1

    def _value(self, tag: int) -> Any:
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            number = struct.unpack("<d", self.take(8))[0]
            return int(number) if number.is_integer() else number
        if tag == _STRING:
            return self.string()
        if tag == _BOOLEAN:
            return self.int32() == 1
        if tag not in (_TABLE, _TORCH):
            what = "holds a function" if tag in (6, 7, 8) else "is not a binary .t7 file"
            raise ConversionError(f"{what} (type {tag} at byte {self.position - 4})", self.path)
        index = self.int32()
        if index in self.known:
            return self.known[index]
        return self._table(index) if tag == _TABLE else self._torch(index)

    def _table(self, index: int) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        self.known[index] = table
        for _ in range(self.int32()):
            key = self.value()
            value = self.value()
            if isinstance(key, str | int | float | bool):
                table[key] = value
        return table

    def _torch(self, index: int) -> Any:
        name = self.string()
        if name.startswith("V "):  # versioned: the class name follows
            name = self.string()
        family, _, kind = name.removeprefix("torch.").partition("Tensor")
        if name.startswith("torch.") and name.endswith("Tensor") and family in _DTYPES and not kind:
            self.known[index] = result = self._tensor(_DTYPES[family])
            return result
        family = name.removeprefix("torch.").removesuffix("Storage")
        if name.startswith("torch.") and name.endswith("Storage") and family in _DTYPES:
            dtype = np.dtype(_DTYPES[family])
            (count,) = self.int64s(1)
            self.known[index] = storage = np.frombuffer(self.take(count * dtype.itemsize), dtype)
            return storage
        instance = _Object(name)
        self.known[index] = instance
        fields = self.value()
        if isinstance(fields, dict):
            instance.fields = fields
        return instance

    def _tensor(self, dtype: str) -> np.ndarray:
        dimensions = self.int32()
        if not 0 <= dimensions <= 16:
            raise ConversionError(f"a tensor of {dimensions} dimensions", self.path)
        shape, strides = self.int64s(dimensions), self.int64s(dimensions)
        (offset,) = self.int64s(1)  # counted from 1
        storage = self.value()
        if storage is None or not shape:
            return np.empty(0, dtype)
        last = offset - 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if min([offset - 1, *shape, *strides]) < 0 or last >= len(storage):
            raise ConversionError("a tensor does not lie in its storage", self.path)
        if np.prod(shape, dtype=np.float64) > len(storage):
            raise ConversionError("a tensor is larger than its storage", self.path)
        # A view, so that no file needs more memory than its storages.
        return np.lib.stride_tricks.as_strided(
            storage[offset - 1 :], shape, [s * storage.itemsize for s in strides], writeable=False
        )
