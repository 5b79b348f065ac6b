"""Large pictures by strips: memory never holds one whole.

libvips decodes plain TIFF and PNG files into a temporary file that an array maps, and encodes results
that lie in such files. It is the extra `large`; without it, and for all else, Pillow does the work.
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

if TYPE_CHECKING:
    from PIL import Image

Pixels = UInt8[np.ndarray, "h w 3"]

LARGE = 1 << 26  # pixels; smaller pictures are faster in memory
ROWS = 16  # of a strip; more are no faster

# Ways to store pixels that leave nothing to the decoder's judgement; JPEG in TIFF does.
_EXACT = (None, "raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate")


class NoRoomError(OSError):
    """The temporary folder has no room for a picture; the message names it."""


def readable(image: "Image.Image") -> bool:
    """Whether `read` would give an undecoded upright picture exactly as Pillow does, and is worth it.

    That is a large TIFF or PNG, RGB or greyscale of 8 bits, without transparency and colour profile.
    """
    return (
        image.width * image.height > LARGE
        and image.format in ("TIFF", "PNG")
        and image.mode in ("RGB", "L")
        and {_stored_mode(tile) for tile in image.tile} == {image.mode}  # type: ignore[attr-defined]
        and image.info.get("compression") in _EXACT
        and not image.has_transparency_data
        and "icc_profile" not in image.info
        and _vips() is not None
    )


def read(path: str | Path, image: "Image.Image") -> Pixels:
    """The pixels of a file whose header is `readable`; their temporary file goes with the array.

    Raises:
        NoRoomError: the temporary folder is full.
        ValueError: its pixels are not what the header says.
        pyvips.Error: the file is damaged.
    """
    vips = _vips()
    # By name, so that no other of libvips' many loaders ever sees the file.
    load = vips.Image.pngload if image.format == "PNG" else vips.Image.tiffload
    pixels = _mapped((image.height, image.width, 3), np.uint8)
    source = load(os.fsencode(path), access="sequential", fail_on="error", revalidate=True)
    kind = source.width, source.height, source.bands, source.format
    if kind != (*image.size, len(image.getbands()), "uchar"):
        raise ValueError("its pixels are not what its header says")
    region = vips.Region.new(source)
    for top in range(0, image.height, ROWS):
        rows = min(ROWS, image.height - top)
        strip = np.frombuffer(region.fetch(0, top, image.width, rows), np.uint8)
        pixels[top : top + rows] = strip.reshape(rows, image.width, -1)  # grey to all three
    return pixels


def empty_like(array: np.ndarray) -> np.ndarray:
    """An array like this one: if it lies in a file, in a temporary file of its own.

    Raises:
        NoRoomError: the temporary folder is full.
    """
    return _mapped(array.shape, array.dtype) if _in_file(array) else np.empty_like(array)


def writable(picture: np.ndarray, format_: str) -> bool:
    """Whether `write` is for such a picture: uint8 (h, w, 3) in a file, to be a TIFF or PNG."""
    return (
        format_ in ("TIFF", "PNG")
        and _in_file(picture)
        and picture.flags.c_contiguous
        and picture.dtype == np.uint8
        and picture.shape[2:] == (3,)
        and _vips() is not None
    )


def write(picture: Pixels, path: Path, format_: str) -> None:
    """Writes a picture that is `writable`.

    Raises:
        OSError: it cannot be written.
    """
    vips = _vips()
    height, width = picture.shape[:2]
    try:
        image = vips.Image.new_from_memory(picture, width, height, 3, "uchar")
        dots_per_mm = 72 / 25.4  # libvips states some; its default of 25 dpi is tiny
        image = image.copy(interpretation="srgb", xres=dots_per_mm, yres=dots_per_mm)
        if format_ == "PNG":
            image.pngsave(os.fsencode(path), filter="all", keep="none")
        else:
            bigtiff = picture.nbytes > 4_000_000_000
            image.tiffsave(os.fsencode(path), bigtiff=bigtiff, keep="none")
    except vips.Error as error:
        raise OSError(str(error)) from error


def _stored_mode(tile: Any) -> str:
    """How Pillow calls the pixels as they are stored: as the mode, unless they need converting."""
    return tile.args if isinstance(tile.args, str) else tile.args[0]


def _mapped(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile() as file:  # has no name, so nothing stays behind
            if sys.platform == "linux":
                # Without its blocks, a disk that fills up later would be a fatal bus error.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        folder = tempfile.tempdir or "any temporary folder"
        raise NoRoomError(
            f"no room for {size / 1e6:.0f} MB of pixels in {folder} ({error.strerror}); "
            f"TMPDIR names another"
        ) from error


def _in_file(array: Any) -> bool:
    """Whether an array's memory is a mapped file's."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@lru_cache(maxsize=1)
def _vips() -> Any:
    """The module pyvips; None where it or its library is not installed."""
    try:
        import pyvips
    except (ImportError, OSError):
        return None
    return pyvips
