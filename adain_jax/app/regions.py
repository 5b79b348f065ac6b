"""The regions of the styles: painted on the photograph, or given by mask pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from adain_jax.app.uploads import Upload

Masks = list[Float[np.ndarray, "h w"]]

MAX_POINTS = 20_000  # in all strokes together


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush.

    Attributes:
        style: 1 for the first style and so on, 0 for none.
        width: width of the brush as a fraction of the picture's width.
        points: (x, y), as fractions of the picture's width and height.
    """

    style: int
    width: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class BrushedRegions:
    """Regions painted over the first style, which fills the rest."""

    strokes: tuple[Stroke, ...] = ()

    def masks(self, shape: tuple[int, int], styles: int) -> Masks:
        """One mask of `shape` (height, width) per style, 0 or 1; each pixel is in at most one."""
        height, width = shape
        labels = Image.new("L", (width, height), 1)
        draw = ImageDraw.Draw(labels)
        for stroke in self.strokes:
            points = [(x * width, y * height) for x, y in stroke.points]
            thickness = max(1, round(stroke.width * width))
            draw.line(points, stroke.style, thickness, joint="curve")
            for x, y in (points[0], points[-1]):
                draw.circle((x, y), thickness / 2, stroke.style)
        pixels = np.asarray(labels)
        return [(pixels == number).astype(np.float32) for number in range(1, styles + 1)]


@dataclass(frozen=True)
class MaskedRegions:
    """Regions from mask pictures, one per style; styles without a mask share the remaining area."""

    pictures: tuple[Upload | None, ...]

    def masks(self, shape: tuple[int, int], styles: int) -> Masks:
        """One mask of `shape` (height, width) per style, in [0, 1].

        Raises:
            PictureError: a mask is damaged.
        """
        given = [one.read_mask(shape) if one else None for one in self.pictures]
        missing = sum(mask is None for mask in given)
        left = 1 - sum((mask for mask in given if mask is not None), np.zeros(shape, np.float32))
        share = np.clip(left, 0, 1) / max(1, missing)
        return [share if mask is None else mask for mask in given]


def parse_strokes(values: Sequence[Any] | None, styles: int) -> BrushedRegions:
    """Parses strokes as the browser sends them: [style, width, [x, y, x, y, ...]].

    Numbers are clipped to their ranges. Invalid strokes, and strokes after the first MAX_POINTS
    points, are dropped.
    """
    strokes: list[Stroke] = []
    points = 0
    for value in values or ():
        try:
            style, width, numbers = value
            flat = np.clip(np.asarray(numbers, np.float64), 0, 1).reshape(-1, 2)
            points += len(flat)
            if points > MAX_POINTS or not len(flat) or not np.isfinite(flat).all():
                continue
            stroke = Stroke(
                min(styles, max(0, int(style))),
                min(1.0, max(0.0, float(width))),
                tuple((float(x), float(y)) for x, y in flat),
            )
        except (TypeError, ValueError, OverflowError):
            continue
        strokes.append(stroke)
    return BrushedRegions(tuple(strokes))
