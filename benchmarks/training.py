"""Times training steps: this project, and a PyTorch twin of the same network where torch is installed.

    python -m benchmarks.training [--batch-size 4] [--crop 128] [--steps 10]
        [--content DIR --style DIR] [--encoder FILE]

Each project runs in its own process. With --content and --style the pictures are read from there by
the pipeline, and the share of time spent waiting for them is printed; otherwise batches are random.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.inference import machine, random_layers

FLOP_PER_PAIR_AT_256 = 220e9  # forward and backward, as the design counts them


def ours(options: argparse.Namespace) -> dict[str, float]:
    import jax
    import numpy as np

    from adain_jax.training.config import Config
    from adain_jax.training.step import initial_state, make_train_step, pmapped, replicate, shard
    from adain_jax.weights import Kind, read

    config = Config("", "", Path(), batch_size=options.batch_size, crop=options.crop)
    rng = np.random.default_rng(0)
    kind: Kind = "vgg19-encoder"
    encoder = read(options.encoder, kind) if options.encoder else random_layers(kind)
    state, params = replicate(initial_state(config, 1)), replicate(encoder)
    step = pmapped(make_train_step(config, 1))

    def place(content: np.ndarray, style: np.ndarray) -> Any:
        arrays = {
            "content": content,
            "style": style,
            "style_index": np.zeros(len(content), np.int32),
        }
        return shard(arrays)

    shape = (options.batch_size, options.crop, options.crop, 3)
    pictures = rng.integers(0, 256, (2, *shape), np.uint8)
    batches = None
    if options.content:
        from adain_jax.data.pipeline import Batches, one_ahead
        from adain_jax.data.sources import Pictures, open_source

        sources = [Pictures(open_source(s), options.crop) for s in (options.content, options.style)]
        pipeline = Batches(*sources, batch_size=options.batch_size, crop=options.crop, seed=0)
        batches = one_ahead(pipeline, lambda batch: place(batch.content, batch.style))
    times, waits = [], []
    for i in range(options.steps + 2):
        start = time.perf_counter()
        batch = next(batches)[0] if batches else place(*pictures)
        ready = time.perf_counter()
        state, measured = step(state, params, batch)
        jax.block_until_ready(measured)
        if i >= 2:
            times.append(time.perf_counter() - start)
            waits.append(ready - start)
    return {"seconds": statistics.median(times), "waiting": sum(waits) / sum(times)}


def torchs(options: argparse.Namespace) -> dict[str, float]:
    import torch

    from benchmarks.twin import Twin, moments

    twin = Twin("float32")
    twin.encoder.requires_grad_(False)
    optimizer = torch.optim.Adam(twin.decoder.parameters(), lr=1e-4)
    shape = (options.batch_size, 3, options.crop, options.crop)
    place = {"device": twin.device, "memory_format": torch.channels_last}
    content, style = (torch.rand(shape).to(**place) for _ in "ab")
    names = (2, 9, 16, 29)  # after the ReLUs of conv1_1, 2_1, 3_1, 4_1

    def taps(x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for i, module in enumerate(twin.encoder):
            x = module(x)
            if i in names:
                found.append(x)
        return found

    for module in twin.encoder:
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    assert len(twin.encoder) == 30
    times = []
    for i in range(options.steps + 2):
        start = time.perf_counter()
        with torch.no_grad():
            features = twin.encoder(content)
            styles = [moments(tap) for tap in taps(style)]
            (mean, std), (style_mean, style_std) = moments(features), styles[-1]
            target = (features - mean) / std * style_std + style_mean
        found = taps(twin.decoder(target))
        loss = (found[-1] - target).square().mean()
        for tap, (style_mean, style_std) in zip(found, styles, strict=True):
            mean, std = moments(tap)
            squares = (mean - style_mean).square() + (std - style_std).square()
            loss = loss + 0.1 * squares.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i >= 2:
            times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "waiting": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--content")
    parser.add_argument("--style")
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps((ours if options.case == "ours" else torchs)(options)))
        return
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    flop = FLOP_PER_PAIR_AT_256 * (options.crop / 256) ** 2 * options.batch_size
    seconds = {}
    for project in ["ours", "torch"] if importlib.util.find_spec("torch") else ["ours"]:
        command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--case", project]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        case = json.loads(output.splitlines()[-1])
        seconds[project] = case["seconds"]
        print(
            f"{project:6} {case['seconds']:.3f} s/step, "
            f"{options.batch_size / case['seconds']:.2f} pairs/s, "
            f"{flop / case['seconds'] / 1e9:.0f} GFLOP/s, waiting for data {case['waiting']:.1%}"
        )
    if "torch" in seconds:
        print(f"ratio  {seconds['ours'] / seconds['torch']:.2f}")


if __name__ == "__main__":
    main()
