"""The controls of the page: picking pictures, mixing styles, settings."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from adain_jax.app.address import Address, Mode
from adain_jax.app.gallery import Gallery
from adain_jax.app.request import MAX_STYLES, SIZES, Color
from adain_jax.app.upload_controls import Slot, forget_problems, uploader
from adain_jax.app.uploads import Upload
from adain_jax.app.widgets import escape, picture_picker
from adain_jax.models import Model, is_available

MODES: dict[Mode, str] = {"one": "One", "mix": "A mix", "regions": "By region"}
COLORS: dict[Color, str] = {
    "none": "The style's",
    "coral": "The photograph's, freely",
    "luminance": "The photograph's, exactly",
}
SIZE_NAMES = dict(zip(SIZES, ("Small", "Medium", "Large", "Very large"), strict=True))
MODELS: dict[Model, str] = {"fast": "Fast", "vgg19": "The paper's (VGG19)"}


def start_from(address: Address) -> None:
    """Sets all controls of a new page to what its address says."""
    state = st.session_state
    state.photographs = Gallery.of("content", address.photo)
    state.styles = Gallery.of("style", *address.styles)
    state.mode, state.strength = address.mode, address.strength
    state.color, state.size, state.model = address.color, address.size, address.model
    picked = [style.digest for style in state.styles.several]
    state.shares = dict(zip(picked, address.shares, strict=False))
    state.strokes = {state.photographs.one.digest: [list(one) for one in address.strokes]}
    state.masks = {}


def pick_content(slot: Slot) -> Upload:
    """Shows the photographs and returns the picked one."""
    st.subheader("Photograph", anchor=False)
    gallery: Gallery = st.session_state.photographs
    _picker("photographs", gallery)
    uploader(gallery, "photograph", slot, camera=True)
    return gallery.one


def pick_styles(slot: Slot) -> tuple[Upload, ...]:
    """Shows the styles and returns the picked ones: several, if they go together."""
    st.subheader("Style", anchor=False)
    gallery: Gallery = st.session_state.styles
    st.segmented_control(
        "Styles",
        list(MODES),
        format_func=lambda mode: MODES[mode],
        required=True,
        key="mode",
        label_visibility="collapsed",
    )
    _picker("styles", gallery, _together)
    uploader(gallery, "style", slot, _together)
    styles = tuple(gallery.picked(_together()))
    if _together() and len(styles) == 1:
        st.info(f"Pick two to {MAX_STYLES} styles.", icon=":material/touch_app:")
    return styles


def pick_shares(styles: tuple[Upload, ...]) -> tuple[int, ...]:
    """How much of each style there is in a mix, in percent."""
    kept: dict[str, int] = st.session_state.shares
    for style in styles:
        key = f"share-{style.digest}"
        # Streamlit forgets sliders that are not shown.
        st.session_state.setdefault(key, kept.get(style.digest, 50))
        name = f"How much of {escape(style.stem)}"
        kept[style.digest] = st.slider(name, 0, 100, key=key, format="%d %%")
    return tuple(kept[style.digest] for style in styles)


def pick_settings() -> dict[str, Any]:
    """The kind of colors, the size in pixels and the model, as in `RenderRequest`."""
    models = [model for model in MODELS if is_available(model)]
    color = st.selectbox("Colors", list(COLORS), format_func=lambda one: COLORS[one], key="color")
    size = st.selectbox(
        "Size",
        SIZES,
        format_func=lambda size: f"{SIZE_NAMES[size]}, {size} px",
        help="Of the shorter side.",
        key="size",
    )
    model: Model = "fast"
    if len(models) > 1:
        name = MODELS.__getitem__
        model = st.selectbox("Network", models, format_func=name, key="model")
    return {"color": color, "size": size, "model": model}


def _together() -> bool:
    return st.session_state.mode != "one"


def _picker(label: str, gallery: Gallery, together: Callable[[], bool] = lambda: False) -> None:
    def pick(digest: str) -> None:
        forget_problems()
        # Asked again as a click arrives: the page may not have been redrawn yet.
        gallery.pick(digest, together())

    picture_picker(label, gallery.pictures, gallery.picked(together()), pick)
