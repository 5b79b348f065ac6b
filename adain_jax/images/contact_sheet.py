"""Contact sheets: labeled rows and columns of pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adain_jax.images.dtypes import Picture, Pixels, to_float, to_uint8

CELL = 256
_LABEL = 22
_GAP = 6


def contact_sheet(
    cells: Mapping[tuple[int, int], Picture | Pixels],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    cell: int = CELL,
) -> Picture:
    """Arranges pictures in labeled rows and columns on white.

    Args:
        cells: the pictures by (row, column), float in [0, 1] or uint8, (h, w, 3) of any size; cells
            without a picture stay white.
        rows, columns: the labels, shortened to fit.
        cell: side in pixels of the square that each picture is shrunk to fit.

    Returns:
        One picture, float32 (h, w, 3), RGB in [0, 1].
    """
    step = cell + _GAP
    width, height = len(columns) * step + _GAP, len(rows) * (step + _LABEL) + _LABEL + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)

    def label(x: int, y: int, text: str) -> None:
        while text and font.getlength(text) > cell:
            shorter = text.removesuffix("…")[:-1]
            text = shorter and shorter + "…"
        draw.text((x, y + 3), text, fill="black", font=font)

    for column, text in enumerate(columns):
        label(_GAP + column * step, 0, text)
    for row, text in enumerate(rows):
        top = _LABEL + row * (step + _LABEL)
        label(_GAP, top, text)
        for column in range(len(columns)):
            if (row, column) in cells:
                image = Image.fromarray(shrink(cells[row, column], cell))
                left = _GAP + column * step + (cell - image.width) // 2
                sheet.paste(image, (left, top + _LABEL + (cell - image.height) // 2))
    return to_float(np.asarray(sheet))


def shrink(picture: Picture | Pixels, cell: int = CELL) -> Pixels:
    """Shrinks a picture to fit a square with a side of `cell` pixels; smaller ones keep their size.

    Args:
        picture: float in [0, 1] or uint8, (h, w, 3) or (h, w, 4); alpha is dropped.
        cell: side of the square in pixels.

    Returns:
        uint8 (h, w, 3), RGB in 0..255.
    """
    step = max(picture.shape[:2]) // (16 * cell) + 1  # some pixels of a huge one are enough
    image = Image.fromarray(to_uint8(picture[::step, ::step, :3]))
    image.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    return np.asarray(image)
