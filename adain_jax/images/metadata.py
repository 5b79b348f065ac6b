"""Picture files without their metadata, for where Pillow stumbles over those.

Texts, comments, thumbnails, resolutions and profiles are often damaged or odd. Pillow then refuses
the whole picture, though it could do without them.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_START_OF_SCAN = 0xDA

# The segments of a JPEG that say how its pixels are meant: how they begin, and their least length.
_NEEDED_SEGMENTS = {
    0xE0: ((b"JFIF\0", 14),),
    0xE1: ((b"Exif\0\0", 14),),  # the orientation; what else it holds is never looked at
    0xE2: ((b"ICC_PROFILE\0", 15),),
    0xEE: ((b"Adobe", 12),),
}


def without_metadata(file: str | Path | BinaryIO) -> BinaryIO | None:
    """The same picture with nothing but its pixels, colors, transparency and orientation.

    Args:
        file: a path, or an open file.

    Returns:
        A PNG, JPEG, WebP, AVIF or JPEG 2000 file in memory. None for other files, and for those that
        are damaged as a whole.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(file, str | Path):
        data = Path(file).read_bytes()
    else:
        file.seek(0)
        data = file.read()
    try:
        if data.startswith(_PNG):
            return io.BytesIO(_PNG + b"".join(_png_chunks(data)))
        if data.startswith(_JPEG):
            return io.BytesIO(b"\xff\xd8" + b"".join(_jpeg_segments(data)))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            chunks = b"WEBP" + b"".join(_webp_chunks(data))
            return io.BytesIO(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
        if data[4:8] == b"jP  ":
            # The pixels alone, unless they are numbers of a palette.
            boxes, mark, pixels = data.partition(b"jp2c")
            return io.BytesIO(pixels) if mark and b"pclr" not in boxes else None
        if data[4:8] == b"ftyp":
            # An item of an unknown type is passed over. The pixels lie behind these boxes.
            boxes, mark, pixels = data.partition(b"mdat")
            boxes = re.sub(rb"(infe.{8})Exif", rb"\1skip", boxes, flags=re.DOTALL)
            return io.BytesIO(boxes + mark + pixels)
    except (struct.error, IndexError):
        return None
    return None


def _png_chunks(data: bytes) -> Iterator[bytes]:
    needed = {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"IDAT", b"IEND"}
    position = len(_PNG)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunk = data[position : position + 12 + length]
        position += len(chunk)
        if kind == b"IDAT":
            needed -= {b"tRNS", b"iCCP"}  # these have their place before the pixels
        critical = kind[:1].isupper()  # damage to these is damage to the picture
        intact = zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]
        if kind in needed and (critical or intact) and (kind != b"iCCP" or _is_profile(chunk)):
            yield chunk


def _is_profile(chunk: bytes) -> bool:
    """Whether an iCCP chunk holds compressed data: a name, two zeros, and what zlib can read."""
    _, method, compressed = chunk[8:-4].partition(b"\0\0")
    try:
        zlib.decompressobj().decompress(compressed, 1)
    except zlib.error:
        return False
    return bool(method)


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    position = 2
    while data[position + 1] != _START_OF_SCAN:
        marker, length = struct.unpack_from(">xBH", data, position)
        segment = data[position : position + 2 + length]
        position += len(segment)
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or any(
            segment[4:].startswith(start) and length - 2 >= least
            for start, least in _NEEDED_SEGMENTS.get(marker, ())
        ):
            yield segment
    yield data[position:]


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    needed = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF"}
    position = 12
    while position + 8 < len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        chunk = data[position : position + 8 + length + length % 2]
        position += 8 + length + length % 2
        if kind in needed and (position <= len(data) or kind not in (b"ICCP", b"EXIF")):
            yield chunk
