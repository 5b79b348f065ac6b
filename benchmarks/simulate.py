"""Simulates `adain_jax.dataset` on more workers than the machine has: where does it stop scaling?

    python -m benchmarks simulate [--simulated 8 64 512] [--part-seconds 20] [--failing 0.01]

The scheduler, the pipeline and its tasks are the real ones, on tar shards. Only stylizing is replaced,
by a sleep as long as a part takes a real worker. Of more than 8 workers, several are threads of one
process. Workers fail as if memory ran out: their process ends, and with it all that share it; --failing
is the share of its parts that each loses so. Each of the few tiny records of a part stands for many:
the pixels that would move between nodes are left out.
"""

import argparse
import io
import logging
import os
import random
import socket
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil

from adain_jax.dataset import Recipe, cluster, manifest
from adain_jax.dataset.attempts import Attempts
from adain_jax.dataset.cluster import Painting, Plan, quiet, write_parts
from adain_jax.dataset.recipe import Decoded, Painted
from adain_jax.dataset.records import open_source
from adain_jax.dataset.sinks import open_sink
from adain_jax.dataset.storage import locate
from adain_jax.images import encode_picture

RECORDS = 4
"""Records of a part."""
PARTS = 4
"""Parts of a shard, about as in shards of a thousand records."""
PROCESSES = 8
"""Processes of workers, at most."""
CORES = 4
"""That Ray reckons with: half of them for tasks, of which each reading takes an eighth of one."""
KEPT = {"num_workers_soft_limit": 64, "idle_worker_killing_time_threshold_ms": 600_000}
"""Ray is to keep the processes of tasks, as nodes with many cores do."""
ROUNDS = 4
"""Parts that each worker does."""


@dataclass(frozen=True)
class Simulation(Plan):
    """A plan whose workers sleep so many seconds for a part, and end their process so often in it."""

    seconds: float = 0.0
    failing: float = 0.0


class Sleeping(Painting):
    """A worker that sleeps in place of stylizing."""

    def __init__(self, plan: Simulation):
        self._plan, self._styles, self._stylizer = plan, None, plan  # type: ignore[assignment]
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        cluster.paint = sleep  # type: ignore[assignment]


def sleep(
    recipe: Recipe, plan: Simulation, styles: None, decoded: Sequence[Decoded]
) -> list[Painted]:
    share = len(decoded) / RECORDS
    if random.random() < plan.failing * share:
        time.sleep(plan.seconds * share * random.random())
        os._exit(1)
    time.sleep(plan.seconds * share)
    return [Painted(one, [one.pixels]) for one in decoded if one.pixels is not None]


def write_shards(folder: Path, number: int) -> None:
    folder.mkdir()
    picture = encode_picture(np.zeros((8, 8, 3), np.uint8), "JPEG")
    for shard in range(number):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for i in range(PARTS * RECORDS):
                info = tarfile.TarInfo(f"{shard:05}{i:03}.jpg")
                info.size = len(picture)
                tar.addfile(info, io.BytesIO(picture))


def cpu_seconds() -> dict[str, float]:
    """What the head node's own processes have computed."""
    spent: dict[str, float] = defaultdict(float, driver=time.process_time())
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() in ("gcs_server", "raylet"):
                times = process.cpu_times()
                spent[process.name()] += times.user + times.system
        except psutil.Error:
            continue
    return spent


def simulate(workers: int, seconds: float, failing: float) -> dict[str, Any]:
    """Parts per second while all workers have work, and what that cost the driver."""
    import ray
    import ray.data

    processes = min(workers, PROCESSES)
    threads = workers // processes
    strategy = partial(
        ray.data.ActorPoolStrategy,
        max_concurrent_calls_per_actor=threads,
        enable_true_multi_threading=True,
    )
    number = ROUNDS * workers
    with tempfile.TemporaryDirectory() as work, quiet():
        write_shards(Path(work, "in"), -(-number // PARTS))
        source, output = open_source(f"{work}/in"), locate(f"{work}/out")
        attempts = Attempts(output.under(manifest.ATTEMPTS))
        moments = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
        plan = Simulation(
            *(source, Recipe(content_size=0), moments, RECORDS, frozenset(), attempts),
            *(seconds, failing / threads),
        )
        ray.init(
            "local",
            num_cpus=CORES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _system_config=KEPT,
        )
        try:
            with (
                mock.patch.object(cluster, "Painting", Sleeping),
                mock.patch.object(ray.data, "ActorPoolStrategy", strategy),
            ):
                sink = open_sink("webdataset", output, source)
                parts = write_parts(plan, sink, output.under(manifest.PARTS), processes)
                start, failed, times, spent = time.perf_counter(), 0, [], []
                for summary in parts:
                    failed += len(summary["failed"])
                    times.append(time.perf_counter() - start)
                    if len(times) in (workers, number - workers):
                        spent.append(cpu_seconds())
        finally:
            ray.shutdown()
        done = len(list(Path(work, "out").glob("*.tar")))
    between = number - 2 * workers
    rate = between / (times[number - workers - 1] - times[workers - 1])
    cost = {name: (spent[1][name] - spent[0][name]) / between for name in spent[0]}
    return {
        **{"workers": workers, "processes": processes, "part_s": seconds, "failing": failing},
        **{"parts_s": rate, "efficiency": rate * seconds / workers, "whole_s": times[-1]},
        **{"parts": done, "lost": number - done, "given_up": failed, "cpu_s_a_part": cost},
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--simulated", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--part-seconds", type=float, default=20.0)
    parser.add_argument("--failing", type=float, default=0.01)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints a line for each number of workers, without failures and with them."""
    rows = []
    for workers in options.simulated:
        for failing in (0.0, options.failing):
            row = simulate(workers, options.part_seconds, failing)
            rows.append(row)
            costs = ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in row["cpu_s_a_part"].items())
            print(
                f"{workers} workers, {row['processes']} processes, {failing:.1%} of parts lost: "
                f"{row['parts_s']:.2f} parts/s, {row['efficiency']:.1%} of what they could, "
                f"{row['lost']} missing, {row['given_up']} records given up; of a core: {costs} a part",
                flush=True,
            )
    return rows
