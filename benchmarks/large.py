"""Time and memory against pixels: one picture of 8 bits per channel, in the tiles chosen for it.

    python -m benchmarks large [--models fast vgg19] [--large-sides 512 1024 2048 4096 8192]

Each case runs in a process of its own, where a first run, which compiles, does not count. The
exponent is the slope of time against pixels between the first and the last size from 1 megapixel on:
1 is linear. The overhead is the time in tiles over the time in one piece at 2048 pixels, with tiles
that keep 1024.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time

from benchmarks.inference import random_params


def run_case(model: str, side: int, tile: str) -> dict[str, float]:
    """One case in this process."""
    import numpy as np

    from adain_jax import Stylizer

    params = random_params(model)
    stylizer = Stylizer(params, model=model, tile=int(tile) if tile.isdigit() else tile)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (side, side, 3), np.uint8)
    style = stylizer.encode_style(picture[:512, :512])
    stylizer(picture, style)
    start = time.perf_counter(), time.process_time()
    stylizer(picture, style)
    return {
        "seconds": time.perf_counter() - start[0],
        "cpu_s": time.process_time() - start[1],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def spawn(model: str, side: int, tile: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.large", model, str(side), tile]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def add_options(parser: argparse.ArgumentParser) -> None:
    sides = [512, 1024, 2048, 4096, 8192]
    parser.add_argument("--large-sides", type=int, nargs="+", default=sides)


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Prints the table; gives its rows."""
    rows: list[dict[str, object]] = []
    print(f"{'model':8}{'side':>6}{'tile':>6}{'s':>9}{'cpu s':>9}{'s/Mpx':>8}{'peak MiB':>10}")
    for model in options.models:
        sizes = [(side, "auto") for side in options.large_sides]
        if 2048 in options.large_sides:
            sizes += [(2048, "off"), (2048, "1024")]
        times: dict[tuple[int, str], float] = {}
        for side, tile in sizes:
            case = spawn(model, side, tile)
            times[side, tile] = case["seconds"]
            rows.append({"model": model, "side": side, "tile": tile, **case})
            per_megapixel = case["seconds"] / side**2 * 2**20
            line = f"{model:8}{side:6}{tile:>6}{case['seconds']:9.2f}{case['cpu_s']:9.2f}"
            print(f"{line}{per_megapixel:8.3f}{case['peak_mib']:10.0f}", flush=True)
        big = [side for side in options.large_sides if side >= 1024]
        if len(big) > 1:
            ratio = times[big[-1], "auto"] / times[big[0], "auto"]
            exponent = math.log(ratio) / math.log((big[-1] / big[0]) ** 2)
            print(f"{model}: exponent from {big[0]} to {big[-1]}: {exponent:.3f}")
        if (2048, "1024") in times:
            overhead = times[2048, "1024"] / times[2048, "off"] - 1
            print(f"{model}: overhead of tiles of 1024 at 2048: {overhead:+.1%}")
    return rows


if __name__ == "__main__":  # one case, in a process of its own
    print(json.dumps(run_case(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
