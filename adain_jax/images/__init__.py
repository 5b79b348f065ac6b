"""Reading and writing pictures, streaming large ones, and contact sheets."""

from adain_jax.images.color_modes import on_white
from adain_jax.images.dtypes import Picture, Pixels
from adain_jax.images.errors import (
    NoRoomError,
    PictureError,
    PictureWarning,
    TooManyPixelsError,
)
from adain_jax.images.folders import find_pictures
from adain_jax.images.formats import SUFFIXES, writable_format
from adain_jax.images.pillow_settings import reading_settings
from adain_jax.images.reading import (
    MAX_PIXELS,
    convert_image,
    load_image,
    open_image,
    picture_size,
    read_mask,
    read_picture,
    read_pixels,
    resized,
    to_mask,
)
from adain_jax.images.writing import encode_picture, save_picture

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "NoRoomError",
    "Picture",
    "PictureError",
    "PictureWarning",
    "Pixels",
    "TooManyPixelsError",
    "convert_image",
    "encode_picture",
    "find_pictures",
    "load_image",
    "on_white",
    "open_image",
    "picture_size",
    "read_mask",
    "read_picture",
    "read_pixels",
    "reading_settings",
    "resized",
    "save_picture",
    "to_mask",
    "writable_format",
]
