"""Figures in one style: they are read in gray, say their units, and show the spread over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adain_jax.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "savefig.dpi": 120,
}
# Each lighter than the one before, with a line and a mark of its own.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": "-", "marker": "o"},
    {"color": "#a13d2d", "linestyle": "--", "marker": "s"},
    {"color": "#3f88c5", "linestyle": "-.", "marker": "^"},
    {"color": "#e0a458", "linestyle": ":", "marker": "D"},
    {"color": "#7d7d7d", "linestyle": (0, (1, 1)), "marker": "v"},
    {"color": "#b9d3a7", "linestyle": (0, (5, 1)), "marker": "P"},
)

Curve = tuple[Sequence[float], Sequence[Sequence[float]]]
"""The places x, and for each seed the values there."""


def panels(titles: Sequence[str], width: float = 3.6, height: float = 3.0) -> "Figure":
    """A figure with panels side by side."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width * len(titles), height), layout="constrained")
        for axis, title in zip(np.ravel(figure.subplots(1, len(titles))), titles, strict=True):
            axis.set_title(title)
    return figure


def draw_curves(
    axis: "Axes", curves: Mapping[str, Curve], xlabel: str, ylabel: str, *, log: bool = True
) -> None:
    """Means over the seeds, with bars of one standard deviation to either side."""
    for (name, (x, values)), look in zip(curves.items(), LOOKS, strict=False):
        rows = np.array(values)
        deviation = rows.std(0, ddof=1) if len(rows) > 1 else None
        axis.errorbar(
            x, rows.mean(0), deviation, label=name, markersize=3, linewidth=1.2, capsize=2, **look
        )
    if log:
        axis.set_yscale("log")
        label_plainly(axis.yaxis)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)


def label_plainly(axis: "Axis") -> None:
    """Labels a logarithmic axis with numbers such as 0.2, 1 and 50, not with powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def add_legend(figure: "Figure") -> None:
    """One legend for all panels, below them, where it hides nothing."""
    handles = {
        label: handle
        for axis in figure.axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if len(handles) > 1:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)


def save_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure with its legend, whole or not at all."""
    from matplotlib import rc_context

    with rc_context(STYLE), atomic_path(path) as temporary:
        add_legend(figure)
        figure.savefig(temporary)
