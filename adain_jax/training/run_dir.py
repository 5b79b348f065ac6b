"""The files of a run that people and programs read: config.json, metrics.jsonl, curves.png."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from adain_jax.errors import AdainError
from adain_jax.files import atomic_path, write_atomically
from adain_jax.training.config import Config
from adain_jax.weights.architecture import read_architecture


class RunError(AdainError):
    """A run folder that cannot be used; the message names it."""


def agree(config: Config) -> None:
    """Writes config.json; an existing one must first describe the same run.

    Raises:
        RunError: config.json is damaged, or has other values; all that differ are named.
    """
    before = recorded(config.run_dir)
    if before is not None:
        # Options that are newer than the run: the run behaved as their defaults do now.
        before = {field.name: field.default for field in fields(Config)} | {
            "pictures": "stream",
            **before,
        }
        differing = [
            f"{key}: {before[key]!r} there, {value!r} now"
            for key, value in config.training_fields().items()
            if before[key] != value
        ]
        if differing:
            raise RunError(
                f"{config.run_dir}: holds a run with another configuration ({'; '.join(differing)}); "
                f"take another --run-dir"
            )
    config.run_dir.mkdir(parents=True, exist_ok=True)
    data = json.dumps(config.to_json(), indent=1).encode()
    write_atomically(config.run_dir / "config.json", data)


def recorded(run_dir: Path) -> dict[str, Any] | None:
    """The configuration that a run's config.json records; None if there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    file = run_dir / "config.json"
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise RunError("damaged; delete it or take another --run-dir", file)
    return values


def note_styles(run_dir: Path, names: Sequence[str]) -> None:
    """Writes styles.json: the names of a conditional network's styles, in the order of its table."""
    write_atomically(run_dir / "styles.json", json.dumps(names).encode())


def noted_styles(run_dir: Path) -> tuple[str, ...]:
    """What `note_styles` wrote; nothing where there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    file = run_dir / "styles.json"
    if not file.exists():
        return ()
    try:
        return read_architecture(
            {"transform": "conditional", "styles": file.read_text(errors="replace")}
        ).styles
    except ValueError as error:
        raise RunError(f"damaged: {error}", file) from None


class Metrics:
    """Writes metrics.jsonl: one JSON object per line, appended and flushed.

    Args:
        path: the file. Lines after step `until` are dropped: a resumed run writes them again.
        until: the step that the run starts or resumes from.
    """

    def __init__(self, path: Path, until: int):
        kept = [line for line in read_metrics(path) if line["step"] <= until]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = path.open("a")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line with the measurements of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads the lines of metrics.jsonl, except damaged ones; returns none if there is no file."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with suppress(ValueError, RecursionError):
            values = json.loads(line)
            if isinstance(values, dict) and isinstance(values.get("step"), int):
                lines.append(values)
    return lines


def plot(runs: Sequence[Path], output: Path) -> None:
    """Draws the losses of one or more runs into one picture.

    Args:
        runs: run folders.
        output: the picture to write; its suffix gives the format.

    Raises:
        RunError: a run has no metrics.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    panels = {
        "loss": "loss",
        "content_loss": "content loss",
        "style_loss": "style loss",
        "grad_norm": "gradient norm",
        "val_content_loss": "validation: content loss (by channel means)",
        "val_style_loss": "validation: style loss (by channel means)",
    }
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    for i, run in enumerate(runs):
        lines = read_metrics(run / "metrics.jsonl")
        if not lines:
            raise RunError(f"{run}: no metrics.jsonl with values in this folder")
        for axis, key in zip(axes.flat, panels, strict=True):
            points = [(line["step"], line[key]) for line in lines if key in line]
            if points:
                steps, values = zip(*points, strict=True)
                faint = len(runs) == 1 and not key.startswith("val_")
                if faint:
                    axis.plot(steps, values, color="0.8", linewidth=0.8)
                smooth = values if key.startswith("val_") else _smooth(values)
                axis.plot(steps, smooth, color=f"C{i}", label=run.name, linewidth=1.5)
    for axis, title in zip(axes.flat, panels.values(), strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(LogFormatter())
        axis.yaxis.set_minor_formatter(LogFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.set_visible(bool(axis.lines))
    if len(runs) > 1:
        axes.flat[0].legend(fontsize=8)
    with atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=110)


def _smooth(values: Sequence[float]) -> list[float]:
    """An exponential moving average over about a fiftieth of the curve."""
    keep = 1 - 1 / max(2, len(values) / 50)
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smooth.append(total / weight)
    return smooth
