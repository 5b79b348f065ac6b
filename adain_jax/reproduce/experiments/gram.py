"""Equation 13: means and deviations against Gram matrices."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from adain_jax.losses import adain_losses
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import Taps, VGG19Encoder
from adain_jax.progress import track
from adain_jax.reproduce.comparison import sheet_of, table
from adain_jax.reproduce.figures import Curve, draw_curves, panels
from adain_jax.reproduce.lab import STYLE_WEIGHT, Experiment, Lab, Outcome, clock
from adain_jax.reproduce.verdicts import spread

STATISTICS = ("moments", "gram")
RATE = 0.02
"""Learning rate of Adam, for pixels in [0, 1]."""
NOISE = 0.1
"""Standard deviation of what is added to the contents at first, other for each seed."""
ENOUGH = 0.9
"""Moments do as well if they take away this much of what Gram matrices take away of their own loss."""


@partial(jax.jit, static_argnums=0)
def _step(
    statistic: str,
    weight: float,
    state: tuple[Array, Any],
    encoder_params: Any,
    content_relu4_1: Array,
    style_taps: Taps,
) -> tuple[Array, Any]:
    """A step of Adam; returns the pictures and the optimizer's state after it."""
    pictures, moments = state

    def loss(pictures: Array) -> Array:
        measured = adain_losses(
            bind(VGG19Encoder, encoder_params)(pictures),
            content_relu4_1,
            style_taps,
            style_statistic=statistic,
            mean_over_channels=True,
        )
        # Pictures do not share anything: their gradients are not to shrink with their number.
        return len(pictures) * (measured["content_loss"] + weight * measured["style_loss"])

    updates, moments = optax.adam(RATE).update(jax.grad(loss)(pictures), moments)
    return jnp.clip(optax.apply_updates(pictures, updates), 0, 1), moments


def optimize(
    lab: Lab,
    statistic: str,
    weight: float,
    contents: Float[np.ndarray, "n h w 3"],
    styles: Float[np.ndarray, "n h w 3"],
    seed: int = 0,
) -> dict[int, Float[np.ndarray, "n h w 3"]]:
    """The pictures that a style loss asks for, found without any decoder, by the step."""
    target = lab.encode(contents).relu4_1, lab.encode(styles)
    noise = np.random.default_rng(seed).standard_normal(contents.shape, np.float32)
    pictures = jnp.clip(contents + NOISE * noise, 0, 1)
    state = pictures, optax.adam(RATE).init(pictures)
    found = {0: np.asarray(pictures)}
    for step in range(1, lab.scale.steps + 1):
        state = _step(statistic, weight, state, lab.encoder_params, *target)
        if step % max(1, lab.scale.steps // lab.scale.points) == 0:
            found[step] = np.asarray(state[0])
    lab.steps += lab.scale.steps
    return found


def run(lab: Lab) -> Outcome:
    """Optimizes by either, and measures both by both."""
    contents, styles = lab.pairs
    # Of the contents themselves: there both losses are to have the same weight.
    own = {
        by: float(np.mean(lab.losses(contents, styles, contents, statistic=by)["Ls"]))
        for by in STATISTICS
    }
    weights = {by: STYLE_WEIGHT * own["moments"] / own[by] for by in STATISTICS}
    curves: dict[str, dict[str, tuple[list[int], list[list[float]]]]] = {
        by: {} for by in STATISTICS
    }
    numbers: dict[str, dict[str, list[float]]] = {name: {} for name in STATISTICS}
    tasks = [(name, seed) for name in STATISTICS for seed in lab.seeds]
    for name, seed in track("optimizing", tasks, len(tasks)):
        began = clock()
        found = optimize(lab, name, weights[name], contents, styles, seed)
        seconds = clock() - began
        measured: dict[str, float] = {}
        for by in STATISTICS:
            losses = [lab.losses(contents, styles, one, statistic=by) for one in found.values()]
            shares = [float(np.mean(one["Ls"])) / own[by] for one in losses]
            curves[by].setdefault(name, (list(found), []))[1].append(shares)
            measured["Lc"] = float(np.mean(losses[-1]["Lc"]))  # the same by both
            measured[f"share of Ls by {by}"] = shares[-1]
        for key, value in (measured | {"seconds": seconds}).items():
            numbers[name].setdefault(key, []).append(value)

    left = {
        by: {name: spread(numbers[name][f"share of Ls by {by}"]) for name in STATISTICS}
        for by in STATISTICS
    }
    taken = (1 - left["gram"]["moments"].mean) / (1 - left["gram"]["gram"].mean)
    word = "Holds" if taken >= ENOUGH else "Does not hold here"
    moments, gram = left["moments"], left["gram"]
    return Outcome(
        f"{word}: of the contents' loss by Gram matrices, pictures optimized by moments keep "
        f"{gram['moments']}, those by Gram matrices {gram['gram']}; of the loss by moments they keep "
        f"{moments['moments']} and {moments['gram']}.",
        *table(numbers),
        {**numbers, "weights": weights},
        [
            _figure(lab, curves),
            sheet_of(lab, {name: partial(_last, lab, name, weights[name]) for name in STATISTICS}),
        ],
    )


def _last(
    lab: Lab, name: str, weight: float, contents: np.ndarray, styles: np.ndarray
) -> np.ndarray:
    found = optimize(lab, name, weight, contents, styles)
    return found[max(found)]


def _figure(lab: Lab, curves: Mapping[str, Mapping[str, Curve]]) -> tuple[str, str]:
    figure = panels([f"style loss by {by}" for by in curves])
    for axis, own in zip(figure.axes, curves.values(), strict=True):
        draw_curves(axis, own, "step of the optimization", "share of the contents' own loss")
    return lab.figure(figure), (
        "Both style losses of pictures that are optimized by either: means over seeds, bars of one "
        "deviation"
    )


EXPERIMENT = Experiment(
    "gram",
    "Moments against Gram matrices",
    "section 6.2, equation 13",
    "A style loss of means and standard deviations gives results like one of Gram matrices, and is "
    "simpler.",
    "What either loss asks for is seen without a decoder: pictures are optimized pixel by pixel, from "
    "contents with some noise, with a weight by which both begin alike. Both are measured by both.",
    run,
)
