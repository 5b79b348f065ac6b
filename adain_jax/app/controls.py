"""The controls of the page: picking pictures, mixing styles, regions, settings."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import streamlit as st

from adain_jax.app.gallery import MAX_OWN, Gallery
from adain_jax.app.regions import BrushedRegions, MaskedRegions
from adain_jax.app.request import MAX_STYLES, SIZES, Color
from adain_jax.app.uploads import Upload, decode_upload
from adain_jax.app.widgets import escape, picture_picker
from adain_jax.images import PictureError
from adain_jax.models import Model, is_available

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

Slot = Callable[[], AbstractContextManager[None]]  # waits for a slot of the limiter
Regions = BrushedRegions | MaskedRegions


def pick_content(slot: Slot) -> Upload:
    """Shows the photographs and returns the picked one."""
    st.subheader("Photograph", anchor=False)
    gallery: Gallery = st.session_state.setdefault("photographs", Gallery.of("content", "cat"))
    picture_picker("photographs", gallery.pictures, gallery.picked, gallery.pick)
    _uploader(gallery, "photograph", slot, camera=True)
    return gallery.picked[0]


def pick_styles(slot: Slot) -> tuple[tuple[Upload, ...], tuple[float, ...], Regions | None]:
    """Returns the picked styles, their weights if mixed, and their regions if each has its own."""
    st.subheader("Style", anchor=False)
    gallery: Gallery = st.session_state.setdefault("styles", Gallery.of("style", "marbling"))
    combination = st.segmented_control(
        "Styles",
        (ONE, MIX, REGIONS),
        default=ONE,
        required=True,
        key="combination",
        label_visibility="collapsed",
    )
    at_most = _max_styles()
    gallery.picked = gallery.picked[-at_most:]
    # The limit is read again when a click arrives: the page may not have been redrawn yet.
    picture_picker(
        "styles", gallery.pictures, gallery.picked, lambda one: gallery.pick(one, _max_styles())
    )
    _uploader(gallery, "style", slot, at_most)
    styles = tuple(gallery.picked)
    if combination != ONE and len(styles) == 1:
        st.info(f"Pick two to {MAX_STYLES} styles.", icon=":material/touch_app:")
    if combination == MIX and len(styles) > 1:
        style_weights = tuple(
            st.slider(f"How much of {escape(style.stem)}", 0, 100, 50, key=f"share-{style.digest}")
            for style in styles
        )
        return styles, tuple(map(float, style_weights)) if any(style_weights) else (), None
    if combination == REGIONS and len(styles) > 1:
        return styles, (), _pick_regions(styles, slot)
    return styles, (), None


def pick_settings() -> tuple[float, Color, int, Model]:
    """Returns the strength (0 to 1), the kind of colors, the size in pixels and the model."""
    alpha = st.slider("Strength", 0, 100, 100, 5, format="%d %%") / 100
    models = [model for model in MODELS if is_available(model)]
    columns = st.columns(3 if len(models) > 1 else 2)
    color = columns[0].selectbox("Colors", list(COLORS), format_func=lambda one: COLORS[one])
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


def _max_styles() -> int:
    return 1 if st.session_state.combination == ONE else MAX_STYLES


def _pick_regions(styles: tuple[Upload, ...], slot: Slot) -> Regions:
    way = st.segmented_control("Regions", (BRUSH, FILES), default=BRUSH, required=True)
    if way == BRUSH:
        st.caption("Paint on the photograph where each further style goes; the first is elsewhere.")
        return BrushedRegions()
    st.caption(
        "A mask is a picture that is white where its style goes. Styles without share the rest."
    )
    masks: list[Upload | None] = []
    for style in styles:
        file = st.file_uploader(f"Mask of {escape(style.stem)}", TYPES, key=f"mask-{style.digest}")
        masks.append(None)
        if file:
            try:
                with slot():
                    masks[-1] = decode_upload(file.name, file.getvalue())
            except PictureError as error:
                st.error(escape(str(error)))
    return MaskedRegions(tuple(masks))


def _uploader(
    gallery: Gallery, what: str, slot: Slot, at_most: int = 1, camera: bool = False
) -> None:
    """Adds pictures from the user's files or camera to a gallery."""
    # Each upload gives the widgets new keys, and Streamlit then drops the files of the old ones.
    key = f"{what}-{gallery.uploads}"
    files = st.file_uploader(
        f"Your own {what}", TYPES, accept_multiple_files=True, key=key, label_visibility="collapsed"
    )
    if camera and st.toggle("Use the camera", key=f"{key}-camera"):
        shot = st.camera_input("Camera", key=f"{key}-shot", label_visibility="collapsed")
        files = [*files, shot] if shot else files
    if files:
        gallery.uploads += 1
        gallery.problems = []
        for file in files[:MAX_OWN]:
            try:
                with slot():
                    gallery.add(decode_upload(file.name, file.getvalue()), at_most)
            except PictureError as error:
                gallery.problems.append(str(error))
        st.rerun()
    for problem in gallery.problems:
        st.error(escape(problem))
