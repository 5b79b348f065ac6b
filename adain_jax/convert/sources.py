"""Reads weight files of every kind as a flat {key: array}; the kind is detected by content."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.convert import caffe, torch7, torch_pickle
from adain_jax.convert.errors import ConversionError, printable

_MAX_BYTES = (
    2 << 30
)  # far above VGG19 with its classifier, far below what a few bytes can stand for
_MAX_ARRAYS = 5000
_LONGEST_KEY = 200
_KERAS_WEIGHTS = "model.weights.h5"  # in the zip file that Keras 3 calls .keras
_SAFETENSORS: dict[str, Callable[[bytes], np.ndarray]] = {
    **{
        name: partial(np.frombuffer, dtype=f"<f{int(name[1:]) // 8}")
        for name in ("F16", "F32", "F64")
    },
    "BF16": torch_pickle.from_bfloat16,
}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a `.pth`, `.t7`, `.npz`, `.h5`, `.keras`, `.safetensors` or `.caffemodel` file.

    Raises:
        ConversionError: the file is missing, empty, unreadable, of another kind, or refused.
    """
    arrays: dict[str, np.ndarray] = {}
    found = _read(path)
    if len(found) > _MAX_ARRAYS:
        raise ConversionError(
            f"holds {len(found)} arrays, more than any checkpoint of a VGG19", path
        )
    for key, array in found.items():
        key = printable(key)[:_LONGEST_KEY]  # errors and tables show it
        if key in arrays:
            raise ConversionError(f"holds {key} twice", path)
        arrays[key] = array
    return arrays


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise ConversionError("no such file", path) from None
    except OSError as error:
        raise ConversionError(error.strerror or str(error), path) from error
    if not head:
        raise ConversionError("the file is empty", path)
    if head[8:9] == b"{":  # safetensors: a length, then a JSON header
        return _read_safetensors(path)
    if head.startswith(_HDF5_MAGIC):
        return _read_hdf5(path, path)
    if head.startswith(b"PK"):
        return _read_zip(path)
    if head.startswith(b"\x80"):
        return torch_pickle.read(path)
    if path.suffix == ".t7" or head[:4] in (b"\x03\0\0\0", b"\x04\0\0\0"):  # a table or an object
        return torch7.read(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".caffemodel" or head[0] == 0x0A:  # the net's name comes first
        return caffe.read(path)
    raise ConversionError(
        "not a .pth, .t7, .npz, .h5, .keras, .safetensors or .caffemodel file by its content",
        path,
    )


def sha256(path: Path) -> str:
    """The file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    """NumPy, Keras 3 and PyTorch all keep their arrays in zip files."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if sum(sizes.values()) > _MAX_BYTES:
                raise ConversionError(
                    f"unpacks to more than {_MAX_BYTES >> 30} GiB, and is refused", path
                )
            if _KERAS_WEIGHTS in sizes:
                return _read_hdf5(io.BytesIO(archive.read(_KERAS_WEIGHTS)), path)
        if sizes and all(name.endswith(".npy") for name in sizes):
            with np.load(path, allow_pickle=False) as arrays:
                # What has not the head of an array comes as bytes.
                return {key: value for key, value in arrays.items() if hasattr(value, "shape")}
    except ConversionError:
        raise
    except Exception as error:  # zip files have many ways to be damaged
        raise ConversionError(f"not a readable zip file ({error})", path) from error
    return torch_pickle.read(path)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, deserialize

    try:
        return {
            name: _SAFETENSORS[view["dtype"]](view["data"]).reshape(view["shape"])
            for name, view in deserialize(path.read_bytes())
            if view["dtype"] in _SAFETENSORS
        }
    except (SafetensorError, ValueError, KeyError) as error:
        raise ConversionError(f"not a readable .safetensors file ({error})", path) from error


def _read_hdf5(file: Path | io.BytesIO, path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise ConversionError(
            "Keras files need h5py; pip install 'adain-jax[keras]'",
            path,
        ) from None

    arrays: dict[str, np.ndarray] = {}
    room = _MAX_BYTES

    def visit(name: str, item: Any) -> None:
        nonlocal room
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            if item.external or item.is_virtual:
                raise ConversionError(f"{name} lies in another file, and is refused", path)
            room -= item.nbytes  # a few bytes can say that they are a huge array
            if room < 0:
                raise ConversionError(
                    f"unpacks to more than {_MAX_BYTES >> 30} GiB, and is refused", path
                )
            # h5py gives names that are not UTF-8 as bytes.
            arrays[name if isinstance(name, str) else name.decode("latin-1")] = item[()]

    try:
        with h5py.File(file, "r") as group:
            group.visititems(visit)
    except (OSError, ValueError, RuntimeError, KeyError, MemoryError, TypeError) as error:
        raise ConversionError(f"not a readable .h5 file ({error})", path) from error
    if not arrays:
        raise ConversionError("holds no arrays of numbers", path)
    return arrays
