"""Variants of the decoder side by side: their runs, curves, pictures and numbers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.reproduce.figures import draw_curves, panels
from adain_jax.reproduce.lab import Lab
from adain_jax.reproduce.verdicts import spread

KEYS = {"Lc": "val_content_loss", "Ls": "val_style_loss"}
LABELS = {
    "Lc": "content loss Lc (squared difference)",
    "Ls": "style loss Ls (squared difference)",
}

Painter = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From contents and styles to results, all float32 (n, h, w, 3)."""
Variants = Mapping[str, Mapping[str, Any]]
"""The options of training of each variant, by its name in the figure."""


def train_variants(lab: Lab, variants: Variants) -> dict[str, list[Path]]:
    """The runs of each variant, one for each seed; seed by seed, for all to have one early."""
    runs: dict[str, list[Path]] = {name: [] for name in variants}
    for seed in lab.seeds:
        for name, options in variants.items():
            slug = "-".join(str(value) for value in options.values()) or "plain"
            runs[name].append(lab.train(seed, slug.replace("_", "-"), **options))
    return runs


def draw_losses(lab: Lab, runs: Mapping[str, Sequence[Path]]) -> tuple[str, str]:
    """The curves of Lc and Ls; returns the figure's file and caption."""
    figure = panels(list(KEYS))
    for axis, (loss, key) in zip(figure.axes, KEYS.items(), strict=True):
        curves = {name: lab.curve(own, key) for name, own in runs.items()}
        draw_curves(axis, curves, "training step", LABELS[loss])
    return lab.figure(figure), (
        f"Losses on {len(lab.pairs[0])} pairs that were not trained on: means over "
        f"{len(lab.seeds)} seeds, bars of one standard deviation"
    )


def measured(lab: Lab, runs: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, list[float]]]:
    """Of each variant, for each seed: Lc and Ls at the end, and their means along the curve."""
    numbers: dict[str, dict[str, list[float]]] = {}
    for name, own in runs.items():
        numbers[name] = {}
        for loss, key in KEYS.items():
            _, rows = lab.curve(own, key)
            numbers[name][f"{loss} at the end"] = [row[-1] for row in rows]
            # Without the beginning, which no training has changed.
            numbers[name][f"{loss} along the curve"] = [float(np.mean(row[1:])) for row in rows]
    return numbers


def table(
    numbers: Mapping[str, Mapping[str, Sequence[float]]],
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: means and deviations over the seeds."""
    keys = list(next(iter(numbers.values())))
    rows = [[name, *(str(spread(own[key])) for key in keys)] for name, own in numbers.items()]
    return ["", *keys], rows


def sheet_of(lab: Lab, painters: Mapping[str, Painter]) -> tuple[str, str]:
    """Examples, and what each variant makes of them; returns the file and the caption."""
    contents, styles = lab.shown
    painted = {name: paint(contents, styles) for name, paint in painters.items()}
    columns = {"content": contents, "style": styles, **painted}
    cells = {(i, j): one[i] for j, one in enumerate(columns.values()) for i in range(len(contents))}
    return lab.sheet(cells, [""] * len(contents), list(columns)), "Examples, by the first seed"
