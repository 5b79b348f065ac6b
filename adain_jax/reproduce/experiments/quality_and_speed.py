"""Figure 4 and tables 1 and 2: quality and speed of every model."""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.data.sources import open_source
from adain_jax.evaluation import read_pairs
from adain_jax.inference.stylizer import Stylizer
from adain_jax.progress import track
from adain_jax.reproduce.figures import LOOKS, draw_curves, label_plainly, panels
from adain_jax.reproduce.lab import Experiment, Lab, Outcome

REPEATS = 3
QUALITY_SIDE = 256
"""The size at which losses and times meet in the last figure."""

Paint = Callable[[np.ndarray], Any]


def models(lab: Lab) -> dict[str, dict[str, Any]]:
    """The arguments of `Stylizer.load` of every model, by its name in the figures."""
    given = {
        f"vgg19 ({path.stem})": {"model": "vgg19", "encoder": lab.encoder, "decoder": path}
        for path in lab.decoders
    }
    return {
        "fast": {"model": "fast"},
        "vgg19": {"model": "vgg19", "encoder": lab.encoder},
        **given,
    }


def quality(lab: Lab) -> dict[str, dict[str, list[float]]]:
    """Lc and Ls of many pairs, of the contents themselves and of every model."""
    side = min(QUALITY_SIDE, lab.scale.picture)
    stylizers = {name: Stylizer.load(**options) for name, options in models(lab).items()}
    found: dict[str, dict[str, list[float]]] = {
        name: {"Lc": [], "Ls": []} for name in ("content", *stylizers)
    }
    contents, styles = (open_source(source) for source in (lab.val_content, lab.val_style))
    number = min(lab.scale.many, len(contents), len(styles))
    pairs = islice(read_pairs(contents, styles, side), number)
    for content, style in track("measuring", pairs, number):
        results = {"content": content}
        results |= {name: one(content, style) for name, one in stylizers.items()}
        for name, result in results.items():
            measured = lab.losses(content[None], style[None], result[None])
            for key, values in measured.items():
                found[name][key] += values
    return found


