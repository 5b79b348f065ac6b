"""Large pictures are read and written in strips of rows, so that none is in memory as a whole.

libvips decodes plain TIFF and PNG files into a temporary file that an array maps, and encodes
results that are such arrays. It comes with the extra `large`; without it, and for all other files,
Pillow does the work.
"""

import mmap
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import DTypeLike

from adain_jax.images.errors import NoRoomError

if TYPE_CHECKING:
    from PIL import Image

Pixels = UInt8[np.ndarray, "h w 3"]

MIN_PIXELS = 1 << 26  # smaller pictures are faster in memory
STRIP_ROWS = 16  # more are no faster

# Compressions for which all decoders give the same pixels, unlike JPEG in TIFF.
_LOSSLESS = (None, "raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate")


def can_read(image: "Image.Image") -> bool:
    """Whether an undecoded upright picture is large, and `read` gives the same pixels as Pillow.

    That is so for TIFF and PNG files with more than `MIN_PIXELS` pixels, in 8-bit RGB or grayscale,
    without transparency or a color profile, if libvips is installed.
    """
    return (
        image.width * image.height > MIN_PIXELS
        and image.format in ("TIFF", "PNG")
        and image.mode in ("RGB", "L")
        and {_stored_mode(tile) for tile in image.tile} == {image.mode}  # type: ignore[attr-defined]
        and image.info.get("compression") in _LOSSLESS
        and not image.has_transparency_data
        and "icc_profile" not in image.info
        and _vips() is not None
    )


def read(path: str | Path, image: "Image.Image") -> Pixels:
    """Reads a picture for which `can_read` is true, as uint8 (h, w, 3), RGB in 0..255.

    The array maps a temporary file, which is deleted together with the array.

    Raises:
        NoRoomError: the temporary folder is full.
        ValueError: the pixels are not what the header says.
        pyvips.Error: the file is damaged.
    """
    vips = _vips()
    # Named explicitly, so that no other of libvips' many loaders ever sees the file.
    load = vips.Image.pngload if image.format == "PNG" else vips.Image.tiffload
    pixels = _memory_mapped((image.height, image.width, 3), np.uint8)
    source = load(os.fsencode(path), access="sequential", fail_on="error", revalidate=True)
    kind = source.width, source.height, source.bands, source.format
    if kind != (*image.size, len(image.getbands()), "uchar"):
        raise ValueError("the pixels are not what the header says")
    region = vips.Region.new(source)
    for top in range(0, image.height, STRIP_ROWS):
        rows = min(STRIP_ROWS, image.height - top)
        strip = np.frombuffer(region.fetch(0, top, image.width, rows), np.uint8)
        pixels[top : top + rows] = strip.reshape(rows, image.width, -1)  # gray goes to all three
    return pixels


def empty_like(array: np.ndarray) -> np.ndarray:
    """An uninitialized array like `array`; it maps a temporary file if `array` maps a file.

    Raises:
        NoRoomError: the temporary folder is full.
    """
    return _memory_mapped(array.shape, array.dtype) if _is_mapped(array) else np.empty_like(array)


def can_write(picture: np.ndarray, format_: str) -> bool:
    """Whether `write` takes this picture: uint8 (h, w, 3) mapping a file, as TIFF or PNG."""
    return (
        format_ in ("TIFF", "PNG")
        and _is_mapped(picture)
        and picture.flags.c_contiguous
        and picture.dtype == np.uint8
        and picture.shape[2:] == (3,)
        and _vips() is not None
    )


def write(picture: Pixels, path: Path, format_: str) -> None:
    """Writes a picture for which `can_write` is true.

    Args:
        picture: uint8 (h, w, 3), RGB in 0..255.
        path: the file to write.
        format_: "TIFF" or "PNG".

    Raises:
        OSError: the file cannot be written.
    """
    vips = _vips()
    height, width = picture.shape[:2]
    try:
        image = vips.Image.new_from_memory(picture, width, height, 3, "uchar")
        dots_per_mm = 72 / 25.4  # libvips' default, 25 dpi, makes prints huge
        image = image.copy(interpretation="srgb", xres=dots_per_mm, yres=dots_per_mm)
        if format_ == "PNG":
            image.pngsave(os.fsencode(path), filter="all", keep="none")
        else:
            bigtiff = picture.nbytes > 4_000_000_000
            image.tiffsave(os.fsencode(path), bigtiff=bigtiff, keep="none")
    except vips.Error as error:
        raise OSError(str(error)) from error


def _stored_mode(tile: Any) -> str:
    """Pillow's name for the pixels as stored: the image's mode, unless they need converting."""
    return tile.args if isinstance(tile.args, str) else tile.args[0]


def _memory_mapped(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile() as file:  # it has no name, so nothing is left behind
            if sys.platform == "linux":
                # Reserve the blocks: if the disk filled up later, a bus error would kill the
                # process.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        folder = tempfile.tempdir or "any temporary folder"
        raise NoRoomError(
            f"no room for {size / 1e6:.0f} MB of pixels in {folder} ({error.strerror}); "
            f"TMPDIR names another"
        ) from error


def _is_mapped(array: Any) -> bool:
    """Whether an array's memory is that of a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@lru_cache(maxsize=1)
def _vips() -> Any:
    """The module pyvips; None if it or libvips is not installed."""
    try:
        import pyvips
    except (ImportError, OSError):
        return None
    return pyvips
