"""What the page shows of a painting beside the picture: facts, downloads, other strengths."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from adain_jax.app.limiter import OnWait
from adain_jax.app.renderer import Renderer
from adain_jax.app.request import SIZES, RenderRequest, RenderResult
from adain_jax.app.widgets import strength_picker
from adain_jax.images import encode_picture

STRENGTHS = (0, 25, 50, 75, 100)


def facts(request: RenderRequest, rendered: RenderResult) -> str:
    """The sizes of a painting and of its photograph, and how long it took."""
    height, width = rendered.pixels.shape[:2]
    painted = f"{width} x {height} pixels ({width * height / 1e6:.1f} megapixels)"
    text = f"{painted}, painted in {rendered.seconds:.2f} s"
    if request.content.megapixels > width * height / 1e6:
        text += f" from {request.content.megapixels:.1f} megapixels"
    return text


def show_downloads(request: RenderRequest, rendered: RenderResult) -> None:
    """Shows buttons to download a painting, and the switch for `show_strengths`."""
    name = "_".join([request.content.stem, "in", *(style.stem for style in request.styles)])
    with st.container(horizontal=True, vertical_alignment="center"):
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
        st.toggle("All strengths", key="all_strengths")


def show_strengths(renderer: Renderer, request: RenderRequest, on_wait: OnWait) -> None:
    """Shows small results with several strengths to click, if the user asks for them."""
    if not st.session_state.all_strengths:
        return
    with st.container(key="strip"):
        paintings = {}
        for strength in STRENGTHS:
            small = replace(request, alpha=strength / 100, size=SIZES[0])
            rendered = renderer.render(small, on_wait, lambda: None)
            paintings[strength] = encode_picture(rendered.pixels, "JPEG", quality=80)
        strength_picker(paintings, st.session_state.strength, _set_strength)


def _set_strength(strength: int) -> None:
    st.session_state.strength = strength
