"""Resizing arrays of pixels, strip by strip: large ones need little memory besides themselves."""

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

STRIP_PIXELS = 1 << 22  # a strip of rows has about this many pixels
LANCZOS_SUPPORT = 3  # half the width of the filter, in pixels of the smaller picture


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes by Lanczos' filter, which reduces without aliasing and enlarges without blur.

    Args:
        pixels: uint8, or float32 in [0, 1], (h, w, c).
        size: height and width of the result.
    Returns:
        The same dtype (*size, c), in the range of pixels: 0 to 255, or 0 to 1 for floats.
    """
    return np.concatenate([resize_rows(pixels, size, rows) for rows in strips(size)])


def resize_rows(pixels: np.ndarray, size: tuple[int, int], rows: slice) -> np.ndarray:
    """Some rows of what `resize` returns."""
    scale = pixels.shape[0] / size[0]
    reach = LANCZOS_SUPPORT * max(1.0, scale)
    first = max(0, math.floor(rows.start * scale - reach))
    last = math.ceil(rows.stop * scale + reach)
    source = pixels[first:last]
    # Pillow reads beyond the box as far as the filter reaches.
    box = (0, rows.start * scale - first, pixels.shape[1], rows.stop * scale - first)
    new_size = (size[1], rows.stop - rows.start)
    # In floats, since bytes would be cut off and rounded between the two directions, of which Pillow
    # takes first the one that is cheaper for this strip.
    channels = [
        Image.fromarray(source[..., c].astype(np.float32)).resize(
            new_size, Image.Resampling.LANCZOS, box=box
        )
        for c in range(pixels.shape[2])
    ]
    resized = np.stack([np.asarray(channel) for channel in channels], axis=-1)
    if pixels.dtype == np.uint8:
        return np.rint(resized).clip(0, 255).astype(np.uint8)
    return resized.clip(0, 1)


def strips(size: tuple[int, int]) -> Iterator[slice]:
    """Cuts a picture of this height and width into strips of rows."""
    rows = max(1, STRIP_PIXELS // size[1])
    return (slice(top, min(top + rows, size[0])) for top in range(0, size[0], rows))
