"""Widgets that Streamlit lacks: thumbnails to click, a brush, a view of the painting, the address."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from adain_jax.app.uploads import Upload


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


_thumbnails = st.components.v2.component(
    "adain_gallery",
    html='<div id="list" role="group"></div>',
    css=_source("gallery.css"),
    js=_source("gallery.js"),
)
_brush = st.components.v2.component(
    "adain_brush", html=_source("brush.html"), css=_source("brush.css"), js=_source("brush.js")
)
_viewer = st.components.v2.component(
    "adain_viewer", html=_source("viewer.html"), css=_source("viewer.css"), js=_source("viewer.js")
)
_address = st.components.v2.component("adain_address", js=_source("address.js"))


def picture_picker(
    label: str,
    pictures: Sequence[Upload],
    picked: Sequence[Upload],
    on_pick: Callable[[str], None],
) -> None:
    """Shows thumbnails; `on_pick` is called with the digest of the one that is clicked."""
    badges = {one.digest: str(place) for place, one in enumerate(picked, 1) if len(picked) > 1}
    _click(
        label,
        [
            {
                "id": one.digest,
                "name": one.stem,
                "url": _url(one.thumbnail),
                "badge": badges.get(one.digest, ""),
                "pressed": one in picked,
            }
            for one in pictures
        ],
        on_pick,
    )


def strength_picker(
    paintings: Mapping[int, bytes], strength: int, on_pick: Callable[[int], None]
) -> None:
    """Shows JPEGs by their strength in percent; `on_pick` is called with the one clicked."""
    _click(
        "strengths",
        [
            {
                "id": str(percent),
                "name": f"{percent} %",
                "url": _url(jpeg),
                "badge": f"{percent} %",
                "pressed": percent == strength,
            }
            for percent, jpeg in paintings.items()
        ],
        lambda one: on_pick(int(one)),
    )


def viewer(photograph: bytes, painting: bytes, size: tuple[int, int]) -> None:
    """Shows a painting, a JPEG of (height, width) pixels, over its photograph, and a slider between."""
    data = {"before": _url(photograph), "after": _url(painting)}
    _viewer(key="viewer-of-painting", data={**data, "height": size[0], "width": size[1]})


def show_address(pairs: Sequence[tuple[str, str]], keys: Sequence[str]) -> None:
    """Writes keys and values into the page's address, in place of what there is of these keys."""
    _address(key="address-of-page", data={"pairs": list(pairs), "keys": list(keys)})


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


def _click(label: str, things: list[dict[str, Any]], on_click: Callable[[str], None]) -> None:
    key = f"gallery-{label}"
    # What the browser sends may be anything: only what is shown can be clicked.
    ids = {thing["id"] for thing in things}

    def clicked() -> None:
        if (one := st.session_state[key].clicked) in ids:
            on_click(one)

    _thumbnails(key=key, data={"label": label, "things": things}, on_clicked_change=clicked)


def escape(text: str) -> str:
    """Escapes text, such as a file name, so that Markdown shows it as it is."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def _url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
