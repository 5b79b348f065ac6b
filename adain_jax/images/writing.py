"""Writing pictures, whole or not at all."""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from adain_jax.files import atomic_path
from adain_jax.images import streaming
from adain_jax.images.color_modes import on_white
from adain_jax.images.dtypes import LARGEST_FLOAT, Picture, Pixels, to_uint8
from adain_jax.images.errors import PictureError
from adain_jax.images.formats import OPAQUE, check_size, encoder_options, writable_format


def save_picture(picture: Picture | Pixels, path: str | Path, *, quality: int = 95) -> None:
    """Writes a picture (h, w, 3) or (h, w, 4), atomically.

    Args:
        picture: uint8, or float in [0, 1], which is clipped and rounded to 8 bits.
        path: the suffix chooses the format. In formats without transparency, it is laid on white.
        quality: quality of JPEG, WebP and AVIF files, 1 to 100.

    Raises:
        PictureError: the suffix is unknown, the picture is larger than the format allows, or the file
            cannot be written.
        ValueError: floats are far above 1.
    """
    path = Path(path)
    format_ = writable_format(path)
    pixels = _to_uint8(picture)
    check_size(format_, (pixels.shape[0], pixels.shape[1]), path)
    try:
        with atomic_path(path) as temporary:
            if streaming.can_write(pixels, format_):
                streaming.write(pixels, temporary, format_)
            else:
                _save(pixels, temporary, format_, quality)
    except Exception as error:  # encoders fail in their own ways
        reason = isinstance(error, OSError) and error.strerror
        reason = reason or " ".join(str(error).split())
        raise PictureError(f"cannot be written ({reason})", path) from error


def encode_picture(picture: Picture | Pixels, format_: str, *, quality: int = 95) -> bytes:
    """The bytes of the file that `save_picture` would write.

    Args:
        picture: (h, w, 3) or (h, w, 4), uint8, or float in [0, 1], which is clipped and rounded.
        format_: Pillow's name of the format, as from `writable_format`.
        quality: quality of JPEG, WebP and AVIF files, 1 to 100.

    Raises:
        KeyError: Pillow cannot write such a format.
        OSError, ValueError: the picture cannot be encoded, or floats are far above 1.
    """
    file = io.BytesIO()
    _save(_to_uint8(picture), file, format_, quality)
    return file.getvalue()


def _to_uint8(picture: Picture | Pixels) -> Pixels:
    if picture.dtype != np.uint8 and picture.max(initial=0) > LARGEST_FLOAT:
        raise ValueError(
            f"a picture's floats must lie in [0, 1], not reach {picture.max():.4g}: divide what lies "
            "in 0..255 by 255, or give uint8"
        )
    return to_uint8(picture)


def _save(pixels: Pixels, file: Path | BinaryIO, format_: str, quality: int) -> None:
    image = Image.fromarray(pixels)
    if image.mode == "RGBA" and format_ in OPAQUE:
        image = on_white(image)
    image.save(file, format_, **encoder_options(format_, quality))
