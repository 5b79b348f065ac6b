"""Two widgets that Streamlit lacks: thumbnails to pick pictures from, and a brush for regions."""

import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from adain_jax.app.uploads import Upload


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


_picture_picker = st.components.v2.component(
    "adain_gallery",
    html='<div id="list" role="group"></div>',
    css=_source("gallery.css"),
    js=_source("gallery.js"),
)
_brush = st.components.v2.component(
    "adain_brush", html=_source("brush.html"), css=_source("brush.css"), js=_source("brush.js")
)


def picture_picker(
    label: str,
    pictures: Sequence[Upload],
    picked: Sequence[Upload],
    on_pick: Callable[[str], None],
) -> None:
    """Shows thumbnails; `on_pick` is called with the digest of the one that is clicked."""
    key = f"gallery-{label}"
    data = {
        "label": label,
        "pictures": [
            {"id": one.digest, "name": one.stem, "url": _url(one.thumbnail)} for one in pictures
        ],
        "picked": [one.digest for one in picked],
    }
    _picture_picker(
        key=key, data=data, on_clicked_change=lambda: on_pick(st.session_state[key].clicked)
    )


def brush(content: Upload, styles: Sequence[Upload], strokes: list[Any]) -> list[Any]:
    """Shows the photograph to paint regions on, with `strokes`; returns the current strokes.

    Strokes are [style, width, [x, y, x, y, ...]] as the browser sends them: see
    `regions.parse_strokes`.
    """
    names = ["leave as it is", *(style.stem for style in styles)]
    key = "-".join(["brush", content.digest, *(style.digest for style in styles)])
    data = {
        "key": key,
        "url": _url(content.preview),
        "brushes": [{"style": number, "name": name} for number, name in enumerate(names)],
        "strokes": strokes,
    }
    current = _brush(key=key, data=data, on_strokes_change=lambda: None).strokes
    return strokes if current is None else current


def escape(text: str) -> str:
    """Escapes text, such as a file name, so that Markdown shows it as it is."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def _url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
