"""The controls for regions of styles: a brush on the photograph, or mask pictures."""

from functools import partial
from typing import Any

import streamlit as st

from adain_jax.app.gallery import Gallery
from adain_jax.app.regions import BrushedRegions, MaskedRegions, parse_strokes
from adain_jax.app.upload_controls import TYPES, Slot, take_uploads
from adain_jax.app.uploads import Upload
from adain_jax.app.widgets import brush, escape

WAYS = BRUSH, FILES = "Paint them", "Upload masks"


def pick_regions(
    content: Upload, styles: tuple[Upload, ...], slot: Slot
) -> BrushedRegions | MaskedRegions:
    """Shows a brush, or places for masks, and returns where each style goes.

    Strokes and masks are kept while other modes are shown; strokes, for the last photograph.
    """
    st.session_state.setdefault("way", st.session_state.get("kept_way", BRUSH))
    way = st.segmented_control("Regions", WAYS, required=True, key="way")
    st.session_state.kept_way = way
    if way == BRUSH:
        st.caption("Paint on the photograph where each further style goes; the first is elsewhere.")
        strokes = brush(content, styles, kept_strokes(content))
        st.session_state.strokes = {content.digest: strokes}
        return parse_strokes(strokes, len(styles))
    st.caption(
        "A mask is a picture that is white where its style goes. Styles without share the rest."
    )
    return MaskedRegions(tuple(_pick_mask(style, slot) for style in styles))


def kept_strokes(content: Upload) -> list[Any]:
    """The strokes of the brush on this photograph."""
    return st.session_state.strokes.get(content.digest, [])


def _pick_mask(style: Upload, slot: Slot) -> Upload | None:
    masks: dict[str, Upload] = st.session_state.masks
    gallery: Gallery = st.session_state.styles
    key = f"mask-{style.digest}-{gallery.uploads}"
    file = st.file_uploader(f"Mask of {escape(style.stem)}", TYPES, key=key)
    if file:
        use = partial(masks.__setitem__, style.digest)
        take_uploads([file], gallery, slot, use, mask=True)
    mask = masks.get(style.digest)
    if mask:
        st.button(
            f"Without {escape(mask.name)}",
            key=f"without-{style.digest}",
            icon=":material/close:",
            on_click=partial(masks.__delitem__, style.digest),
        )
    return mask