def seconds(lab: Lab) -> dict[str, dict[int, float]]:
    """Median seconds per picture of a known style, by the side; fewer sides where that takes long."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = _ways(lab, Path(folder))
        for name, make in track("timing", ways.items(), len(ways)):
            paint, found[name] = make(), {}
            for side in lab.scale.sides:
                last = max(found[name].items(), default=None)
                # A picture four times as large takes four times as long.
                if last and last[1] * (side / last[0]) ** 2 > lab.scale.longest:
                    break
                picture = rng.random((side, side, 3), np.float32)
                paint(picture)  # compiles
                found[name][side] = float(
                    np.median([_timed(paint, picture) for _ in range(REPEATS)])
                )
    return found


def _ways(lab: Lab, folder: Path) -> dict[str, Callable[[], Paint]]:
    """How to make what paints a picture, by names for the figure."""
    ways: dict[str, Callable[[], Paint]] = {}
    for name, options in models(lab).items():
        if name not in ("fast", "vgg19"):  # another decoder takes as long as the one that ships
            continue
        for dtype in ("float32", "bfloat16"):
            ways[f"{name}, {dtype}"] = partial(_stylizer, options, dtype)
        if all(map(importlib.util.find_spec, ("onnxruntime", "onnx"))):
            ways[f"{name}, ONNX Runtime"] = partial(_onnx, options, folder)
    return ways


def _stylizer(options: Mapping[str, Any], dtype: str) -> Paint:
    stylizer = Stylizer.load(**options, dtype=dtype)
    style = stylizer.encode_style(np.random.default_rng(1).random((64, 64, 3), np.float32))
    return lambda picture: stylizer(picture, style)


def _onnx(options: Mapping[str, Any], folder: Path) -> Paint:
    import onnxruntime

    from adain_jax.export import export

    _, painter = export(Stylizer.load(**options), folder)
    session = onnxruntime.InferenceSession(painter, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    style = {"mean": rng.random((1, 512), np.float32), "std": rng.random((1, 512), np.float32)}
    return lambda picture: session.run(
        None, {"content": picture[None], **style, "alpha": np.array(1, np.float32)}
    )


def _timed(paint: Paint, picture: np.ndarray) -> float:
    began = time.perf_counter()
    paint(picture)
    return time.perf_counter() - began


def run(lab: Lab) -> Outcome:
    """Measures quality and speed, and puts both together."""
    losses, times = quality(lab), seconds(lab)
    means = {
        name: {key: float(np.mean(values)) for key, values in own.items()}
        for name, own in losses.items()
    }
    sides = lab.scale.sides
    rows = [
        [
            name,
            *(f"{means[model][key]:.3f}" for key in ("Lc", "Ls")),
            *(f"{own[side]:.3g}" if side in own else "not measured" for side in sides),
        ]
        for name, own in times.items()
        for model in [name.split(",")[0]]
    ]
    rows += [
        [name, *(f"{own[key]:.3f}" for key in ("Lc", "Ls")), *["not measured"] * len(sides)]
        for name, own in means.items()
        if name not in ("fast", "vgg19")
    ]
    side = sides[0]
    ratio = times["vgg19, float32"][side] / times["fast, float32"][side]
    lost = means["fast"]["Ls"] / means["vgg19"]["Ls"] - 1
    shares = ", ".join(
        f"{means[name]['Ls'] / means['content']['Ls']:.0%} ({name})"
        for name in means
        if name != "content"
    )
    more = f"{abs(lost):.0%} {'more' if lost > 0 else 'less'}"
    return Outcome(
        f"Of the contents' own style loss {shares} is left; at {side} px `fast` takes 1 / {ratio:.1f} "
        f"of the time of `vgg19`, with {more} style loss. The methods of other authors in table 1 were "
        "not run.",
        ["", "Lc", "Ls", *(f"s at {side} px" for side in sides)],
        rows,
        {"losses": losses, "seconds": times},
        [_histograms(lab, losses), _times(lab, times), _tradeoff(lab, means, times, side)],
    )


def _histograms(lab: Lab, losses: Mapping[str, Mapping[str, list[float]]]) -> tuple[str, str]:
    figure = panels(["content", "style"])
    for axis, key in zip(figure.axes, ("Lc", "Ls"), strict=True):
        everything = np.concatenate([own[key] for own in losses.values()])
        positive = np.maximum(everything, 1e-6)
        bins = np.geomspace(positive.min(), positive.max() * 1.001, 16).tolist()
        for (name, own), look in zip(losses.items(), LOOKS, strict=False):
            axis.hist(
                own[key],
                bins,
                histtype="step",
                label=name,
                color=look["color"],
                linestyle=look["linestyle"],
            )
        axis.set_xscale("log")
        label_plainly(axis.xaxis)
        axis.set_xlabel(f"{key} (squared difference)")
        axis.set_ylabel("number of pairs")
    number = len(losses["content"]["Ls"])
    return lab.figure(figure), f"Losses of {number} pairs that were not trained on (figure 4)"


def _times(lab: Lab, times: Mapping[str, Mapping[int, float]]) -> tuple[str, str]:
    figure = panels(["one picture in a known style"], width=5)
    (axis,) = figure.axes
    curves = {name: (list(own), [list(own.values())]) for name, own in times.items()}
    draw_curves(axis, curves, "side of the picture (px)", "time per picture (s)")
    axis.set_xscale("log", base=2)
    axis.set_xticks(lab.scale.sides, [str(side) for side in lab.scale.sides])
    return lab.figure(figure, "-speed"), f"Medians of {REPEATS} pictures (table 1)"


def _tradeoff(
    lab: Lab,
    means: Mapping[str, Mapping[str, float]],
    times: Mapping[str, Mapping[int, float]],
    side: int,
) -> tuple[str, str]:
    figure = panels(["content", "style"])
    for axis, key in zip(figure.axes, ("Lc", "Ls"), strict=True):
        for (name, own), look in zip(times.items(), LOOKS, strict=False):
            place = own[side], means[name.split(",")[0]][key]
            axis.plot(*place, look["marker"], color=look["color"], label=name)
        axis.set_xscale("log")
        label_plainly(axis.xaxis)
        axis.set_xlabel(f"time per picture of {side} px (s)")
        axis.set_ylabel(f"{key} (squared difference)")
    return lab.figure(figure, "-tradeoff"), (
        "Speed against losses; those of bfloat16 and ONNX Runtime are taken from float32, which they "
        "equal to rounding"
    )


EXPERIMENT = Experiment(
    "quality_and_speed",
    "Quality and speed",
    "section 7, figure 4, tables 1 and 2",
    "One network for all styles comes near the quality of one network for each style, at the speed of "
    "feed-forward networks.",
    "Losses over many pairs of the validation pictures, of the contents themselves and of each model; "
    "times of one picture in a style that is encoded already.",
    run,
)
