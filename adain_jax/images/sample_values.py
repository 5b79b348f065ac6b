"""Grayscale that is not of 8 bits, where it may be unclear what is black and what is white."""

from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from adain_jax.images.errors import PictureError

MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")

_SIGNED = 2  # of the tag SampleFormat
_WHITE_IS_ZERO = 0  # of the tag PhotometricInterpretation
_NEARLY_BLACK = 1 / 16


def to_8_bit(image: Image.Image) -> Image.Image:
    """Converts decoded grayscale, in one of `MODES`, to mode L.

    Integers have as many bits as a TIFF file declares, and otherwise 16, also where they are stored in
    more. Floats lie in [0, 1] or in [0, 255]; up to a quarter more at either end is cut off. Missing
    values (NaN) are black.

    Raises:
        PictureError: the values lie elsewhere. It does not name the file.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float32), nan=0)
    low, high = values.min(initial=0), values.max(initial=0)
    if image.mode == "F":
        top = 1 if high <= 1.25 else 255
        clear = low >= -top / 4 and (top == 1 or 16 <= high <= 1.25 * top)
        expected = "0 to 1 or 0 to 255"
    else:
        top = _largest(image)
        clear = low >= 0 and high <= top
        expected = f"0 to {top}"
    if not clear:
        raise PictureError(
            f"its values, {low:.5g} to {high:.5g}, should lie in {expected}: it is unclear what is "
            "black and what is white; save it with 8 or 16 bits per channel"
        )
    values = np.clip(values * (255 / top) + 0.5, 0, 255).astype(np.uint8)
    if _tag(image, ExifTags.Base.PhotometricInterpretation) == _WHITE_IS_ZERO:
        values = 255 - values  # Pillow does so for 8 bits only
    return Image.fromarray(values)


def check_signs(image: Image.Image) -> None:
    """Checks that an undecoded image is not one whose negative values Pillow would take for white.

    Raises:
        PictureError: it is. It does not name the file.
    """
    if image.mode == "L" and _tag(image, ExifTags.Base.SampleFormat) == _SIGNED:
        raise PictureError("signed 8-bit values, of -128 to 127; save it with values of 0 to 255")


def darkness(image: Image.Image) -> str | None:
    """What to say of decoded integers that use so few of their bits that they are nearly black."""
    if image.mode not in MODES or image.mode == "F":
        return None
    high, top = np.asarray(image).max(), _largest(image)
    if not 0 < high <= top * _NEARLY_BLACK:
        return None
    return f"nearly black: its largest value is {high:.0f} of {top}"


def _largest(image: Image.Image) -> int:
    bits = _tag(image, ExifTags.Base.BitsPerSample) or 16
    return 2 ** min(bits, 16) - 1


def _tag(image: Image.Image, tag: int) -> Any:
    """The value, or the first of the values, of a TIFF file's tag; None elsewhere."""
    value = image.tag_v2.get(tag) if isinstance(image, TiffImageFile) else None
    return value[0] if isinstance(value, tuple) and value else value
