"""The review's warning: torchvision's VGG19 does not train well."""

from pathlib import Path

import numpy as np

from adain_jax import weights
from adain_jax.convert.activations import mean_activations, normalize_filters
from adain_jax.reproduce.comparison import sheet_of, table
from adain_jax.reproduce.figures import draw_curves, panels
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, judge, lower, spread
from adain_jax.weights import Layers

SPREAD = 1.0
"""Standard deviation of the logarithms of the filters' scales."""
DECAY = 0.75
"""Scale of each layer, of the one before."""


def unnormalized(layers: Layers, seed: int = 0) -> Layers:
    """The same VGG19 with filters that respond more or less strongly, layer by layer less.

    It computes what the given one does but for positive scales, which ReLU and pooling commute with.
    """
    rng = np.random.default_rng(seed)
    scales = {
        name: DECAY**i * np.exp(SPREAD * rng.standard_normal(len(parts["bias"])))
        for i, (name, parts) in enumerate(layers.items())
    }
    return normalize_filters(layers, {name: 1 / scale for name, scale in scales.items()})


def run(lab: Lab) -> Outcome:
    """Trains with each encoder; measures all results by the normalized one."""
    contents, styles = lab.pairs
    other = unnormalized(lab.encoder_layers)
    # Filters for large shapes hardly respond in small pictures, and would be scaled up too far.
    squares = lab.photographs(64, lab.scale.picture)
    again = normalize_filters(other, mean_activations(other, squares))
    files = {"normalized": lab.encoder}
    for name, layers in (("unnormalized", other), ("normalized again", again)):
        files[name] = _written(lab, name, layers)
    runs = {
        name: [_train(lab, seed, name, file) for seed in lab.seeds] for name, file in files.items()
    }
    stylizers = {
        name: [lab.stylizer(one, files[name]) for one in own] for name, own in runs.items()
    }
    numbers = {}
    for name, own in stylizers.items():
        losses = [lab.losses(contents, styles, one(contents, styles)) for one in own]
        numbers[name] = {
            f"{loss} at the end": [spread(one[loss]).mean for one in losses]
            for loss in ("Lc", "Ls")
        }
    figure = panels(["what each run trains on"], width=4.6)
    curves = {name: lab.curve(own, "loss") for name, own in runs.items()}
    draw_curves(figure.axes[0], curves, "training step", "loss, by its own encoder")
    key = "Ls at the end"
    worse = numbers["normalized"][key], numbers["unnormalized"][key]
    cured = numbers["normalized again"][key], numbers["unnormalized"][key]
    return Outcome(
        f"{judge([compare(*worse), compare(*cured)])}: beside the decoder trained unnormalized, "
        f"Ls by the normalized encoder's measure is {lower(*worse)} with the normalized encoder, and "
        f"{lower(*cured)} after `--normalize`.",
        *table(numbers),
        numbers,
        [
            (lab.figure(figure), "Losses in training; each encoder has its own units"),
            sheet_of(lab, {name: own[0] for name, own in stylizers.items()}),
        ],
    )


def _written(lab: Lab, name: str, layers: Layers) -> Path:
    path = lab.runs / f"{name.replace(' ', '-')}-encoder.safetensors"
    single = {key: {k: np.float32(v) for k, v in own.items()} for key, own in layers.items()}
    weights.write(path, single, "vgg19-encoder")
    return path


def _train(lab: Lab, seed: int, name: str, encoder: Path) -> Path:
    if name == "normalized":
        return lab.train(seed, "plain")
    return lab.train(seed, name.replace(" ", "-"), encoder=encoder)


EXPERIMENT = Experiment(
    "torchvision",
    "The encoder must be normalized",
    "the review's warning",
    "torchvision's VGG19 does not train well, as its filters are not scaled to a mean response of 1; "
    "`adain convert --normalize` cures it.",
    "The normalized encoder's filters are scaled as unevenly as an unnormalized one's: log-normally "
    "with a deviation of 1, and each layer with 0.75 times the response of the one before. The spread "
    "is ours, not measured on torchvision's file. The same features reach the losses, in other units. "
    "Then the same encoder after `--normalize`.",
    run,
)
