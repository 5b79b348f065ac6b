"""What the page's address says: one person's choices, to outlast a reload and to be shared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from adain_jax.app.gallery import examples
from adain_jax.app.request import MAX_STYLES, SIZES, Color
from adain_jax.models import Model, is_available

Mode = Literal["one", "mix", "regions"]
Strokes = list[list[Any]]

KEYS = ("photo", "style", "mode", "share", "strength", "color", "size", "model", "region")
MAX_REGION_CHARACTERS = 4000  # in all regions together: servers and browsers cut longer addresses
_SHOWN_CHARACTERS = 30  # of a value that is not used


@dataclass(frozen=True)
class Address:
    """Choices by name. Uploads have no place in it, and so stay private.

    Attributes:
        photo: the name of an example.
        styles: names of examples, at most MAX_STYLES.
        mode: one style, a mix of several, or several by region.
        shares: percentages of the styles in the mix; empty, or one per style.
        strength: a percentage.
        color, size, model: as in `RenderRequest`.
        strokes: as the brush sends them, see `regions.parse_strokes`.
    """

    photo: str = "cat"
    styles: tuple[str, ...] = ("marbling",)
    mode: Mode = "one"
    shares: tuple[int, ...] = ()
    strength: int = 100
    color: Color = "none"
    size: int = 512
    model: Model = "fast"
    strokes: tuple[tuple[Any, ...], ...] = ()

    def pairs(self) -> list[tuple[str, str]]:
        """Keys and values for the address: those that are not the default.

        Regions that are too long for an address are left out.
        """
        return [
            (key, str(value))
            for key, values, usual in zip(KEYS, self._values(), Address()._values(), strict=True)
            if values != usual
            for value in values
        ]

    def _values(self) -> list[Sequence[object]]:
        """The values of each of KEYS."""
        regions = [_write_stroke(*stroke) for stroke in self.strokes]
        if sum(map(len, regions)) > MAX_REGION_CHARACTERS:
            regions = []
        values: list[Sequence[object]] = [[self.photo], self.styles, [self.mode], self.shares]
        return [*values, [self.strength], [self.color], [self.size], [self.model], regions]


def parse_address(query: Mapping[str, Sequence[str]]) -> tuple[Address, list[str]]:
    """Reads the address, which anybody may have written: only what is known and in range is used.

    Args:
        query: all values of every key.

    Returns:
        The choices, and what was not used, shortened, as "key=value".
    """
    unused: list[str] = []

    def known(key: str, allowed: Sequence[object], at_most: int = 1) -> list[Any]:
        by_name = {str(value): value for value in allowed}
        found: list[Any] = []
        for text in query.get(key, ()):
            if text in by_name and by_name[text] not in found and len(found) < at_most:
                found.append(by_name[text])
            else:
                unused.append(_shown(key, text))
        return found

    percent = {str(value): value for value in range(101)}
    default = Address()
    (photo,) = known("photo", [one.stem for one in examples("content")]) or [default.photo]
    styles = known("style", [one.stem for one in examples("style")], MAX_STYLES)
    (mode,) = known("mode", get_args(Mode)) or [default.mode]
    (strength,) = known("strength", range(101)) or [default.strength]
    (color,) = known("color", get_args(Color)) or [default.color]
    (size,) = known("size", SIZES) or [default.size]
    (model,) = known("model", [one for one in get_args(Model) if is_available(one)]) or ["fast"]
    texts = query.get("share", ())
    shares = tuple(percent[text] for text in texts if text in percent)
    if len(shares) != len(texts) or (shares and len(shares) != len(styles)):
        unused += [_shown("share", text) for text in texts]
        shares = ()
    strokes, room = [], MAX_REGION_CHARACTERS
    for text in query.get("region", ()):
        if len(text) <= room and re.fullmatch(r"[0-9]{1,4}(-[0-9]{1,4}){3,}", text):
            room -= len(text)
            strokes.append(_read_stroke(text))
        else:
            unused.append(_shown("region", text))
    chosen = tuple(styles) or default.styles
    address = Address(photo, chosen, mode, shares, strength, color, size, model, tuple(strokes))
    return address, unused


def _shown(key: str, text: str) -> str:
    return f"{key}={text[:_SHOWN_CHARACTERS]}{'...' if len(text) > _SHOWN_CHARACTERS else ''}"


def _write_stroke(style: int, width: float, points: Sequence[float]) -> str:
    """The style, then the width and the points in thousandths, such as "2-140-700-100"."""
    return "-".join([str(style), *(str(round(1000 * number)) for number in (width, *points))])


def _read_stroke(text: str) -> tuple[Any, ...]:
    style, *numbers = map(int, text.split("-"))
    width, *points = (number / 1000 for number in numbers)
    return style, width, points[: len(points) // 2 * 2]
