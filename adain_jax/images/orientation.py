"""How pictures are to be turned, found without decoding them."""

import os
import struct

from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

_TAG = 0x0112
_TRANSPOSED = 5  # from this orientation on, width and height are swapped
_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """How an undecoded image is still to be turned, as EXIF counts: 1 to 8.

    It is 1, upright, if nothing or nothing sensible is said, and if decoding turns the image: Pillow
    turns TIFF files itself, and gives their size as turned. In AVIF files, only the container's own
    turning counts, which Pillow puts in place of what EXIF says.
    """
    if isinstance(image, TiffImageFile) or (image.format == "AVIF" and "exif" not in image.info):
        return 1
    try:
        if isinstance(image, PngImageFile):
            _find_late_exif(image)
        # Not a format's own method: that of PNG decodes the picture first, to find late EXIF.
        value = Image.Image.getexif(image).get(_TAG, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def is_stored_upright(image: Image.Image) -> bool:
    """Whether an undecoded image's pixels are stored as they are to be seen."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2.get(_TAG) not in _METHODS
    return orientation(image) == 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height, in pixels, of an undecoded image once it is upright."""
    width, height = image.size
    return (height, width) if orientation(image) >= _TRANSPOSED else (width, height)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turns and mirrors the image as its `orientation` says, which it had before it was decoded.

    Unlike `ImageOps.exif_transpose`, this does not write its EXIF block anew, which fails where one
    of its other entries is odd.
    """
    return image.transpose(_METHODS[orientation]) if orientation > 1 else image


def _find_late_exif(image: PngImageFile) -> None:
    """Notes the EXIF block that a PNG file may have behind its pixels, as Pillow notes early ones."""
    file = image.fp
    if "exif" in image.info or not file or not image.tile:
        return
    position = file.tell()
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            image.info["exif"] = file.read(length)
            break
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(position)
