"""What to paint, and painting it: the page without the page."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from adain_jax import Stylizer, mix
from adain_jax.app.gallery import LONGEST, Upload
from adain_jax.app.limiter import Turns
from adain_jax.color import coral, keep_chroma
from adain_jax.images.dtypes import to_uint8
from adain_jax.inference.stylizer import Content
from adain_jax.style import Style
from adain_jax.weights import Model

Color = Literal["none", "coral", "luminance"]
Masks = list[Float[np.ndarray, "h w"]]

SIZES = (256, 512, 768, 1024)  # of the shorter side of results, in pixels
STYLE_SIZE = 512  # of the shorter side of style pictures, as infer.py's
MAX_STYLES = 4
MAX_POINTS = 20_000  # of all strokes together


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush.

    Attributes:
        style: 1 for the first style and so on, 0 for none.
        width: of the brush, as a share of the picture's width.
        points: (x, y), each from 0 to 1.
    """

    style: int
    width: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Brushed:
    """Regions painted over the first style, which is everywhere else."""

    strokes: tuple[Stroke, ...] = ()

    def masks(self, shape: tuple[int, int], styles: int) -> Masks:
        """One mask per style of `shape` (height, width), each pixel in at most one."""
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
class Masked:
    """Regions by mask pictures, one per style; styles without one share what the others leave."""

    pictures: tuple[Upload | None, ...]

    def masks(self, shape: tuple[int, int], styles: int) -> Masks:
        """One mask per style of `shape` (height, width).

        Raises:
            PictureError: a mask is damaged.
        """
        given = [one.read_mask(shape) if one else None for one in self.pictures]
        missing = sum(mask is None for mask in given)
        left = 1 - sum((mask for mask in given if mask is not None), np.zeros(shape, np.float32))
        share = np.clip(left, 0, 1) / max(1, missing)
        return [share if mask is None else mask for mask in given]


@dataclass(frozen=True)
class Painting:
    """All that a result depends on.

    Attributes:
        content: the photograph.
        styles: one, or several to mix or to put into regions.
        regions: where each style goes; without it, several styles are mixed.
        shares: of each style in the mix.
        alpha: strength, 0 to 1.
        color: whose colours: the style's ("none"), or the photograph's, in the ways of `color`.
        size: of the shorter side of the result, in pixels.
        model: "fast" or "vgg19".
    """

    content: Upload
    styles: tuple[Upload, ...]
    regions: Brushed | Masked | None = None
    shares: tuple[float, ...] = ()
    alpha: float = 1
    color: Color = "none"
    size: int = 512
    model: Model = "fast"

    @property
    def private(self) -> bool:
        """Whether anything in it is a user's own."""
        return bool(self.regions) or not all(one.example for one in (self.content, *self.styles))


@dataclass(frozen=True)
class Painted:
    """A result, 8-bit RGB, and how long it took to compute."""

    pixels: UInt8[np.ndarray, "h w 3"]
    seconds: float


class Recent:
    """The results asked for last, of at most `limit` bytes together."""

    def __init__(self, limit: int):
        self.limit = limit
        self._results: OrderedDict[Painting, Painted] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, painting: Painting) -> Painted | None:
        """The result, if it is still here."""
        with self._lock:
            if painting in self._results:
                self._results.move_to_end(painting)
            return self._results.get(painting)

    def put(self, painting: Painting, painted: Painted) -> Painted:
        """Keeps a result, and lets go of the oldest."""
        with self._lock:
            self._results[painting] = painted
            while sum(one.pixels.nbytes for one in self._results.values()) > self.limit:
                self._results.popitem(last=False)
        return painted


class Encoded:
    """The encoded contents of the users who painted last, one each: they are large."""

    def __init__(self, users: int):
        self._users = users
        self._contents: WeakKeyDictionary[Painter, tuple[Hashable, Content]] = WeakKeyDictionary()

    def get(self, user: "Painter", key: Hashable, encode: Callable[[], Content]) -> Content:
        """The user's content if `key` is still the same, otherwise a new one in its place."""
        known = self._contents.pop(user, None)
        if known is None or known[0] != key:
            known = key, encode()
        self._contents[user] = known
        while len(self._contents) > self._users:
            self._contents.pop(next(iter(self._contents.keys())))
        return known[1]


# One picture at a time is decoded or computed: more would be no faster, and memory stays bounded.
TURNS = Turns(at_once=1, waiting=40)
EXAMPLES_RECENT = Recent(64 << 20)  # of examples in example styles, for everybody
ENCODED = Encoded(users=8)


class Painter:
    """Paints for one user, remembering what may be used again until the page is left.

    Args:
        load: gives the stylizer of a model, the same for all users.
    """

    def __init__(self, load: Callable[[Model], Stylizer]):
        self._load = load
        self._recent = Recent(32 << 20)
        self._picture = lru_cache(maxsize=2)(Upload.read)
        self._style = lru_cache(maxsize=32)(self._encode_style)

    def paint(self, painting: Painting, say: Callable[[int], None]) -> Painted:
        """The result, at once if it was painted of late, otherwise when it is this user's turn.

        Args:
            painting: what to paint.
            say: see `Turns.turn`.

        Raises:
            BusyError: too many are waiting.
            PictureError: a picture is damaged.
        """
        recent = self._recent if painting.private else EXAMPLES_RECENT
        if painted := recent.get(painting):
            return painted
        with TURNS.turn(say):
            # Whoever was in front may have painted the same.
            return recent.get(painting) or recent.put(painting, self._paint(painting))

    def _paint(self, painting: Painting) -> Painted:
        stylizer = self._load(painting.model)
        start = time.perf_counter()
        picture = self._picture(painting.content, painting.size)
        recolored = (painting.content, painting.size) if painting.color == "coral" else None
        styles = [self._style(painting.model, style, recolored) for style in painting.styles]
        masks = None
        if painting.regions:
            style = Style.stack(styles)
            masks = painting.regions.masks(picture.shape[:2], len(styles))
        else:
            style = mix(styles, painting.shares or [1] * len(styles))
        key = painting.model, painting.content, painting.size
        content = ENCODED.get(self, key, lambda: stylizer.encode_content(picture))
        result = stylizer(content, style, painting.alpha, masks=masks)
        if painting.color == "luminance":
            result = keep_chroma(picture, result)
        return Painted(to_uint8(result), time.perf_counter() - start)

    def _encode_style(
        self, model: Model, style: Upload, recolored: tuple[Upload, int] | None
    ) -> Style:
        picture = style.read(STYLE_SIZE)
        if recolored:
            picture = np.asarray(coral(picture, self._picture(*recolored)))
        return self._load(model).encode_style(picture)


def load_stylizer(model: Model) -> Stylizer:
    """A stylizer with frames that hold all that the page computes, so that programs stay few."""
    stylizer = Stylizer.load(model)
    shapes = [(size, min(LONGEST, size * 3 // 2 + 8)) for size in SIZES]
    square = max(SIZES), max(SIZES)
    stylizer.plan([square, *shapes, *(shape[::-1] for shape in shapes)])
    return stylizer


def strokes(values: Sequence[Any] | None, styles: int) -> Brushed:
    """Strokes as they come from the browser, [style, width, [x, y, x, y, ...]]; bad ones are left out.

    All numbers are brought into their ranges; once there are too many points, the rest is left out.
    """
    result: list[Stroke] = []
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
        result.append(stroke)
    return Brushed(tuple(result))
