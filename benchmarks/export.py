"""Times the exported painters in other runtimes beside `Stylizer`.

    python -m benchmarks.export [--models fast vgg19] [--sides 256 512 1024] [--threads 2] [--repeats 5]

The same weights paint the same content in a known style, on as many threads as are given: in
`Stylizer`, in ONNX Runtime, and in OpenVINO where it is installed. The runtimes take turns, so that
each meets the machine at its fast and slow moments alike; times are medians. "ratio" is to
`Stylizer`'s. JAX has no option for its threads: the process is bound to as many cores.
"""

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference import random_params, timed

Paint = Callable[[dict[str, np.ndarray]], object]


def onnx_runtime(path: Path, threads: int) -> Paint:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Its threads would spin through the turns of the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def openvino(path: Path, threads: int) -> Paint:
    from openvino import Core

    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return Core().compile_model(path, "CPU", settings)


def runtimes(model: Any, folder: Path, threads: int) -> dict[str, Paint]:
    """By name, what paints the inputs of an exported painter."""
    from adain_jax import Style, Stylizer
    from adain_jax.export import export

    stylizer = Stylizer(random_params(model), model=model, tile="off")
    _, painter = export(stylizer, folder)
    found: dict[str, Paint] = {
        "Stylizer": lambda inputs: stylizer(
            inputs["content"][0], Style(inputs["mean"][0], inputs["std"][0]), inputs["alpha"].item()
        ),
        "ONNX Runtime": onnx_runtime(painter, threads),
    }
    if importlib.util.find_spec("openvino"):
        found["OpenVINO"] = openvino(painter, threads)
    return found


def measure(paints: dict[str, Paint], side: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each, after one run to warm up."""
    rng = np.random.default_rng(0)
    inputs = {
        "content": rng.random((1, side, side, 3), np.float32),
        "mean": rng.random((1, 512), np.float32),
        "std": rng.random((1, 512), np.float32),
        "alpha": np.array(1, np.float32),
    }
    turns = [
        [timed(lambda paint=paint: paint(inputs)) for paint in paints.values()]  # type: ignore[misc]
        for _ in range(repeats + 1)
    ]
    wall, cpu = np.median(turns[1:], axis=0).T.tolist()
    return dict(zip(paints, zip(wall, cpu, strict=True), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["fast", "vgg19"], choices=["fast", "vgg19"])
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    print(f"{'model':8}{'side':>6}  {'runtime':14}{'s':>8}{'cpu s':>8}{'ratio':>8}")
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            paints = runtimes(model, Path(folder), options.threads)
        for side in options.sides:
            times = measure(paints, side, options.repeats)
            for name, (wall, cpu) in times.items():
                ratio = wall / times["Stylizer"][0]
                print(f"{model:8}{side:6}  {name:14}{wall:8.3f}{cpu:8.2f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
