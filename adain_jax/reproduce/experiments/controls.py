"""Figures 7, 8 and 9: strength, interpolation, and control by place and color."""

from itertools import pairwise

import numpy as np

from adain_jax.color import coral, keep_chroma
from adain_jax.images import Picture, read_mask
from adain_jax.inference.stylizer import Stylizer
from adain_jax.reproduce.figures import draw_curves, panels
from adain_jax.reproduce.lab import SHOWN_CONTENTS, SHOWN_STYLES, Experiment, Lab, Outcome
from adain_jax.style import mix

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
GRID = 5


def run(lab: Lab) -> Outcome:
    """Paints the project's own examples with the network that ships."""
    stylizer = Stylizer.load()
    contents, paintings = lab.example("content", SHOWN_CONTENTS), lab.example("style", SHOWN_STYLES)
    strength, strength_figures = _strength(lab, stylizer, contents, paintings)
    corners, corner_figure = _interpolation(lab, stylizer, contents[1], paintings)
    places, place_figure = _places(lab, stylizer, contents[3], paintings)
    colors, color_figure = _colors(lab, stylizer, contents, paintings)
    rising = all(b > a for a, b in pairwise(strength["change"]))
    falling = all(b < a for a, b in pairwise(strength["Ls"]))
    kept = max(colors["coral"], colors["luminance"]) < colors["plain"]
    found = {
        "Ls falls with every step of the strength": falling,
        "the difference from the content grows with it": rising,
        "each corner of the interpolation is the pure style": corners < 1e-3,
        "each region is nearer to its own style than to the other": places["own"] < places["other"],
        "both ways of keeping colors bring them nearer to the content's": kept,
    }
    failed = [claim for claim, held in found.items() if not held]
    verdict = "Holds: " + ", ".join(found) if not failed else "Not all holds: it is not so that "
    return Outcome(
        f"{verdict}{', nor that '.join(failed)}.",
        ["strength", "Ls (squared difference)", "mean change of a pixel (of 1)"],
        [
            [f"{alpha:g}", f"{ls:.3g}", f"{change:.3g}"]
            for alpha, ls, change in zip(ALPHAS, strength["Ls"], strength["change"], strict=True)
        ],
        {"strength": strength, "corners": corners, "places": places, "colors": colors},
        [*strength_figures, corner_figure, place_figure, color_figure],
    )


def _strength(
    lab: Lab, stylizer: Stylizer, contents: list[Picture], paintings: list[Picture]
) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    """Ls, and how far pixels move, at each strength; means over all contents and styles."""
    photographs, styles = (np.stack(x) for x in (contents, paintings))
    rows: dict[str, list[list[float]]] = {"Ls": [], "change": []}
    cells: dict[tuple[int, int], Picture] = {}
    for i, alpha in enumerate(ALPHAS):
        painted = stylizer(photographs, styles, alpha)
        rows["Ls"].append(lab.losses(photographs, styles, painted)["Ls"])
        rows["change"].append(np.abs(painted - photographs).mean((1, 2, 3)).tolist())
        cells |= {(j, i): painted[j] for j in range(2)}
    figure = panels(["style", "content"])
    for axis, (key, label) in zip(
        figure.axes,
        {
            "Ls": "style loss Ls (squared difference)",
            "change": "mean change of a pixel (of 1)",
        }.items(),
        strict=True,
    ):
        of_pairs = {f"{len(contents)} pairs": (ALPHAS, list(zip(*rows[key], strict=True)))}
        draw_curves(axis, of_pairs, "strength (alpha of eq. 14)", label, log=key == "Ls")
    means = {key: [float(np.mean(own)) for own in of] for key, of in rows.items()}
    sheet = lab.sheet(cells, [""] * 2, [f"alpha {alpha:g}" for alpha in ALPHAS], "-strength")
    return means, [
        (lab.figure(figure), "Strength (figure 7): means and deviations over pairs"),
        (sheet, "Strength, from the decoded content to the full style"),
    ]


def _interpolation(
    lab: Lab, stylizer: Stylizer, content: Picture, paintings: list[Picture]
) -> tuple[float, tuple[str, str]]:
    """How far the corners are from the pure styles, at most; and the grid between them."""
    styles = [stylizer.encode_style(painting) for painting in paintings]
    shares = np.linspace(0, 1, GRID)
    cells = {
        (i, j): stylizer(content, mix(styles, [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]))
        for i, y in enumerate(shares)
        for j, x in enumerate(shares)
    }
    ends = [(i, j) for i in (0, GRID - 1) for j in (0, GRID - 1)]
    differences = [
        np.abs(cells[end] - stylizer(content, style)).max()
        for end, style in zip(ends, styles, strict=True)
    ]
    name = lab.sheet(cells, [""] * GRID, [""] * GRID, "-interpolation")
    return float(max(differences)), (name, "Four styles in the corners, mixed between (figure 8)")


def _places(
    lab: Lab, stylizer: Stylizer, content: Picture, paintings: list[Picture]
) -> tuple[dict[str, float], tuple[str, str]]:
    """How far each region is from the whole in its style, and from the whole in the other."""
    side = content.shape[:2]
    masks = [
        read_mask(lab.examples / "masks" / f"{name}.png", side, size=side[0], crop=True)
        for name in ("sky", "ground")
    ]
    styles = stylizer.encode_style(paintings[1:3])
    together = stylizer(content, styles, masks=masks)
    whole = [stylizer(content, styles[i]) for i in (0, 1)]
    distance = {
        key: float(
            np.mean(
                [
                    np.abs(together - whole[i if key == "own" else 1 - i])[masks[i] > 0.9].mean()
                    for i in (0, 1)
                ]
            )
        )
        for key in ("own", "other")
    }
    cells = {(0, i): picture for i, picture in enumerate([content, *whole, together])}
    columns = ["content", SHOWN_STYLES[1], SHOWN_STYLES[2], "sky and ground"]
    return distance, (
        lab.sheet(cells, [""], columns, "-places"),
        "A style for each place (figure 9)",
    )


def _colors(
    lab: Lab, stylizer: Stylizer, contents: list[Picture], paintings: list[Picture]
) -> tuple[dict[str, float], tuple[str, str]]:
    """Difference of the mean colors of content and result, by each way; means over pairs."""
    cells: dict[tuple[int, int], Picture] = {}
    found = {"plain": 0.0, "coral": 0.0, "luminance": 0.0}
    for i, (content, painting) in enumerate(zip(contents, paintings, strict=True)):
        plain = stylizer(content, painting)
        results = {
            "plain": plain,
            "coral": stylizer(content, np.asarray(coral(painting, content), np.float32)),
            "luminance": np.clip(keep_chroma(content, plain), 0, 1),
        }
        for name, result in results.items():
            chroma = (picture - picture.mean(-1, keepdims=True) for picture in (result, content))
            difference = np.subtract(*(one.mean((0, 1)) for one in chroma))
            found[name] += float(np.abs(difference).mean()) / len(contents)
        cells |= {(i, j): one for j, one in enumerate([content, painting, *results.values()])}
    sheet = lab.sheet(cells, [""] * len(contents), ["content", "style", *found], "-colors")
    return found, (sheet, "The content's colors kept, in two ways (figure 9)")


EXPERIMENT = Experiment(
    "controls",
    "Strength, interpolation, place and color",
    "section 7.3, figures 7, 8 and 9",
    "Without any training for it, the strength of the style, mixtures of styles, and the place and "
    "color of each are chosen at run time.",
    "The network that ships paints the project's own pictures.",
    run,
)
