"""Measures the seconds until `infer.py` has written its file and has ended, phase by phase.

    python -m benchmarks startup [--repeats 5]

It stylizes one picture of 512 pixels with the fast network. The first run starts with an empty
compilation cache. The later runs reuse its programs; their median is reported.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(folder: Path) -> dict[str, float]:
    pictures = ROOT / "examples"
    command = [sys.executable, str(ROOT / "infer.py"), "--timing", "--overwrite"]
    command += ["--content", str(pictures / "content/cat.jpg")]
    command += ["--style", str(pictures / "style/waves.jpg"), "--output", str(folder / "out.jpg")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    start = time.perf_counter()
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall = time.perf_counter() - start
    line = next(line for line in result.stderr.splitlines() if line.startswith("timing: "))
    parts, together = line.removeprefix("timing: ").split("; ")
    words = [part.rsplit(" ", 2) for part in (together, *parts.split(", "))]
    times = {name: float(seconds) for name, seconds, _ in words}
    return {"written": times.pop("together"), "ended": wall, **times}


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Prints the table and returns its rows."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(Path(folder)) for _ in range(options.repeats + 1)]
    again = {name: statistics.median(run[name] for run in runs[1:]) for name in runs[0]}
    rows: list[dict[str, object]] = []
    for name, times in (("first run", runs[0]), ("later runs", again)):
        rows.append({"run": name, **times})
        print(f"{name:12}" + ", ".join(f"{part} {s:.2f} s" for part, s in times.items()))
    return rows
