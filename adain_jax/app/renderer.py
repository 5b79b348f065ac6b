"""Renders requests, independently of the page."""

import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from adain_jax import Stylizer, mix
from adain_jax.app.caches import ContentCache, ResultCache
from adain_jax.app.compilation import watch_compilation
from adain_jax.app.limiter import BusyError, Limiter, OnWait
from adain_jax.app.request import SIZES, STYLE_SIZE, RenderRequest, RenderResult
from adain_jax.app.uploads import MAX_SIDE, Upload
from adain_jax.color import coral, keep_chroma
from adain_jax.images.dtypes import to_uint8
from adain_jax.inference.memory import trim_malloc
from adain_jax.models import Model
from adain_jax.style import Style


@dataclass(frozen=True)
class SharedState:
    """The state that all users of a server share.

    Attributes:
        limiter: lets one picture at a time be decoded or computed. More at a time would not be
            faster, and memory stays bounded.
        results: results; of a user's own pictures, for this user alone.
        contents: the users' encoded contents.
        used: set whenever something is rendered.
        ready: set once the server has compiled what its first visitor needs.
    """

    limiter: Limiter = field(default_factory=lambda: Limiter(slots=1, waiting=40))
    results: ResultCache = field(default_factory=lambda: ResultCache(64 << 20))
    contents: ContentCache = field(default_factory=lambda: ContentCache(64 << 20))
    used: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)

    def forget(self) -> None:
        """Drops all that can be computed again, and gives its memory back to the system."""
        with suppress(BusyError), self.limiter.slot(lambda ahead: None):
            self.results.clear()
            self.contents.clear()
            gc.collect()
            trim_malloc()


class Renderer:
    """Renders requests of one user, and caches what may be reused while the page is open.

    Args:
        load: returns the stylizer of a model, the same for all users.
        shared: the state that all users share.
    """

    def __init__(self, load: Callable[[Model], Stylizer], shared: SharedState):
        self._load = load
        self._shared = shared
        self._owner = object()
        self._style = lru_cache(maxsize=32)(self._encode_style)

    def render(
        self, request: RenderRequest, on_wait: OnWait, on_compile: Callable[[], None]
    ) -> RenderResult:
        """Returns the result: at once if it is cached, otherwise when it is this user's turn.

        Args:
            request: what to render.
            on_wait: see `Limiter.slot`.
            on_compile: called when it takes longer, because a program is compiled for it.

        Raises:
            BusyError: too many users are waiting.
            PictureError: a picture is damaged.
            WeightsError: the model's weights cannot be read.
        """
        self._shared.used.set()
        results = self._shared.results
        key = self._owner if request.private else None, request
        if result := results.get(key):
            return result
        with self._shared.limiter.slot(on_wait):
            # A user ahead in the queue may have made the same request.
            if result := results.get(key):
                return result
            try:
                return results.put(key, self._render(request, on_compile))
            finally:
                # All sizes in both orientations, one after another, end at 636 instead of 745 MiB.
                trim_malloc()

    def _render(self, request: RenderRequest, on_compile: Callable[[], None]) -> RenderResult:
        stylizer = self._load(request.model)
        start = time.perf_counter()
        with watch_compilation(on_compile) as seconds_of_compilation:
            pixels = self._paint(stylizer, request)
            seconds = time.perf_counter() - start - seconds_of_compilation()
        return RenderResult(pixels, seconds)

    def _paint(self, stylizer: Stylizer, request: RenderRequest) -> np.ndarray:
        content = self._shared.contents.get(
            self,
            (request.model, request.content, request.size),
            lambda: stylizer.encode_content(request.content.read(request.size)),
        )
        picture = content.picture
        recolored = (request.content, request.size) if request.color == "coral" else None
        styles = [self._style(request.model, style, recolored) for style in request.styles]
        masks = None
        if request.regions:
            style = Style.stack(styles)
            masks = request.regions.masks(picture.shape[:2], len(styles))
        else:
            style = mix(styles, request.style_weights or [1] * len(styles))
        result = stylizer(content, style, request.alpha, masks=masks)
        if request.color == "luminance":
            result = np.asarray(keep_chroma(picture, result))
        return to_uint8(result)

    def _encode_style(
        self, model: Model, style: Upload, recolored: tuple[Upload, int] | None
    ) -> Style:
        picture = style.read(STYLE_SIZE)
        if recolored:
            content, size = recolored
            picture = np.asarray(coral(picture, content.read(size)))
        return self._load(model).encode_style(picture)


def load_stylizer(model: Model) -> Stylizer:
    """Loads a stylizer and plans few padded shapes for all sizes that the page computes."""
    stylizer = Stylizer.load(model)
    shapes = [(size, min(MAX_SIDE, size * 3 // 2 + 8)) for size in SIZES]
    square = max(SIZES), max(SIZES)
    stylizer.plan([square, *shapes, *(shape[::-1] for shape in shapes)])
    return stylizer
