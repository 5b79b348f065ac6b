"""Measures how `adain_jax.dataset` scales from one worker to two, and what it adds to `infer.py`.

    python -m benchmarks cluster [--pictures 400] [--cluster-side 256]

One worker and all that goes with it have one core, two have two. The rate is that of the records that
are written after every worker has given its first part, so that neither imports nor compilation count.
For the overhead, `infer.py` and one worker with all cores stylize the same folder, `infer.py` once the
whole and once a quarter of it: the difference is the time of a picture.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PART = 16
"""Records of a part: small, so that many are written while it is measured."""


def make_pictures(folder: Path, number: int, side: int) -> None:
    """Smooth random photographs, as JPEG."""
    from adain_jax.images import save_picture

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = rng.random((side // 16, side // 16, 3), np.float32)
        picture = coarse.repeat(16, axis=0).repeat(16, axis=1)
        save_picture(picture, folder / f"{i:05}.jpg")


def rate(pictures: Path, style: Path, side: int, workers: int, cores: int) -> float:
    """Records per second of so many workers, when everything has so many cores."""
    import ray

    from adain_jax.dataset import Recipe, manifest
    from adain_jax.dataset.cluster import Plan, on_a_worker, quiet, write_parts
    from adain_jax.dataset.records import open_source
    from adain_jax.dataset.sinks import open_sink
    from adain_jax.dataset.storage import locate
    from adain_jax.dataset.styles import encode_styles

    whole = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder, quiet():
        os.sched_setaffinity(0, sorted(whole)[:cores])  # for all of Ray's processes too
        ray.init("local", num_cpus=cores, log_to_driver=False, logging_level=logging.ERROR)
        try:
            recipe, source, output = (
                Recipe(content_size=side),
                open_source(str(pictures)),
                Path(folder),
            )
            moments = on_a_worker(encode_styles, [str(style)], recipe.model, side, False)
            plan = Plan(source, recipe, moments, PART)
            sink = open_sink("webdataset", locate(str(output)), source)
            seen: set[str] = set()
            start, records = 0.0, 0
            for summary in write_parts(plan, sink, locate(str(output / manifest.PARTS)), workers):
                if start:
                    records += summary["records"]
                seen.add(summary["worker"])
                if not start and len(seen) == workers:
                    start = time.perf_counter()
            return records / (time.perf_counter() - start)
        finally:
            ray.shutdown()
            os.sched_setaffinity(0, whole)


def infer_seconds(pictures: Path, style: Path, side: int) -> float:
    """Seconds that `infer.py` takes for a folder."""
    with tempfile.TemporaryDirectory() as output:
        script = "from adain_jax.cli.infer import main; main()"
        command = [sys.executable, "-c", script, "--content", str(pictures)]
        command += ["--style", str(style), "--output", output, "--content-size", str(side)]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--cluster-side", type=int, default=256)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints the rates; gives them as one row."""
    side, number = options.cluster_side, options.pictures
    with tempfile.TemporaryDirectory() as work:
        whole, quarter, style = (Path(work, name) for name in ("whole", "quarter", "style"))
        make_pictures(whole, number, side)
        make_pictures(style, 1, side)
        shutil.copytree(whole, quarter)
        for path in sorted(quarter.iterdir())[number // 4 :]:
            path.unlink()
        infer_seconds(quarter, style, side)  # compiles
        difference = infer_seconds(whole, style, side) - infer_seconds(quarter, style, side)
        row = {
            "pictures": number,
            "side": side,
            "infer_s": difference / (number - number // 4),
            "one_core_rate": rate(whole, style, side, workers=1, cores=1),
            "two_cores_rate": rate(whole, style, side, workers=2, cores=2),
            "one_worker_two_cores_s": 1 / rate(whole, style, side, workers=1, cores=2),
        }
    row["scaling"] = row["two_cores_rate"] / row["one_core_rate"]
    row["overhead"] = row["one_worker_two_cores_s"] / row["infer_s"] - 1
    print(f"one worker of one core: {row['one_core_rate']:.2f} pictures/s")
    print(f"two workers of one core each: {row['two_cores_rate']:.2f}, {row['scaling']:.2f} times")
    print(f"infer.py: {1000 * row['infer_s']:.1f} ms a picture")
    seconds = row["one_worker_two_cores_s"]
    print(f"one worker of two cores: {1000 * seconds:.1f} ms, {row['overhead']:+.1%}")
    return [row]
