"""The picture formats that are read and written, and how they are encoded."""

import re
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from adain_jax.images.errors import PictureError

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "jp2", "png", "webp", "avif", "gif"),
        *("bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "tga"),
    )
)

# Files that people take for pictures like others, and that cannot be read.
PHOTOGRAPHS = frozenset(
    f".{suffix}"
    for suffix in (
        *("heic", "heif", "hif", "avci", "jxl", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2"),
        *("raf", "pef", "srw"),
    )
)

# Raster formats that are decoded by a library in this process. EPS, which runs a program, is not.
READABLE = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")

# What else files begin with that are taken for pictures, and what they are.
_OTHERS = {
    rb"....ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)": "a HEIC picture",
    rb"....ftypcrx |FUJIFILMCCD-RAW|II(RO|U\0)|II\*\0....CR": "a raw photograph",
    rb"....ftyp": "a video",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture",
    rb"8BPS": "a Photoshop file",
    rb"\x76\x2f\x31\x01|#\?RADIANCE": "a picture of high dynamic range",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript drawing",
    rb"%PDF": "a PDF document",
    rb"\s*<(!DOCTYPE html|html)": "a web page",
    rb"\s*<(\?xml|svg)": "an SVG drawing or other XML",
    rb"version https://git-lfs": "a pointer of Git LFS, whose file is not here",
}
_LONGEST_SIDES = {
    **{"WEBP": 16383, "AVIF": 32768, "JPEG": 65500, "MPO": 65500},
    **{"GIF": 65535, "TGA": 65535},
}
_UNCOMPRESSED = ("BMP", "PPM", "TGA", "TIFF")
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


def check_size(format_: str, size: tuple[int, int], name: str | Path) -> None:
    """Checks that a format can hold a picture of a size (height, width).

    Raises:
        PictureError: it cannot. The error calls the picture `name`.
    """
    longest = _LONGEST_SIDES.get(format_)
    if longest and max(size) > longest:
        raise PictureError(
            f"{size[1]} x {size[0]} pixels cannot be written as {format_}, which has at most {longest} "
            "on a side; write it as PNG or TIFF",
            name,
        )


def least_bytes(format_: str, size: tuple[int, int]) -> int:
    """How many bytes a file with a picture (height, width) takes at least."""
    return 3 * size[0] * size[1] if format_ in _UNCOMPRESSED else 1


def encoder_options(format_: str, quality: int) -> dict[str, Any]:
    """Pillow's options for writing a format; lossless formats have no quality."""
    if format_ == "JPEG":
        return {"quality": quality, "subsampling": 0}
    return {"quality": quality} if format_ in ("WEBP", "AVIF") else {}


def what_is_wrong(file: str | Path | BinaryIO) -> str:
    """Why Pillow does not open a file, in words.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(file, str | Path):
        with Path(file).open("rb") as opened:
            return what_is_wrong(opened)
    file.seek(0)
    start = file.read(64)
    if not start:
        return "the file is empty"
    for pattern, name in _OTHERS.items():
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return f"not a picture that can be read, but {name}; convert it to JPEG or PNG"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return (
            "not a picture that can be read, but a damaged or unusual TIFF; save it with 8 or 16 bits "
            "per channel"
        )
    return "not a picture that can be read"
