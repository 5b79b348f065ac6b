"""Times stylization: the models, and a PyTorch twin of VGG19's where torch is installed.

    python -m benchmarks inference [--models fast vgg19] [--sides 256 512 1024]
        [--batches 1 8] [--dtype float32] [--repeats 5]

Each case runs in its own process, so that its peak memory can be measured; times are medians of
several runs. "both" encodes one style picture of the same size and stylizes the batch; "content"
stylizes with a known style. Ratios are relative to "both" and "content" of the twin. Times include
the transfer of pictures from and to the host's memory. "rate" is the number of multiplications and
additions of the network per second in "content", as a fraction of what a product of large matrices
reaches on the same device in the same process.

On a GPU the twin runs there too, through `torch.compile` where the dtype is bfloat16.
"""

import argparse
import importlib.util
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from adain_jax.models import Model
    from adain_jax.weights import Kind, Layers


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a run."""
    start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def time_runs(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a run, after one run to warm up."""
    function()
    wall, cpu = zip(*(timed(function) for _ in range(repeats)), strict=True)
    return statistics.median(wall), statistics.median(cpu)


def random_layers(kind: "Kind") -> "Layers":
    """Random weights that preserve the scale of activations."""
    import numpy as np

    from adain_jax.weights import nest, shapes

    rng = np.random.default_rng(0)
    flat = {
        key: np.zeros(shape, "f")
        if key.endswith("bias")
        else rng.standard_normal(shape, "f") * (2 / math.prod(shape[:-1])) ** 0.5
        for key, shape in shapes(kind).items()
    }
    return nest(flat)


def random_params(model: "Model") -> dict[str, Any]:
    """Random weights of all networks of a model, as `Stylizer` takes them."""
    from adain_jax.models import MODELS

    parts = {name: random_layers(kind) for name, kind in MODELS[model].files.items()}
    return parts.get("network", parts)


def ours(
    model: "Model", batch: int, side: int, dtype: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    import jax
    import numpy as np

    from adain_jax import Stylizer

    rng = np.random.default_rng(0)
    params = random_params(model)
    alone = jax.default_backend() == "cpu"  # where batches are no faster
    stylizer = Stylizer(
        params, model=model, dtype=dtype, tile="off", batch_size=1 if alone else batch
    )
    contents = rng.random((batch, side, side, 3), np.float32)
    picture = rng.random((side, side, 3), np.float32)
    style = stylizer.encode_style(picture)
    return lambda: stylizer(contents, picture), lambda: stylizer(contents, style)


STRIDES = {
    "half": 2, "quarter": 4, "eighth": 8, "picture": 1,
    "conv1": 1, "conv2": 2, "conv3": 4, "conv4": 8, "relu4": 8,
}  # fmt: skip


def layer_flop(kind: "Kind", side: int) -> dict[str, float]:
    """Multiplications and additions of each convolution as written, for one square picture."""
    from adain_jax.weights import shapes

    flop = {}
    for key, shape in shapes(kind).items():
        if key.endswith(".kernel"):
            words = (part.split("_")[0] for part in key.split("."))
            stride = next(STRIDES[word] for word in words if word in STRIDES)
            flop[key.removesuffix(".kernel")] = 2 * math.prod(shape) * (side / stride) ** 2
    return flop


def flop(model: "Model", side: int) -> float:
    """Multiplications and additions to stylize one picture with a known style."""
    from adain_jax.models import MODELS

    return sum(sum(layer_flop(kind, side).values()) for kind in MODELS[model].files.values())


def matrix_rate(dtype: str) -> float:
    """Multiplications and additions per second in a product of large random matrices.

    They are random because some chips multiply zeros and ones faster.
    """
    import jax
    import jax.numpy as jnp

    side = 2048 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (side, side), jnp.dtype(dtype))
    multiply = jax.jit(jnp.matmul)
    seconds, _ = time_runs(lambda: multiply(a, a).block_until_ready(), 5)
    return 2 * side**3 / seconds


def run_case(
    project: 'Model | Literal["torch"]', batch: int, side: int, repeats: int, dtype: str = "float32"
) -> dict[str, float]:
    """Measures one case in this process."""
    if project == "torch":
        from benchmarks import twin

        both, content = twin.runners(batch, side, dtype)
    else:
        both, content = ours(project, batch, side, dtype)
    result: dict[str, float] = {}
    for name, function in (("both", both), ("content", content)):
        result[f"{name}_s"], result[f"{name}_cpu_s"] = time_runs(function, repeats)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if project != "torch":
        rate = flop(project, side) * batch / result["content_s"]
        result["rate"] = rate / matrix_rate(dtype)
    return result


def spawn(project: str, batch: int, side: int, repeats: int, dtype: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.inference", "--case", project, "--dtype", dtype]
    command += ["--batches", str(batch), "--sides", str(side), "--repeats", str(repeats)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def machine() -> dict[str, str]:
    from importlib.metadata import version

    names = ("jax", "jaxlib", "flax", "torch")
    versions = {name: version(name) for name in names if importlib.util.find_spec(name)}
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), cpu)
    # In a separate process: JAX takes most of a GPU's memory, which the cases need.
    ask = [sys.executable, "-c", "import jax; print(jax.devices()[0].device_kind)"]
    device = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return {"cpu": cpu, "cores": str(os.cpu_count()), "device": device, **versions}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", default=["fast", "vgg19"], choices=["fast", "vgg19"])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=5)


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Prints the table and returns its rows."""
    projects = [*options.models, *(["torch"] if importlib.util.find_spec("torch") else [])]
    header = f"{'':14}{'project':8}{'both s':>9}{'cpu s':>9}{'content s':>11}{'pictures/s':>12}"
    print(header + f"{'peak MiB':>10}{'rate':>7}{'ratio both':>12}{'content':>9}")
    rows: list[dict[str, object]] = []
    for side in options.sides:
        for batch in options.batches:
            cases = {
                project: spawn(project, batch, side, options.repeats, options.dtype)
                for project in projects
            }
            for project, case in cases.items():
                row: dict[str, object] = {"side": side, "batch": batch, "project": project, **case}
                rows.append(row)
                line = (
                    f"{batch} x {side:<10}{project:8}{case['both_s']:9.3f}{case['both_cpu_s']:9.2f}"
                )
                line += f"{case['content_s']:11.3f}{batch / case['content_s']:12.2f}"
                line += f"{case['peak_mib']:10.0f}"
                if project != "torch":
                    line += f"{case['rate']:7.0%}"
                if project != "torch" and "torch" in cases:
                    for name, width in (("both", 12), ("content", 9)):
                        row[f"ratio_{name}"] = case[f"{name}_s"] / cases["torch"][f"{name}_s"]
                        line += f"{row[f'ratio_{name}']:{width}.3f}"
                print(line, flush=True)
    return rows


if __name__ == "__main__":  # one case, in its own process
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.add_argument("--case", required=True)
    options = parser.parse_args()
    case = run_case(
        options.case, options.batches[0], options.sides[0], options.repeats, options.dtype
    )
    print(json.dumps(case))
