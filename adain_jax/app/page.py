"""The page: what stands where, and what happens when it is touched."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from starlette.formparsers import MultiPartParser
from streamlit.delta_generator import DeltaGenerator

from adain_jax import Stylizer, weights
from adain_jax.app.gallery import MAX_BYTES, OWN, Shelf, Upload, receive
from adain_jax.app.limiter import BusyError
from adain_jax.app.renderer import (
    MAX_STYLES,
    SIZES,
    STYLE_SIZE,
    TURNS,
    Brushed,
    Color,
    Masked,
    Painted,
    Painter,
    Painting,
    load_stylizer,
    strokes,
)
from adain_jax.app.widgets import brush, gallery
from adain_jax.images import PictureError
from adain_jax.weights import Model, WeightsError

# Uploads stay in memory while they arrive, where Starlette would put those over 1 MB into a file.
MultiPartParser.spool_max_size = 2 * MAX_BYTES

PAPER = "https://arxiv.org/abs/1703.06868"
TYPES = "image"
ONE, MIX, REGIONS = "One", "A mix", "By region"
BRUSH, FILES = "Paint them", "Upload masks"
COLORS: dict[Color, str] = {
    "none": "The style's",
    "coral": "The photograph's, freely",
    "luminance": "The photograph's, exactly",
}
SIZE_NAMES = dict(zip(SIZES, ("Small", "Medium", "Large", "Very large"), strict=True))
MODELS: dict[Model, str] = {"fast": "Fast", "vgg19": "The paper's (VGG19)"}
STRIP = (0.0, 0.25, 0.5, 0.75, 1.0)

Say = Callable[[int], None]


def main() -> None:
    """One run of the page, from top to bottom, as Streamlit does after every touch."""
    st.set_page_config("Paint a photograph in any style", "🎨", layout="wide")
    st.title("Paint a photograph in any style", anchor=False)
    st.markdown(
        "Pick a photograph and a style: one network paints any photograph in any style, by "
        f"[adaptive instance normalisation]({PAPER}) (Huang and Belongie, 2017)."
    )
    picks, result = st.columns([2, 3], gap="large")
    with result:
        pictures, below, settings, strip = (st.container() for _ in range(4))
    with below:
        line = st.empty()

    say = _teller(line)
    try:
        with picks:
            content = _pick_content(say)
            styles, shares, regions = _pick_styles(say)
            st.caption(
                "Your pictures stay in this server's memory while the page is open and some minutes "
                "after, and nobody else sees them."
            )
        with settings:
            wanted = Painting(content, styles, regions, shares, *_settings())
        with pictures:
            before, after = st.columns(2)
        with before:
            wanted = _before(wanted)
        painter: Painter = st.session_state.setdefault("painter", Painter(_stylizer))
        painted = painter.paint(wanted, say)
        height, width = painted.pixels.shape[:2]
        line.caption(f"{width} x {height} pixels, painted in {painted.seconds:.2f} s")
        with below:
            _downloads(wanted, painted)
        with after:  # last, so that what is seen is what one downloads
            st.image(painted.pixels, "Painting", "stretch", output_format="JPEG", alt="Painting")
        with strip:
            _strip(painter, wanted)
    except BusyError:
        line.warning("Very many people are painting just now. Please try again in a minute.")
        below.button("Try again")
    except (PictureError, WeightsError) as error:
        line.error(_plain(str(error)))


def _teller(line: DeltaGenerator) -> Say:
    """Tells on a line of the page what is waited for; ends the run if the page was touched again."""

    def say(ahead: int) -> None:
        people = "1 person is" if ahead == 1 else f"{ahead} people are"
        line.status(f"{people} before you ..." if ahead else "Painting ...", type="compact")

    return say


@st.cache_resource(show_spinner=False)
def _stylizer(model: Model) -> Stylizer:
    stylizer = load_stylizer(model)
    # What the first painting needs is compiled now, not while it is timed.
    stylizer(np.zeros((512, 768, 3), np.float32), np.zeros((STYLE_SIZE,) * 2 + (3,), np.float32))
    return stylizer


def _pick_content(say: Say) -> Upload:
    st.subheader("Photograph", anchor=False)
    shelf: Shelf = st.session_state.setdefault("photographs", Shelf.of("content", "cat"))
    gallery("photographs", shelf.pictures, shelf.picked, shelf.pick)
    _bring(shelf, "photograph", say, camera=True)
    return shelf.picked[0]


def _pick_styles(say: Say) -> tuple[tuple[Upload, ...], tuple[float, ...], Brushed | Masked | None]:
    """The styles, their shares if they are mixed, and their regions if each has its own."""
    st.subheader("Style", anchor=False)
    shelf: Shelf = st.session_state.setdefault("styles", Shelf.of("style", "marbling"))
    combine = st.segmented_control(
        "Styles",
        (ONE, MIX, REGIONS),
        default=ONE,
        required=True,
        key="combine",
        label_visibility="collapsed",
    )
    at_most = _at_most()
    shelf.picked = shelf.picked[-at_most:]
    # A pick counts by what is chosen when it arrives: the page may not be drawn anew since.
    gallery("styles", shelf.pictures, shelf.picked, lambda one: shelf.pick(one, _at_most()))
    _bring(shelf, "style", say, at_most)
    styles = tuple(shelf.picked)
    if combine != ONE and len(styles) == 1:
        st.info(f"Pick two to {MAX_STYLES} styles.", icon=":material/touch_app:")
    if combine == MIX and len(styles) > 1:
        shares = tuple(
            st.slider(f"How much of {_plain(style.stem)}", 0, 100, 50, key=f"share-{style.digest}")
            for style in styles
        )
        return styles, tuple(map(float, shares)) if any(shares) else (), None
    if combine == REGIONS and len(styles) > 1:
        return styles, (), _regions(styles, say)
    return styles, (), None


def _at_most() -> int:
    """So many styles may be picked."""
    return 1 if st.session_state.combine == ONE else MAX_STYLES


def _regions(styles: tuple[Upload, ...], say: Say) -> Brushed | Masked:
    way = st.segmented_control("Regions", (BRUSH, FILES), default=BRUSH, required=True)
    if way == BRUSH:
        st.caption("Paint on the photograph where each further style goes; the first is elsewhere.")
        return Brushed()
    st.caption(
        "A mask is a picture that is white where its style goes. Styles without share the rest."
    )
    masks: list[Upload | None] = []
    for style in styles:
        file = st.file_uploader(f"Mask of {_plain(style.stem)}", TYPES, key=f"mask-{style.digest}")
        masks.append(None)
        if file:
            try:
                with TURNS.turn(say):
                    masks[-1] = receive(file.name, file.getvalue())
            except PictureError as error:
                st.error(_plain(str(error)))
    return Masked(tuple(masks))


def _bring(shelf: Shelf, what: str, say: Say, at_most: int = 1, camera: bool = False) -> None:
    """Takes pictures from the user's files or camera onto a shelf."""
    # Widgets under a new name after each upload: Streamlit then lets go of the files.
    key = f"{what}-{shelf.received}"
    files = st.file_uploader(
        f"Your own {what}", TYPES, accept_multiple_files=True, key=key, label_visibility="collapsed"
    )
    if camera and st.toggle("Use the camera", key=f"{key}-camera"):
        shot = st.camera_input("Camera", key=f"{key}-shot", label_visibility="collapsed")
        files = [*files, shot] if shot else files
    if files:
        shelf.received += 1
        shelf.problems = []
        for file in files[:OWN]:
            try:
                with TURNS.turn(say):
                    shelf.add(receive(file.name, file.getvalue()), at_most)
            except PictureError as error:
                shelf.problems.append(str(error))
        st.rerun()
    for problem in shelf.problems:
        st.error(_plain(problem))


