"""Measures pictures per second from a folder of JPEG files, and from the same files packed.

The packed files are an ArrayRecord data set; a third case reads them from a cache in memory.

python -m benchmarks.data FOLDER [--resize 256] [--crop 224] [--pictures 1600]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from adain_jax.data.pack import pack
from adain_jax.data.pipeline import Batches
from adain_jax.data.sources import Pictures, open_source


def rate(spec: str, options: argparse.Namespace, cache: int = 0) -> tuple[float, float]:
    """Pictures per second of wall time, and per second of CPU time."""
    pictures = Pictures(open_source(spec), options.resize, cache)
    if cache:
        for i in range(len(pictures)):
            pictures[i]
    batches = Batches(pictures, pictures, batch_size=8, crop=options.crop, seed=0)
    next(batches)
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    while count < options.pictures:
        next(batches)
        count += 16
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--resize", type=int, default=256)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=1600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / "packed"
        pack(Path(options.folder), packed, size=options.resize)
        print(f"{os.cpu_count()} cores; shorter side {options.resize}, crop {options.crop}")
        for name, spec, cache in (
            ("folder", options.folder, 0),
            ("packed", str(packed), 0),
            ("in memory", str(packed), 8 << 30),
        ):
            wall, cpu = rate(spec, options, cache)
            print(f"{name:10} {wall:8.0f} pictures/s, {cpu:8.0f} per second of one core")


if __name__ == "__main__":
    main()
