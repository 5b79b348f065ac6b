"""What the page's server does by itself: compiling before visitors come, forgetting when they go."""

import threading
import time
from functools import cache

from adain_jax import Stylizer
from adain_jax.app.gallery import Gallery
from adain_jax.app.renderer import Renderer, SharedState, load_stylizer
from adain_jax.app.request import RenderRequest
from adain_jax.inference.compilation_cache import enable_compilation_cache
from adain_jax.models import Model

# One of each orientation, since either needs programs of its own.
FIRST_PHOTOGRAPHS = ("cat", "astronaut")
IDLE_SECONDS = 60.0


@cache
def shared_state() -> SharedState:
    """The state that all users of this server share, which gets ready from the first call on."""
    shared = SharedState()
    threading.Thread(target=_look_after, args=(shared,), daemon=True).start()
    return shared


def _look_after(shared: SharedState) -> None:
    try:
        enable_compilation_cache()
        renderer = Renderer(stylizer, shared)
        (marbling,) = Gallery.of("style", "marbling").several
        for content in Gallery.of("content", *FIRST_PHOTOGRAPHS).several:
            renderer.render(RenderRequest(content, (marbling,)), lambda _: None, lambda: None)
    finally:
        shared.ready.set()
    while True:  # once nobody paints any more, what was kept for them is forgotten
        time.sleep(IDLE_SECONDS)
        if shared.used.is_set():
            shared.used.clear()
        else:
            shared.forget()


_loading = threading.Lock()


def stylizer(model: Model) -> Stylizer:
    """The stylizer of a model, the same for all users."""
    with _loading:
        return _stylizer(model)


_stylizer = cache(load_stylizer)
