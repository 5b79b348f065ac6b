"""Times stylisation: both models, and a PyTorch twin of VGG19's where torch is installed.

    python -m benchmarks.inference [--models fast vgg19] [--sides 256 512 1024] [--batches 1 8]
        [--repeats 5] [--json FILE]

Each case runs in a process of its own, so that its peak memory is its own; the contestants take turns,
and the median of several runs counts. "both" encodes one style picture of the same size and stylises
the batch; "content" stylises with a known style. Ratios are to the twin's "both".
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adain_jax.weights import Kind, Layers


def time_runs(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a run, after a first one that does not count."""
    function()
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return statistics.median(wall), statistics.median(cpu)


def random_layers(kind: "Kind") -> "Layers":
    """Weights that keep the size of activations."""
    import numpy as np

    from adain_jax.weights import CHANNELS

    rng = np.random.default_rng(0)
    return {
        name: {
            "kernel": (rng.standard_normal((3, 3, a, b)) * (2 / 9 / a) ** 0.5).astype("f"),
            "bias": np.zeros(b, "f"),
        }
        for name, (a, b) in CHANNELS[kind].items()
    }


def ours(model: str, batch: int, side: int) -> tuple[Callable[[], object], Callable[[], object]]:
    import numpy as np

    from adain_jax import Stylizer

    rng = np.random.default_rng(0)
    params = random_layers("fast")
    if model == "vgg19":
        params = {part: random_layers(f"vgg19-{part}") for part in ("encoder", "decoder")}
    stylizer = Stylizer(params, model=model)
    contents = rng.random((batch, side, side, 3), np.float32)
    picture = rng.random((side, side, 3), np.float32)
    style = stylizer.encode_style(picture)
    return lambda: stylizer(contents, picture), lambda: stylizer(contents, style)


def run_case(project: str, batch: int, side: int, repeats: int) -> dict[str, float]:
    """One case in this process."""
    if project == "torch":
        from benchmarks import twin

        both, content = twin.runners(batch, side)
    else:
        both, content = ours(project, batch, side)
    result: dict[str, float] = {}
    for name, function in (("both", both), ("content", content)):
        result[f"{name}_s"], result[f"{name}_cpu_s"] = time_runs(function, repeats)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def spawn(project: str, batch: int, side: int, repeats: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.inference", "--case", project]
    command += ["--batches", str(batch), "--sides", str(side), "--repeats", str(repeats)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def machine() -> dict[str, str]:
    from importlib.metadata import version

    import jax

    names = ("jax", "jaxlib", "flax", "torch")
    versions = {name: version(name) for name in names if importlib.util.find_spec(name)}
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), cpu)
    device = jax.devices()[0].device_kind
    return {"cpu": cpu, "cores": str(os.cpu_count()), "device": device, **versions}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    models = ["fast", "vgg19"]
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case = run_case(options.case, options.batches[0], options.sides[0], options.repeats)
        print(json.dumps(case))
        return
    projects = [*options.models, *(["torch"] if importlib.util.find_spec("torch") else [])]
    info = machine()
    print(", ".join(f"{key} {value}" for key, value in info.items()))
    header = f"{'':14}{'project':8}{'both s':>9}{'cpu s':>9}{'content s':>11}{'pictures/s':>12}"
    print(header + f"{'peak MiB':>10}{'ratio both':>12}{'content':>9}")
    rows = []
    for side in options.sides:
        for batch in options.batches:
            cases = {project: spawn(project, batch, side, options.repeats) for project in projects}
            for project, case in cases.items():
                rows.append({"side": side, "batch": batch, "project": project, **case})
                line = (
                    f"{batch} x {side:<10}{project:8}{case['both_s']:9.3f}{case['both_cpu_s']:9.2f}"
                )
                line += f"{case['content_s']:11.3f}{batch / case['content_s']:12.2f}"
                line += f"{case['peak_mib']:10.0f}"
                if project != "torch" and "torch" in cases:
                    other = cases["torch"]
                    line += f"{case['both_s'] / other['both_s']:12.2f}"
                    line += f"{case['content_s'] / other['both_s']:9.2f}"
                print(line, flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": info, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
