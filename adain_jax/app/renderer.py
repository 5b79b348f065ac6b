"""Renders requests, independently of the page."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from adain_jax import Stylizer, mix
from adain_jax.app.caches import ContentCache, ResultCache
from adain_jax.app.limiter import Limiter, OnWait
from adain_jax.app.request import SIZES, STYLE_SIZE, RenderRequest, RenderResult
from adain_jax.app.uploads import MAX_SIDE, Upload
from adain_jax.color import coral, keep_chroma
from adain_jax.images.dtypes import to_uint8
from adain_jax.models import Model
from adain_jax.style import Style


@dataclass(frozen=True)
class SharedState:
    """The state that all users of a server share.

    Attributes:
        limiter: lets one picture at a time be decoded or computed. More at a time would not be
            faster, and memory stays bounded.
        results: the results of examples in example styles.
        contents: the users' encoded contents.
    """

    limiter: Limiter = field(default_factory=lambda: Limiter(slots=1, waiting=40))
    results: ResultCache = field(default_factory=lambda: ResultCache(64 << 20))
    contents: ContentCache = field(default_factory=lambda: ContentCache(users=8))


class Renderer:
    """Renders requests of one user, and caches what may be reused while the page is open.

    Args:
        load: returns the stylizer of a model, the same for all users.
        shared: the state that all users share.
    """

    def __init__(self, load: Callable[[Model], Stylizer], shared: SharedState):
        self._load = load
        self._shared = shared
        self._results = ResultCache(32 << 20)
        self._picture = lru_cache(maxsize=2)(Upload.read)
        self._style = lru_cache(maxsize=32)(self._encode_style)

    def render(self, request: RenderRequest, on_wait: OnWait) -> RenderResult:
        """Returns the result: at once if it is cached, otherwise when it is this user's turn.

        Args:
            request: what to render.
            on_wait: see `Limiter.slot`.

        Raises:
            BusyError: too many users are waiting.
            PictureError: a picture is damaged.
            WeightsError: the model's weights cannot be read.
        """
        results = self._results if request.private else self._shared.results
        if result := results.get(request):
            return result
        with self._shared.limiter.slot(on_wait):
            # A user ahead in the queue may have made the same request.
            return results.get(request) or results.put(request, self._render(request))

    def _render(self, request: RenderRequest) -> RenderResult:
        stylizer = self._load(request.model)
        start = time.perf_counter()
        picture = self._picture(request.content, request.size)
        recolored = (request.content, request.size) if request.color == "coral" else None
        styles = [self._style(request.model, style, recolored) for style in request.styles]
        masks = None
        if request.regions:
            style = Style.stack(styles)
            masks = request.regions.masks(picture.shape[:2], len(styles))
        else:
            style = mix(styles, request.style_weights or [1] * len(styles))
        key = request.model, request.content, request.size
        content = self._shared.contents.get(self, key, lambda: stylizer.encode_content(picture))
        result = stylizer(content, style, request.alpha, masks=masks)
        if request.color == "luminance":
            result = np.asarray(keep_chroma(picture, result))
        return RenderResult(to_uint8(result), time.perf_counter() - start)

    def _encode_style(
        self, model: Model, style: Upload, recolored: tuple[Upload, int] | None
    ) -> Style:
        picture = style.read(STYLE_SIZE)
        if recolored:
            picture = np.asarray(coral(picture, self._picture(*recolored)))
        return self._load(model).encode_style(picture)


def load_stylizer(model: Model) -> Stylizer:
    """Loads a stylizer and plans few padded shapes for all sizes that the page computes."""
    stylizer = Stylizer.load(model)
    shapes = [(size, min(MAX_SIDE, size * 3 // 2 + 8)) for size in SIZES]
    square = max(SIZES), max(SIZES)
    stylizer.plan([square, *shapes, *(shape[::-1] for shape in shapes)])
    return stylizer
