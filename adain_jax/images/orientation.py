"""The EXIF orientation of pictures, found without decoding them."""

import os
import struct

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

_TAG = 0x0112
_TRANSPOSED = 5  # from this orientation on, width and height are swapped


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, if it is missing or broken."""
    try:
        from_header = isinstance(image, PngImageFile) and image.tile and not _has_late_exif(image)
        exif = Image.Image.getexif(image) if from_header else image.getexif()
        value = exif.get(_TAG, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height, in pixels, of the picture once it is upright."""
    width, height = image.size
    return (height, width) if orientation(image) >= _TRANSPOSED else (width, height)


def upright(image: Image.Image) -> Image.Image:
    """Turns and mirrors the picture as its EXIF orientation says."""
    return ImageOps.exif_transpose(image) if orientation(image) > 1 else image


def _has_late_exif(image: PngImageFile) -> bool:
    """Whether a PNG file may have EXIF after its pixels.

    As of Pillow 13, `PngImageFile.getexif` decodes every PNG to look for it, so this lists the
    chunks instead. `test_the_header_alone_tells_a_png_s_size` fails without this.
    """
    file = image.fp
    assert file is not None
    position = file.tell()
    file.seek(8)
    kinds = []
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        kinds.append(kind)
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(position)
    late = kinds[kinds.index(b"IDAT") :]
    return not {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}.isdisjoint(late)
