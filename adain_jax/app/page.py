"""The page: its layout, and what happens on each interaction."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.delta_generator import DeltaGenerator

from adain_jax.app.address import KEYS, Address, parse_address
from adain_jax.app.controls import (
    pick_content,
    pick_settings,
    pick_shares,
    pick_styles,
    start_from,
)
from adain_jax.app.limiter import BusyError
from adain_jax.app.region_controls import kept_strokes, pick_regions
from adain_jax.app.renderer import Renderer
from adain_jax.app.request import RenderRequest
from adain_jax.app.result_view import facts, show_downloads, show_strengths
from adain_jax.app.server import shared_state, stylizer
from adain_jax.app.uploads import MAX_BYTES, MAX_PIXELS
from adain_jax.app.widgets import escape, show_address, viewer
from adain_jax.images import PictureError, encode_picture
from adain_jax.weights import WeightsError

PAPER = "https://arxiv.org/abs/1703.06868"


def main() -> None:
    """Runs the page from top to bottom, as Streamlit does after every interaction."""
    _keep_uploads_in_memory()
    st.set_page_config("Paint a photograph in any style", "🎨", layout="wide")
    st.html(Path(__file__).with_name("page.css"))
    _start()
    with st.container(key="page"):
        with st.container(key="painting"):
            picture, below = st.container(key="picture"), st.container(key="below")
        picks = st.container(key="picks")
    with below:
        line = st.empty()
        with st.container(horizontal=True, vertical_alignment="bottom", key="row"):
            strength, downloads = st.container(key="strength-slider"), st.container(key="downloads")
        strip = st.container()

    shared = shared_state()
    waiting = partial(_say, line, shared.ready.is_set)
    slot = partial(shared.limiter.slot, waiting)
    try:
        with picks:
            request = _pick(slot)
        with strength:
            st.slider("Strength", 0, 100, step=5, format="%d %%", key="strength")
        request = replace(request, alpha=st.session_state.strength / 100)
        show_address(_address(request).pairs(), KEYS)
        renderer: Renderer = st.session_state.setdefault("renderer", Renderer(stylizer, shared))
        rendered = renderer.render(request, waiting, partial(_say_compiling, line))
        line.caption(facts(request, rendered))
        with downloads:
            show_downloads(request, rendered)
        with picture:  # last, so that the downloads never lag behind the picture
            photograph = request.content.jpeg(request.size)
            painting = encode_picture(rendered.pixels, "JPEG", quality=90)
            viewer(photograph, painting, rendered.pixels.shape[:2])
        with strip:
            above = st.empty()
            show_strengths(renderer, request, partial(_say, above, shared.ready.is_set))
            above.empty()
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


def _start() -> None:
    """Begins with what the address says, when the page is opened."""
    if "styles" not in st.session_state:
        query = {key: st.query_params.get_all(key) for key in KEYS}
        address, st.session_state.unused = parse_address(query)
        start_from(address)


def _pick(slot: Callable) -> RenderRequest:
    """Shows the controls beside the painting, and returns what they ask for."""
    st.title("Paint a photograph in any style", anchor=False)
    st.markdown(
        "One network paints any photograph in any style, by "
        f"[adaptive instance normalization]({PAPER}) (Huang and Belongie, 2017)."
    )
    if st.session_state.unused:
        st.info(escape(f"Not used from the address: {', '.join(st.session_state.unused)}"))
    content = pick_content(slot)
    styles = pick_styles(slot)
    request = RenderRequest(content, styles)
    if len(styles) > 1 and st.session_state.mode == "mix":
        shares = pick_shares(styles)
        request = replace(request, style_weights=tuple(map(float, shares)) if any(shares) else ())
    if len(styles) > 1 and st.session_state.mode == "regions":
        request = replace(request, regions=pick_regions(content, styles, slot))
    request = replace(request, **pick_settings())
    st.caption(
        f"Pictures have at most {MAX_BYTES / 1e6:.0f} MB and {MAX_PIXELS / 1e6:.0f} megapixels. "
        "Yours stay in this server's memory while the page is open and some minutes after, and "
        "nobody else sees them."
    )
    return request


def _address(request: RenderRequest) -> Address:
    """The address of what is shown, without what is the user's own."""
    default, state = Address(), st.session_state
    styles = [style for style in request.styles if style.example]
    shares = [state.shares.get(style.digest, 50) for style in styles]
    return Address(
        photo=request.content.stem if request.content.example else default.photo,
        styles=tuple(style.stem for style in styles) or default.styles,
        mode=state.mode,
        shares=tuple(shares) if state.mode == "mix" and len(styles) > 1 else (),
        strength=state.strength,
        color=request.color,
        size=request.size,
        model=request.model,
        strokes=tuple(map(tuple, kept_strokes(request.content))) if request.content.example else (),
    )


def _say(line: DeltaGenerator, is_ready: Callable[[], bool], ahead: int) -> None:
    """Says on a line of the page what it waits for; see `Limiter.slot`.

    It also ends the run if the user has interacted with the page again.
    """
    people = "1 person is" if ahead == 1 else f"{ahead} people are"
    text = f"{people} before you ..." if ahead else "Painting ..."
    if not is_ready():
        text = (
            "The server has just started: it compiles its network, once, in about half a minute ..."
        )
    line.status(text, type="compact")


def _say_compiling(line: DeltaGenerator) -> None:
    line.status("Compiling for pictures like this, once ...", type="compact")


if __name__ == "__main__":  # as Streamlit runs it for `adain app`
    main()
