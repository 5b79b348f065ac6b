"""Measures time and memory against pixels: one 8-bit picture, in automatically chosen tiles.

    python -m benchmarks large [--models fast vgg19] [--large-sides 512 1024 2048 4096 8192]

Each case runs in its own process, after a first run that compiles and does not count. Its runs
alternate with runs of a picture of 1024 x 1024 pixels. "ratio" is its time divided by theirs, which
cancels variations in the speed of the machine. Times are medians of several rounds. The exponent is
the slope of time against pixels, on logarithmic axes, from 1024 to the largest side: 1 is linear.
The overhead is the additional time of tiles of 1024 pixels for a picture of 2048 x 2048.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal, cast

from benchmarks.inference import random_params, timed

if TYPE_CHECKING:
    from adain_jax.models import Model

UNIT = 1024  # pixels per side


def run_case(model: "Model", side: int, tile: Literal["auto", "off"] | int) -> dict[str, float]:
    """Measures one case in this process."""
    import numpy as np

    from adain_jax import Stylizer

    params = random_params(model)
    stylizer = Stylizer(params, model=model, tile=tile)
    rng = np.random.default_rng(0)
    picture, unit = (rng.integers(0, 256, (n, n, 3), np.uint8) for n in (side, UNIT))
    style = stylizer.encode_style(picture[:512, :512])

    def run(picture: np.ndarray) -> tuple[float, float]:
        return timed(lambda: stylizer(picture, style))

    run(picture), run(unit)
    repeats, around = (5, 1) if side <= 2048 else (3, 3)
    turns = []
    for _ in range(repeats):
        units = [run(unit)[0] for _ in range(around)]
        seconds, cpu = run(picture)
        units += [run(unit)[0] for _ in range(around)]
        turns.append((seconds, cpu, seconds / statistics.median(units)))
    seconds, cpu, ratio = map(statistics.median, zip(*turns, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu_s": cpu, "ratio": ratio, "peak_mib": peak}


def spawn(model: str, side: int, tile: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.large", model, str(side), tile]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def add_options(parser: argparse.ArgumentParser) -> None:
    sides = [512, 1024, 2048, 4096, 8192]
    parser.add_argument("--large-sides", type=int, nargs="+", default=sides)


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Prints the table and returns its rows."""
    rows: list[dict[str, object]] = []
    print(
        f"{'model':8}{'side':>6}{'tile':>6}{'s':>9}{'cpu s':>9}{'s/Mpx':>8}{'ratio':>8}{'peak MiB':>10}"
    )
    for model in options.models:
        sizes = [(side, "auto") for side in options.large_sides]
        if 2048 in options.large_sides:
            sizes += [(2048, "off"), (2048, "1024")]
        ratios: dict[tuple[int, str], float] = {}
        for side, tile in sizes:
            case = spawn(model, side, tile)
            ratios[side, tile] = case["ratio"]
            rows.append({"model": model, "side": side, "tile": tile, **case})
            per_megapixel = case["seconds"] / side**2 * 2**20
            line = f"{model:8}{side:6}{tile:>6}{case['seconds']:9.2f}{case['cpu_s']:9.2f}"
            print(
                f"{line}{per_megapixel:8.3f}{case['ratio']:8.2f}{case['peak_mib']:10.0f}",
                flush=True,
            )
        largest = max(options.large_sides)
        if largest > UNIT:
            exponent = math.log(ratios[largest, "auto"]) / math.log((largest / UNIT) ** 2)
            print(f"{model}: exponent from {UNIT} to {largest}: {exponent:.3f}")
        if (2048, "1024") in ratios:
            overhead = ratios[2048, "1024"] / ratios[2048, "off"] - 1
            print(f"{model}: overhead of tiles of 1024 at 2048: {overhead:+.1%}")
    return rows


if __name__ == "__main__":  # one case, in its own process
    model, side, tile = sys.argv[1:]
    kept: Any = int(tile) if tile.isdigit() else tile
    print(json.dumps(run_case(cast("Model", model), int(side), kept)))
