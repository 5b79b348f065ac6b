"""Times training steps: this project, and a PyTorch twin of the same step where torch is installed.

    python -m benchmarks.training [--model vgg19] [--dtype float32] [--batch-size 4] [--crop 128]
        [--steps 10] [--repeats 3] [--steps-per-dispatch 1] [--content DIR --style DIR] [--encoder FILE]

Each case runs in its own process. A round is several steps with one wait at the end, so that the
device does not wait for the host. The result is the median of several rounds, after a first one
that compiles. "ours" trains on one random batch, which stays on the device. With --content and
--style, two more cases read real pictures: "streamed" reads them through the pipeline; "device"
keeps all of them on the device and crops them inside the step. The additional time of these cases
is the time that a run waits for its data.

The twin has no fast network. It uses the channels-last layout, `torch.compile` on a GPU, and
autocast with --dtype bfloat16.

FLOP are the multiplications and additions of the convolutions as written (3x3, at full size after
upsampling), the same number for both projects: operations that folding, Winograd or a compiler
saves are counted too. For each pair, VGG19 encodes content, style and result once each, and the
gradient through the last encoding counts as a fourth encoding. The trained network counts three
times: for its output, for the gradient of its input, and for the gradient of its kernels. The
gradient of the input of its first layer is not needed and does not count. That is 219 GFLOP per
pair at 256 px for vgg19. "of matrices" is the rate as a fraction of the rate of a product of large
matrices of the same dtype on the same device, measured by JAX in the process of "ours".

On a GPU:

    python -m benchmarks.training --dtype bfloat16 --batch-size 32 --crop 256 --steps 20 \\
        --steps-per-dispatch 10
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.inference import layer_flop, machine, matrix_rate, random_layers


def flop_per_pair(model: str, side: int) -> float:
    """Multiplications and additions of a training step per pair, counted as described above."""
    vgg19 = 4 * sum(layer_flop("vgg19-encoder", side).values())
    if model == "vgg19":
        decoder = layer_flop("vgg19-decoder", side)
        return vgg19 + 3 * sum(decoder.values()) - decoder["conv4_1"]
    network = layer_flop("fast", side)  # its encoder sees two pictures
    encoder = sum(value for name, value in network.items() if name.startswith("encoder."))
    return vgg19 + 3 * (sum(network.values()) + encoder) - 2 * network["encoder.half"]


def time_steps(
    step: Callable[[], Any], wait: Callable[[Any], object], options: argparse.Namespace
) -> float:
    """Median seconds per step over rounds of several steps, with one wait at the end of each."""
    rounds = []
    for i in range(options.repeats + 1):
        start = time.perf_counter()
        for _ in range(options.steps if i else 2):
            result = step()
        wait(result)
        rounds.append((time.perf_counter() - start) / options.steps)
    return statistics.median(rounds[1:])


def ours(options: argparse.Namespace, data: str) -> dict[str, float]:
    import jax
    import numpy as np

    from adain_jax.data.pipeline import Batch, Batches, prefetch
    from adain_jax.data.sources import Pictures, open_source
    from adain_jax.training.config import Config
    from adain_jax.training.devices import pmapped, replicate, shard_steps
    from adain_jax.training.pictures_on_device import NumberedBatches, load_all
    from adain_jax.training.step import Frozen, in_sequence, initial_state, make_train_step
    from adain_jax.weights import Kind, read

    names = ("model", "dtype", "batch_size", "crop")
    config = Config("", "", Path(), **{name: getattr(options, name) for name in names})
    kind: Kind = "vgg19-encoder"
    frozen = Frozen(read(options.encoder, kind) if options.encoder else random_layers(kind))
    train = pmapped(in_sequence(make_train_step(config, 1)))
    size, dispatch = options.batch_size, options.steps_per_dispatch

    def random_batches() -> Iterator[Batch]:
        content, style = np.random.default_rng(0).integers(
            0, 256, (2, size, options.crop, options.crop, 3), np.uint8
        )
        while True:
            yield Batch(
                content, style, np.zeros(size, np.int32), np.arange(size, dtype=np.int32), []
            )

    batches: Iterator[Batch] = random_batches()
    if data != "random":
        sources = [Pictures(open_source(s), options.crop) for s in (options.content, options.style)]
        batches = Batches(*sources, batch_size=size, crop=options.crop, seed=0)
    if data == "device":
        (content, content_names), (style, style_names) = map(load_all, sources)
        frozen = frozen._replace(content=content, style=style)
        batches = NumberedBatches(content_names, style_names, batch_size=size, seed=0)

    def dispatches() -> Iterator[Any]:
        while True:
            arrays = [next(batches).arrays() for _ in range(dispatch)]
            yield shard_steps({key: np.stack([own[key] for own in arrays]) for key in arrays[0]})

    placed = prefetch(dispatches())
    if data == "random":
        placed = repeat(next(placed))
    state, frozen = replicate(initial_state(config, 1)), replicate(frozen)

    def step() -> Any:
        nonlocal state
        state, measured = train(state, frozen, next(placed))
        return measured

    seconds = time_steps(step, jax.block_until_ready, options) / dispatch
    return {"seconds": seconds, "matrix_rate": matrix_rate(options.dtype)}


def torchs(options: argparse.Namespace) -> dict[str, float]:
    import torch

    from benchmarks.twin import Twin, moments

    twin = Twin("float32")
    on_gpu = twin.device.type == "cuda"
    twin.encoder.requires_grad_(False)
    optimizer = torch.optim.Adam(twin.decoder.parameters(), lr=1e-4, fused=on_gpu)
    shape = (options.batch_size, 3, options.crop, options.crop)
    content, style = (
        torch.rand(shape).to(twin.device, memory_format=torch.channels_last) for _ in "ab"
    )
    tapped = (2, 9, 16, 29)  # after the ReLUs of conv1_1, 2_1, 3_1, 4_1
    for module in twin.encoder:
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    assert len(twin.encoder) == 30

    def taps(x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for i, module in enumerate(twin.encoder):
            x = module(x)
            if i in tapped:
                found.append(x.float())
        return found

    def loss_of(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = twin.encoder(content).float()
            styles = [moments(tap) for tap in taps(style)]
            (mean, std), (style_mean, style_std) = moments(features), styles[-1]
            target = (features - mean) / std * style_std + style_mean
        found = taps(twin.decoder(target))
        loss = (found[-1] - target).square().mean()
        for tap, (style_mean, style_std) in zip(found, styles, strict=True):
            mean, std = moments(tap)
            squares = (mean - style_mean).square() + (std - style_std).square()
            loss = loss + 0.1 * squares.sum(1).mean()
        return loss

    if on_gpu:
        loss_of = torch.compile(loss_of)

    def step() -> torch.Tensor:
        half = options.dtype == "bfloat16"
        with torch.autocast(twin.device.type, torch.bfloat16, enabled=half):
            loss = loss_of(content, style)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return {"seconds": time_steps(step, torch.Tensor.item, options)}


def run_case(options: argparse.Namespace) -> dict[str, float]:
    """Measures one case in this process."""
    if options.case == "torch":
        return torchs(options)
    return ours(options, "random" if options.case == "ours" else options.case)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="vgg19", choices=["vgg19", "fast"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps-per-dispatch", type=int, default=1)
    parser.add_argument("--content")
    parser.add_argument("--style")
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options)))
        return
    per_pair = flop_per_pair(options.model, options.crop)
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print(f"{options.model}, {options.dtype}, {options.batch_size} pairs of {options.crop} px")
    print(f"{per_pair / 1e9:.1f} GFLOP a pair")
    cases = ["ours"]
    if options.content:
        cases += ["streamed", "device"]
    if options.model == "vgg19" and importlib.util.find_spec("torch"):
        cases.append("torch")
    measured: dict[str, dict[str, float]] = {}
    for name in cases:
        command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--case", name]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        measured[name] = json.loads(output.splitlines()[-1])
        seconds = measured[name]["seconds"]
        rate = per_pair * options.batch_size / seconds
        print(
            f"{name:10}{seconds:8.3f} s/step{options.batch_size / seconds:10.2f} pairs/s"
            f"{rate / 1e12:9.3f} TFLOP/s, {rate / measured['ours']['matrix_rate']:.0%} of matrices"
        )
    for name in cases[1:]:
        ratio = measured["ours"]["seconds"] / measured[name]["seconds"]
        print(f"ours takes {ratio:.2f} of the time of {name}")


if __name__ == "__main__":
    main()
