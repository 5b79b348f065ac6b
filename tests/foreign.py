"""Writers of other projects' weight files, written from their format descriptions alone."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

SEQUENTIAL_ENCODER = [2, 5, 9, 12, 16, 19, 22, 25, 29]
SEQUENTIAL_DECODER = [1, 5, 8, 11, 14, 18, 21, 25, 28]
TORCHVISION = [0, 2, 5, 7, 10, 12, 14, 16, 19]


def oihw(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def numbered(layers: dict, numbers: list[int], prefix: str = "") -> dict[str, np.ndarray]:
    """A PyTorch state dict with these module numbers."""
    state = {}
    for number, parts in zip(numbers, layers.values(), strict=True):
        state[f"{prefix}{number}.weight"] = oihw(parts["kernel"])
        state[f"{prefix}{number}.bias"] = parts["bias"]
    return state


# PyTorch: classes that only bear the names that a real file has.


def _stand_in(module: str, name: str) -> type:
    return type(name, (), {"__module__": module, "__qualname__": name})


class _Storage:
    def __init__(self, key: str, array: np.ndarray):
        self.key, self.array = key, array


class _Global:
    """Pickles as a reference to module.name."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class _TorchPickler(pickle._Pickler):  # the Python one lets us name what does not exist here
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _Storage):
            kind = _Global("torch", "FloatStorage")
            return ("storage", kind, obj.key, "cpu", obj.array.size)
        return None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Global):
            self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        elif isinstance(obj, np.ndarray):
            self._save_tensor(obj)
        else:
            super().save(obj, save_persistent_id)

    def _save_tensor(self, array: np.ndarray) -> None:
        strides = tuple(stride // array.itemsize for stride in array.strides)
        key = str(len(self.storages))
        storage = _Storage(key, array)
        self.storages.append(storage)
        self.save(_Global("torch._utils", "_rebuild_tensor_v2"))
        self.save((storage, 0, array.shape, strides, False, OrderedDict()))
        self.write(b"R")


def _pickle(obj: Any) -> tuple[bytes, list[_Storage]]:
    buffer = io.BytesIO()
    pickler = _TorchPickler(buffer, 2)
    pickler.storages = []
    pickler.dump(obj)
    return buffer.getvalue(), pickler.storages


def write_zip_pth(path: Path, state: Any) -> None:
    data, storages = _pickle(state)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.array.astype("<f4").tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy_pth(path: Path, state: Any) -> None:
    data, storages = _pickle(state)
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, 2)
        file.write(data)
        pickle.dump([storage.key for storage in storages], file, 2)
        for storage in storages:
            file.write(struct.pack("<q", storage.array.size))
            file.write(storage.array.astype("<f4").tobytes())


# Torch7


class T7Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.index = 0

    def int(self, value: int) -> None:
        self.out += struct.pack("<i", value)

    def string(self, text: str) -> None:
        self.int(len(text))
        self.out += text.encode()

    def write(self, value: Any) -> None:
        if isinstance(value, bool):
            self.int(5)
            self.int(value)
        elif isinstance(value, int | float):
            self.int(1)
            self.out += struct.pack("<d", value)
        elif isinstance(value, str):
            self.int(2)
            self.string(value)
        elif isinstance(value, np.ndarray):
            self.tensor(value)
        elif isinstance(value, tuple):
            self.torch(value[0])
            self.write(value[1])
        else:
            self.int(3)
            self.index += 1
            self.int(self.index)
            self.int(len(value))
            for key, item in value.items():
                self.write(key)
                self.write(item)

    def torch(self, name: str) -> None:
        self.int(4)
        self.index += 1
        self.int(self.index)
        self.string("V 1")
        self.string(name)

    def tensor(self, array: np.ndarray) -> None:
        self.torch("torch.FloatTensor")
        self.int(array.ndim)
        strides = [stride // array.itemsize for stride in array.strides]
        self.out += struct.pack(f"<{2 * array.ndim + 1}q", *array.shape, *strides, 1)
        self.torch("torch.FloatStorage")
        self.out += struct.pack("<q", array.size) + array.astype("<f4").tobytes()


def write_t7(path: Path, state: dict[str, np.ndarray], *, flat: bool = False) -> None:
    """An nn.Sequential with convolutions at the state dict's numbers, other modules between them."""
    numbers = sorted({int(key.split(".")[0]) for key in state})
    modules: dict[int, Any] = {}
    for i in range(max(numbers) + 1):
        if i in numbers:
            weight = state[f"{i}.weight"]
            fields = {"nInputPlane": weight.shape[1], "kH": weight.shape[2], "kW": weight.shape[3]}
            weight = weight.reshape(len(weight), -1) if flat else weight
            name = "nn.SpatialConvolutionMM" if flat else "nn.SpatialConvolution"
            modules[i + 1] = (name, {**fields, "weight": weight, "bias": state[f"{i}.bias"]})
        else:
            modules[i + 1] = ("nn.SpatialReflectionPadding", {"pad_l": 1, "train": False})
    writer = T7Writer()
    writer.write(
        ("nn.Sequential", {"modules": modules, "train": False, "_type": "torch.FloatTensor"})
    )
    path.write_bytes(bytes(writer.out))


# Caffe


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def write_caffemodel(path: Path, layers: dict, *, version: int) -> None:
    """NetParameter with V1 (`layers`, legacy shapes) or V2 (`layer`) messages."""
    net = _field(1, b"VGG")
    for name, parts in layers.items():
        blobs = b""
        for array in (oihw(parts["kernel"]), parts["bias"]):
            data = _field(5, array.astype("<f4").tobytes())
            if version == 1:
                shape = (1,) * (4 - array.ndim) + array.shape
                dims = b"".join(
                    _varint(i << 3) + _varint(side) for i, side in enumerate(shape, start=1)
                )
            else:
                dims = _field(7, _field(1, b"".join(map(_varint, array.shape))))
            blobs += _field(6 if version == 1 else 7, dims + data)
        layer = _field(4 if version == 1 else 1, name.encode()) + blobs
        net += _field(2 if version == 1 else 100, layer)
    path.write_bytes(net)