def _settings() -> tuple[float, Color, int, Model]:
    """Strength, whose colours, size and model."""
    alpha = st.slider("Strength", 0, 100, 100, 5, format="%d %%") / 100
    models = [model for model in MODELS if _is_available(model)]
    columns = st.columns(3 if len(models) > 1 else 2)
    color = columns[0].selectbox("Colours", list(COLORS), format_func=lambda one: COLORS[one])
    size = columns[1].selectbox(
        "Size",
        SIZES,
        index=1,
        format_func=lambda size: f"{SIZE_NAMES[size]}, {size} px",
        help="Of the shorter side.",
    )
    model: Model = "fast"
    if len(models) > 1:
        model = columns[2].selectbox("Network", models, format_func=lambda one: MODELS[one])
    return alpha, color, size, model


def _is_available(model: Model) -> bool:
    kinds: dict[Model, tuple[weights.Kind, ...]] = {
        "fast": ("fast",),
        "vgg19": ("vgg19-encoder", "vgg19-decoder"),
    }
    return all(weights.default_path(kind).exists() for kind in kinds[model])


def _before(wanted: Painting) -> Painting:
    """Shows the photograph, where need be with a brush, and takes what was painted on it."""
    if not isinstance(wanted.regions, Brushed):
        st.image(wanted.content.preview, "Photograph", "stretch", alt="Photograph")
        return wanted
    kept: dict[str, list[Any]] = st.session_state.setdefault("strokes", {})
    known = kept.get(wanted.content.digest, [])
    painted = brush(wanted.content, wanted.styles, known)
    st.session_state.strokes = {wanted.content.digest: painted}
    return replace(wanted, regions=strokes(painted, len(wanted.styles)))


def _downloads(wanted: Painting, painted: Painted) -> None:
    name = "_".join([wanted.content.stem, "in", *(style.stem for style in wanted.styles)])
    with st.container(horizontal=True):
        for suffix, kind, options in (
            ("png", "PNG", {}),
            ("jpg", "JPEG", {"quality": 95, "subsampling": 0}),
        ):
            st.download_button(
                f"Download {kind}",
                _encoder(painted, kind, options),
                f"{name}.{suffix}",
                f"image/{kind.lower()}",
                on_click="ignore",
                icon=":material/download:",
            )


def _encoder(painted: Painted, kind: str, options: dict[str, int]) -> Callable[[], bytes]:
    """Makes a file once it is asked for."""

    def encode() -> bytes:
        data = io.BytesIO()
        Image.fromarray(painted.pixels).save(data, kind, **options)
        return data.getvalue()

    return encode


def _strip(painter: Painter, wanted: Painting) -> None:
    """The same in all strengths, small."""
    if st.toggle("Show all strengths"):
        line = st.empty()
        small = [replace(wanted, alpha=alpha, size=SIZES[0]) for alpha in STRIP]
        painted = [painter.paint(one, _teller(line)) for one in small]
        line.empty()
        with st.container(horizontal=True):
            for alpha, one in zip(STRIP, painted, strict=True):
                name = f"{alpha:.0%}"
                st.image(one.pixels, name, 112, output_format="JPEG", alt=name)


def _plain(text: str) -> str:
    """Text for Markdown that holds a file's name: nothing in it means anything."""
    return re.sub(r"([^\w\s])", r"\\\1", text)
