"""The controls of the page: picking pictures, mixing styles, settings."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from adain_jax.app.address import Address, Mode
from adain_jax.app.gallery import MAX_OWN, Gallery
from adain_jax.app.limiter import BusyError
from adain_jax.app.request import MAX_STYLES, SIZES, Color
from adain_jax.app.uploads import Upload, decode_upload
from adain_jax.app.widgets import escape, picture_picker
from adain_jax.images import PictureError
from adain_jax.models import is_available
from adain_jax.weights import Model

TYPES = "image"
MODES: dict[Mode, str] = {"one": "One", "mix": "A mix", "regions": "By region"}
COLORS: dict[Color, str] = {
    "none": "The style's",
    "coral": "The photograph's, freely",
    "luminance": "The photograph's, exactly",
}
SIZE_NAMES = dict(zip(SIZES, ("Small", "Medium", "Large", "Very large"), strict=True))
MODELS: dict[Model, str] = {"fast": "Fast", "vgg19": "The paper's (VGG19)"}

Slot = Callable[[], AbstractContextManager[None]]  # waits for a slot of the limiter


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
    _uploader(gallery, "photograph", slot, camera=True)
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
    _uploader(gallery, "style", slot, _together)
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


def _apart() -> bool:
    return False


def _forget_problems() -> None:
    for gallery in (st.session_state.photographs, st.session_state.styles):
        gallery.problems = []


def _picker(label: str, gallery: Gallery, together: Callable[[], bool] = _apart) -> None:
    def pick(digest: str) -> None:
        _forget_problems()
        # Asked again as a click arrives: the page may not have been redrawn yet.
        gallery.pick(digest, together())

    picture_picker(label, gallery.pictures, gallery.picked(together()), pick)


def _uploader(
    gallery: Gallery,
    what: str,
    slot: Slot,
    together: Callable[[], bool] = _apart,
    camera: bool = False,
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
        take_uploads(files, gallery, slot, lambda upload: gallery.add(upload, together()))
    for problem in gallery.problems:
        st.error(escape(problem))


def take_uploads(
    files: Sequence[UploadedFile],
    gallery: Gallery,
    slot: Slot,
    use: Callable[[Upload], None],
    mask: bool = False,
) -> NoReturn:
    """Hands files to `use` once they are checked, and draws the page anew; old errors go."""
    gallery.uploads += 1
    _forget_problems()
    for file in files[:MAX_OWN]:
        try:
            with slot():
                use(decode_upload(file.name, file.getvalue(), mask=mask))
        except PictureError as error:
            gallery.problems.append(str(error))
        except BusyError:
            gallery.problems.append("Very many people are painting just now. Please upload again.")
    st.rerun()
