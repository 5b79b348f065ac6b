"""Which page of a TIFF file is its picture.

TIFF files may hold several: scans of many pages, one picture in several sizes, and raw photographs,
whose first page is often a small preview of what only a raw developer can read.
"""

import struct
from contextlib import suppress
from typing import BinaryIO, cast

from PIL.TiffImagePlugin import TiffImageFile

from adain_jax.images.errors import PictureError

# Tags, the types of their values (as struct calls them), and values.
_KIND, _PHOTOMETRIC, _SUBDIRECTORIES = 254, 262, 330
_TYPES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_PREVIEW, _MASK = 1, 4  # bits of _KIND
_SENSOR = (32803, 34892)  # of _PHOTOMETRIC: a color filter array, and linear raw

_MOST_PAGES = 1000  # of one file that are looked at, and as many subdirectories; hostile files loop
_MOST_ENTRIES = 1000  # of one page

Directory = dict[int, tuple[int, ...]]


def choose_page(image: TiffImageFile) -> int:
    """Turns an undecoded image to the first page of its file that is no preview.

    Returns:
        How many such pages there are.

    Raises:
        PictureError: all that can be read is a preview. It does not name the file.
    """
    pages, subdirectories = _directories(image)
    size = f"{image.width} x {image.height}"
    if any(page.get(_PHOTOMETRIC, (0,))[0] in _SENSOR for page in pages + subdirectories):
        raise PictureError(
            f"a raw photograph, of which only a preview of {size} pixels could be read; "
            "develop it to a JPEG, PNG or TIFF file"
        )
    full = [
        number
        for number, page in enumerate(pages)
        if not page.get(_KIND, (0,))[0] & (_PREVIEW | _MASK)
    ]
    if not full:
        raise PictureError(
            f"only a preview of {size} pixels could be read; save it as a plain TIFF, JPEG or PNG"
        )
    if full[0]:
        image.seek(full[0])
    return len(full)


def _directories(image: TiffImageFile) -> tuple[list[Directory], list[Directory]]:
    """What the pages of a file and the subdirectories of these say about themselves, if anything.

    Of each page no more is read than is needed here, unlike Pillow does it.
    """
    file = cast(BinaryIO, image.fp)
    position = file.tell()
    pages: dict[int, Directory] = {}  # by where they are
    subdirectories: list[Directory] = []
    file.seek(0)
    start = file.read(16)
    order = "<" if start[:1] == b"I" else ">"
    big = start[2:4] in (b"\x2b\0", b"\0\x2b")
    (offset,) = struct.unpack_from(order + ("8xQ" if big else "4xI"), start)
    with suppress(struct.error, OSError, OverflowError):  # damage there is no damage to the picture
        while offset and offset not in pages and len(pages) < _MOST_PAGES:
            page, following = _directory(file, offset, order, big)
            pages[offset], offset = page, following
    with suppress(struct.error, OSError, OverflowError):
        for page in pages.values():
            for offset in page.get(_SUBDIRECTORIES, ())[: _MOST_PAGES - len(subdirectories)]:
                subdirectories.append(_directory(file, offset, order, big)[0])
    file.seek(position)
    return list(pages.values()) or [{}], subdirectories


def _directory(file: BinaryIO, offset: int, order: str, big: bool) -> tuple[Directory, int]:
    """The numbers of a page's tags that matter here, and where the next page is, or 0."""
    count_type, entry_type, word = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    file.seek(offset)
    (count,) = _unpack(file, order + count_type)
    entries = [_unpack(file, order + entry_type) for _ in range(min(count, _MOST_ENTRIES))]
    (following,) = _unpack(file, order + word) if count <= _MOST_ENTRIES else (0,)
    values = {}
    for tag, type_, number, field in entries:
        if tag in (_KIND, _PHOTOMETRIC, _SUBDIRECTORIES) and type_ in _TYPES and number:
            layout = f"{order}{min(number, _MOST_PAGES)}{_TYPES[type_]}"
            if struct.calcsize(layout) <= len(field):
                values[tag] = struct.unpack_from(layout, field)
            else:
                file.seek(*struct.unpack(order + word, field))
                values[tag] = _unpack(file, layout)
    return values, following


def _unpack(file: BinaryIO, layout: str) -> tuple:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
