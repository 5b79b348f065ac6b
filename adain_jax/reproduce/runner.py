"""Runs the experiments that have no result yet, and keeps their results as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax

from adain_jax.errors import AdainError
from adain_jax.files import write_atomically
from adain_jax.reproduce.experiments import EXPERIMENTS
from adain_jax.reproduce.lab import Lab, clock
from adain_jax.reproduce.page import write_page

FOLDER = "reproduction"
"""Where results and figures are, beside the page."""


class ResultError(AdainError):
    """A result that cannot be read; the message names its file."""


def reproduce(names: Sequence[str], scale: str, lab: Lab, docs: Path) -> None:
    """Runs the experiments of these names that have no result of this scale, and writes the page.

    Args:
        names: of `EXPERIMENTS`.
        scale: of `SCALES`, by its name.
        lab: of all experiments; each gets its own name.
        docs: the folder for the page, with the results and figures in a folder beside it.

    Raises:
        AdainError: what an experiment raises; the results of those before it are kept.
    """
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lab.runs.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, 1):
        result = folder / f"{name}.json"
        if result.exists() and read_result(result).get("scale") == scale:
            print(f"{name}: has a result in {result} already", flush=True)
            continue
        print(f"{name}: experiment {number} of {len(names)}", flush=True)
        own = replace(lab, name=name, output=folder)
        began = clock()
        outcome = EXPERIMENTS[name].run(own)
        values = {
            **asdict(outcome),
            "scale": scale,
            "command": f"adain reproduce {name} --scale {scale}",
            "steps": own.steps,
            "seeds": own.scale.seeds,
            "unit": "core-minutes" if jax.default_backend() == "cpu" else "minutes",
            "seconds": round(own.earlier + clock() - began),
            "machine": machine(),
        }
        write_atomically(result, json.dumps(values, indent=1).encode())
        print(f"{name}: {outcome.verdict}", flush=True)
        write_results(docs)
    write_results(docs)


def write_results(docs: Path) -> None:
    """Writes the page from all results that there are."""
    files = {name: docs / FOLDER / f"{name}.json" for name in EXPERIMENTS}
    results = {name: read_result(file) for name, file in files.items() if file.exists()}
    write_page(docs / "reproduction.md", EXPERIMENTS, results, FOLDER)


def read_result(file: Path) -> dict[str, Any]:
    """What an experiment has left.

    Raises:
        ResultError: the file is damaged.
    """
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or "verdict" not in values:
        raise ResultError("damaged; delete it, and the experiment runs again", file)
    return values


def machine() -> str:
    """The processor or the accelerator, in words."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} x {device.device_kind}"
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if "model name" in line), name)
    available = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if available else os.cpu_count()
    return f"{cores} cores of {name}"
