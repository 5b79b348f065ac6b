"""The picture formats that are read and written, and how they are encoded."""

from pathlib import Path
from typing import Any

from PIL import Image

from adain_jax.images.errors import PictureError

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "jp2", "png", "webp", "avif", "gif"),
        *("bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "tga"),
    )
)

# Raster formats that are decoded by a library in this process. EPS, which runs a program, is not.
READABLE = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")
OPAQUE = ("JPEG", "PPM", "BMP")  # written without an alpha channel


def writable_format(path: Path) -> str:
    """Pillow's name for the format that a path's suffix asks for.

    Raises:
        PictureError: no such format can be written.
    """
    format_ = Image.registered_extensions().get(path.suffix.lower(), "")
    if path.suffix.lower() not in SUFFIXES or format_ not in Image.SAVE:
        what = path.suffix or "files without suffix"
        raise PictureError(f"cannot write {what}; use .png", path)
    return format_


def encoder_options(format_: str, quality: int) -> dict[str, Any]:
    """Pillow's options for writing a format; lossless formats have no quality."""
    if format_ == "JPEG":
        return {"quality": quality, "subsampling": 0}
    return {"quality": quality} if format_ in ("WEBP", "AVIF") else {}
