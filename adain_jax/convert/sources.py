"""Reads weight files of every kind as a flat {key: array}; the kind is detected by content."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.convert import caffe, torch7, torch_pickle
from adain_jax.convert.errors import ConversionError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a `.pth`, `.t7`, `.npz`, `.h5`, `.safetensors` or `.caffemodel` file.

    Raises:
        ConversionError: the file is missing, empty, unreadable, of another kind, or refused.
    """
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
        return _read_keras(path)
    if head.startswith(b"PK"):
        return _read_npz(path) if _is_npz(path) else _tensors(torch_pickle.read(path), path)
    if head.startswith(b"\x80"):
        return _tensors(torch_pickle.read(path), path)
    if path.suffix == ".t7" or head[:4] in (b"\x03\0\0\0", b"\x04\0\0\0"):  # a table or an object
        return torch7.read(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".caffemodel" or head[0] == 0x0A:  # the net's name comes first
        return caffe.read(path)
    raise ConversionError(
        "not a .pth, .t7, .npz, .h5, .safetensors or .caffemodel file by its content",
        path,
    )


def sha256(path: Path) -> str:
    """The file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensors(value: Any, path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, which may be nested in a checkpoint under a usual name."""
    for key in ("state_dict", "model", "params", "network"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    arrays = (
        {str(key): array for key, array in value.items() if isinstance(array, np.ndarray)}
        if isinstance(value, Mapping)
        else {}
    )
    if not arrays:
        raise ConversionError("holds no state dict of tensors", path)
    return arrays


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as error:
        raise ConversionError(f"not a readable .npz file ({error})", path) from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except (SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ConversionError(f"not a readable .safetensors file ({error})", path) from error


def _read_keras(path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise ConversionError(
            "Keras files need h5py; pip install 'adain-jax[keras]'",
            path,
        ) from None

    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            if item.external or item.is_virtual:
                raise ConversionError(f"{name} lies in another file, and is refused", path)
            arrays[name] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, ValueError, RuntimeError, KeyError, MemoryError, TypeError) as error:
        raise ConversionError(f"not a readable .h5 file ({error})", path) from error
    return arrays
