"""The page: its layout, and what happens on each interaction."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.delta_generator import DeltaGenerator

from adain_jax import Stylizer
from adain_jax.app.controls import pick_content, pick_settings, pick_styles
from adain_jax.app.limiter import BusyError, OnWait
from adain_jax.app.regions import BrushedRegions, parse_strokes
from adain_jax.app.renderer import Renderer, SharedState, load_stylizer
from adain_jax.app.request import SIZES, STYLE_SIZE, RenderRequest, RenderResult
from adain_jax.app.uploads import MAX_BYTES
from adain_jax.app.widgets import brush, escape
from adain_jax.images import PictureError, encode_picture
from adain_jax.models import Model
from adain_jax.weights import WeightsError

PAPER = "https://arxiv.org/abs/1703.06868"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Runs the page from top to bottom, as Streamlit does after every interaction."""
    _keep_uploads_in_memory()
    st.set_page_config("Paint a photograph in any style", "🎨", layout="wide")
    st.title("Paint a photograph in any style", anchor=False)
    st.markdown(
        "Pick a photograph and a style: one network paints any photograph in any style, by "
        f"[adaptive instance normalization]({PAPER}) (Huang and Belongie, 2017)."
    )
    picks, result = st.columns([2, 3], gap="large")
    with result:
        pictures, below, settings, strengths = (st.container() for _ in range(4))
    with below:
        line = st.empty()

    shared = shared_state()
    on_wait = _status(line)
    slot = partial(shared.limiter.slot, on_wait)
    try:
        with picks:
            content = pick_content(slot)
            styles, style_weights, regions = pick_styles(slot)
            st.caption(
                "Your pictures stay in this server's memory while the page is open and some minutes "
                "after, and nobody else sees them."
            )
        with settings:
            request = RenderRequest(content, styles, regions, style_weights, *pick_settings())
        with pictures:
            before, after = st.columns(2)
        with before:
            request = _photograph(request)
        renderer: Renderer = st.session_state.setdefault("renderer", Renderer(_stylizer, shared))
        rendered = renderer.render(request, on_wait)
        height, width = rendered.pixels.shape[:2]
        line.caption(f"{width} x {height} pixels, painted in {rendered.seconds:.2f} s")
        with below:
            _downloads(request, rendered)
        with after:  # last, so that the downloads never lag behind the picture
            st.image(rendered.pixels, "Painting", "stretch", output_format="JPEG", alt="Painting")
        with strengths:
            _all_strengths(renderer, request)
    except BusyError:
        line.warning("Very many people are painting just now. Please try again in a minute.")
        below.button("Try again")
    except (PictureError, WeightsError) as error:
        line.error(escape(str(error)))


def _keep_uploads_in_memory() -> None:
    """Raises the size, 1 MB by default, above which Starlette writes uploads to a temporary file.

    Workaround: as of Starlette 1.10 and Streamlit 1.67, only this class attribute sets the size. It
    affects the whole process, which is the page's own server here.
    `test_starlette_has_no_setting_for_uploads_in_memory` fails once there is a setting.
    """
    MultiPartParser.spool_max_size = 2 * MAX_BYTES


@st.cache_resource(show_spinner=False)
def shared_state() -> SharedState:
    """The state that all users of this server share."""
    return SharedState()


@st.cache_resource(show_spinner=False)
def _stylizer(model: Model) -> Stylizer:
    stylizer = load_stylizer(model)
    # Compiles the programs now, so that the first painting's time does not include compilation.
    stylizer(np.zeros((512, 768, 3), np.float32), np.zeros((STYLE_SIZE,) * 2 + (3,), np.float32))
    return stylizer


def _status(line: DeltaGenerator) -> OnWait:
    """Returns a function that shows the position in the queue on a line of the page.

    The function also ends the run if the user has interacted with the page again.
    """

    def on_wait(ahead: int) -> None:
        people = "1 person is" if ahead == 1 else f"{ahead} people are"
        line.status(f"{people} before you ..." if ahead else "Painting ...", type="compact")

    return on_wait


def _photograph(request: RenderRequest) -> RenderRequest:
    """Shows the photograph, or a brush for it; returns the request with the painted regions."""
    if not isinstance(request.regions, BrushedRegions):
        st.image(request.content.preview, "Photograph", "stretch", alt="Photograph")
        return request
    kept: dict[str, list[Any]] = st.session_state.setdefault("strokes", {})
    known = kept.get(request.content.digest, [])
    strokes = brush(request.content, request.styles, known)
    st.session_state.strokes = {request.content.digest: strokes}
    return replace(request, regions=parse_strokes(strokes, len(request.styles)))


def _downloads(request: RenderRequest, rendered: RenderResult) -> None:
    name = "_".join([request.content.stem, "in", *(style.stem for style in request.styles)])
    with st.container(horizontal=True):
        for suffix, format_ in (("png", "PNG"), ("jpg", "JPEG")):
            encode: Callable[[], bytes] = partial(encode_picture, rendered.pixels, format_)
            st.download_button(
                f"Download {format_}",
                encode,  # called only when it is clicked
                f"{name}.{suffix}",
                f"image/{format_.lower()}",
                on_click="ignore",
                icon=":material/download:",
            )


def _all_strengths(renderer: Renderer, request: RenderRequest) -> None:
    """Shows small results with several strengths, if the user asks for them."""
    if st.toggle("Show all strengths"):
        line = st.empty()
        small = [replace(request, alpha=alpha, size=SIZES[0]) for alpha in STRENGTHS]
        rendered = [renderer.render(one, _status(line)) for one in small]
        line.empty()
        with st.container(horizontal=True):
            for alpha, one in zip(STRENGTHS, rendered, strict=True):
                name = f"{alpha:.0%}"
                st.image(one.pixels, name, 112, output_format="JPEG", alt=name)


if __name__ == "__main__":  # as Streamlit runs it for `adain app`
    main()
