"""The report of `adain evaluate --html`: one file with the table and pictures at full size."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from adain_jax.evaluation import Measured, columns
from adain_jax.images import Picture
from adain_jax.images.dtypes import to_uint8

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { padding: .2rem .7rem; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child { text-align: left; }
.pairs td { padding: .2rem; text-align: left; vertical-align: top; font-size: .8rem; }
"""


def page(
    means: Mapping[str, Mapping[str, float]], pairs: Mapping[str, Sequence[Measured]], size: int
) -> str:
    """The report as HTML that needs no other file.

    Args:
        means: the mean values of each model, as `adain_jax.evaluation.evaluate` returns them.
        pairs: the pairs to show; the same ones, in one order, for each model.
        size: side of the pictures in pixels.
    """
    first = next(iter(means.values()))
    shown = columns(first)
    table = [_row("th", ["model", *shown])]
    for model, values in means.items():
        numbers = (f"{values[key]:.3f}" for key in shown.values())
        table.append(_row("td", [escape(model), *numbers]))
    sheet = [_row("th", ["content", "style", *map(escape, means)])]
    for same in zip(*(pairs[model] for model in means), strict=True):
        cells = [_picture(same[0].content), _picture(same[0].style)]
        for pair in same:
            losses = (pair.values["content_loss"], pair.values["style_loss"])
            cells.append(f"{_picture(pair.result)}<br>Lc {losses[0]:.3f}, Ls {losses[1]:.3f}")
        sheet.append(_row("td", cells))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>adain evaluate</title>'
        f"<style>{STYLE}</style><h1>adain evaluate</h1>"
        f"<p>Means over {first['pairs']:.0f} pairs of {size} px.</p>"
        f"<table>{''.join(table)}</table><h2>The first pairs</h2>"
        f'<table class="pairs">{"".join(sheet)}</table></html>\n'
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _picture(picture: Picture) -> str:
    """A picture as an element with its own data, compressed without loss."""
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(picture)).save(buffer, "WEBP", lossless=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/webp;base64,{data}">'
