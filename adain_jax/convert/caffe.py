"""Caffe `.caffemodel` files: the few fields of the NetParameter message that hold weights.

They are read directly from protobuf's wire format
(https://protobuf.dev/programming-guides/encoding/), with the field numbers of caffe.proto, so that
neither Caffe nor a compiled schema is needed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adain_jax.convert.errors import ConversionError

# NetParameter: layers (V1) = 2, layer = 100.  Layer: name, blobs.  BlobProto: shape and data.
_LAYER_FIELDS = {2: (4, 6), 100: (1, 7)}
_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8

Fields = Iterator[tuple[int, int | memoryview]]


def read(path: Path) -> dict[str, np.ndarray]:
    """Every layer's blobs: `NAME.weight` (OIHW) and `NAME.bias`.

    Raises:
        ConversionError: the file is not a Caffe model, or holds no weights.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        for number, message in _fields(memoryview(path.read_bytes())):
            if number in _LAYER_FIELDS and isinstance(message, memoryview):
                name, blobs = _layer(message, *_LAYER_FIELDS[number])
                for part, blob in zip(("weight", "bias"), blobs, strict=False):
                    arrays[f"{name}.{part}"] = blob.reshape(-1) if part == "bias" else blob
    except (ValueError, IndexError) as error:
        raise ConversionError(f"not a readable .caffemodel ({error})", path) from error
    if not arrays:
        raise ConversionError("not a .caffemodel with weights", path)
    return arrays


def _layer(message: memoryview, name_field: int, blobs_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in _fields(message):
        if isinstance(value, memoryview):
            if number == name_field:
                name = bytes(value).decode("utf-8")
            elif number == blobs_field:
                blobs.append(_blob(value))
    return name, blobs


def _blob(message: memoryview) -> np.ndarray:
    shape: list[int] = []
    legacy = dict.fromkeys(_LEGACY_SHAPE, 1)
    data: list[np.ndarray] = []
    for number, value in _fields(message):
        if number in legacy and isinstance(value, int):
            legacy[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            for _, dimensions in _fields(value):
                packed = isinstance(dimensions, memoryview)
                shape += list(_varints(dimensions)) if packed else [dimensions]  # type: ignore
        elif number in (_DATA, _DOUBLE_DATA) and isinstance(value, memoryview):
            data.append(np.frombuffer(value, "<f4" if number == _DATA else "<f8"))
    values = np.concatenate(data) if data else np.empty(0, np.float32)
    return values.reshape(shape or list(legacy.values()))


def _fields(message: memoryview) -> Fields:
    """Field numbers and values; fixed-width values come as bytes, and groups are not supported."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if length > len(message) - position:
            raise ValueError("it is cut short")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is too long")


def _varints(message: memoryview) -> Iterator[int]:
    position = 0
    while position < len(message):
        value, position = _varint(message, position)
        yield value
