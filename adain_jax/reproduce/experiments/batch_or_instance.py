"""Figure 1: why instance normalization trains faster than batch normalization.

A feed-forward network for a single style, like those of Johnson et al. and Ulyanov et al., is trained
with either, on pictures as they are, of the same contrast, and of the same style.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float
from PIL import Image, ImageOps

from adain_jax.images import Picture
from adain_jax.images.dtypes import to_float, to_uint8
from adain_jax.inference.stylizer import Stylizer
from adain_jax.losses import adain_losses
from adain_jax.nn import bind
from adain_jax.nn.fast import space_to_depth
from adain_jax.nn.layers import ReflectConv, UpsampleConv
from adain_jax.nn.norms import BatchNorm, InstanceNorm
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.progress import track
from adain_jax.reproduce.comparison import table
from adain_jax.reproduce.figures import draw_curves, panels
from adain_jax.reproduce.lab import STYLE_WEIGHT, Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, judge, lower, spread
from adain_jax.training.models import merge, variables

NORMS: dict[str, Callable[[int], nnx.Module]] = {"IN": InstanceNorm, "BN": BatchNorm}
KINDS = ("original", "same contrast", "same style")
STYLE, OTHER_STYLE = "mosaic", "watercolour"
WINDOW = 10
"""Steps that each point of a curve is a mean of."""
PICTURES = 256


class SingleStyle(nnx.Module):
    """From a picture to its stylized one: to a quarter of the size, three residual blocks, and back.

    Each convolution but the last is followed by normalization and a rectifier.
    """

    def __init__(self, norm: Callable[[int], nnx.Module], *, rngs: nnx.Rngs):
        self.half = ReflectConv(12, 32, rngs=rngs)
        self.quarter = ReflectConv(128, 64, rngs=rngs)
        for i in range(6):
            setattr(self, f"block_{i}", ReflectConv(64, 64, rngs=rngs))
        self.up_half = UpsampleConv(64, 32, rngs=rngs)
        self.up_whole = UpsampleConv(32, 3, rngs=rngs)
        names = ("half", "quarter", *(f"block_{i}" for i in range(6)), "up_half")
        for name in names:
            setattr(self, f"{name}_norm", norm(getattr(self, name).bias.shape[0]))

    def __call__(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n h w 3"]:
        """Pictures near [0, 1], of the same size, a multiple of 4."""

        def layer(name: str, x: Array) -> Array:
            return getattr(self, f"{name}_norm")(getattr(self, name)(x))

        x = jax.nn.relu(layer("half", space_to_depth(x)))
        x = jax.nn.relu(layer("quarter", space_to_depth(x)))
        for i in range(0, 6, 2):
            x = x + layer(f"block_{i + 1}", jax.nn.relu(layer(f"block_{i}", x)))
        return 0.5 + self.up_whole(jax.nn.relu(layer("up_half", x)))


NETWORKS = {name: partial(SingleStyle, norm) for name, norm in NORMS.items()}


@partial(jax.jit, static_argnums=(0, 1))
def train_step(
    norm: str,
    rate: float,
    state: tuple[Any, Any],
    running: Any,
    encoder_params: Any,
    contents: Float[Array, "n h w 3"],
    style: Float[Array, "1 h w 3"],
) -> tuple[tuple[Any, Any], Array]:
    """A step of Adam; returns the parameters and the optimizer's state after it, and the loss before.

    Running statistics stay as they are: training itself does not use them.

    The target of the content loss are the content's own features, as these networks know no AdaIN.
    """
    params, moments = state

    def loss(params: Any) -> Array:
        encoder = bind(VGG19Encoder, encoder_params)
        measured = adain_losses(
            encoder(bind(NETWORKS[norm], merge(params, running))(contents)),
            encoder(contents).relu4_1,
            encoder(style),
            content_target="content",
            mean_over_channels=True,
        )
        return measured["content_loss"] + STYLE_WEIGHT * measured["style_loss"]

    value, gradient = jax.value_and_grad(loss)(params)
    updates, moments = optax.adam(rate).update(gradient, moments)
    return (optax.apply_updates(params, updates), moments), value


def train(
    lab: Lab, norm: str, seed: int, pictures: np.ndarray, style: np.ndarray
) -> tuple[list[float], nnx.Module]:
    """The losses, each a mean of WINDOW steps, and the network."""
    network = NETWORKS[norm](rngs=nnx.Rngs(seed))
    params, running = variables(network, nnx.Param), variables(network, nnx.BatchStat)
    state = params, optax.adam(lab.scale.learning_rate).init(params)
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(lab.scale.steps):
        batch = pictures[rng.choice(len(pictures), min(lab.scale.batch, len(pictures)), False)]
        state, loss = train_step(
            norm, lab.scale.learning_rate, state, running, lab.encoder_params, batch, style
        )
        losses.append(loss)
    lab.steps += lab.scale.steps
    values = np.array(jax.device_get(losses))
    window = min(WINDOW, len(values) // 2)
    means = values[: len(values) // window * window].reshape(-1, window).mean(1)
    return means.tolist(), bind(NETWORKS[norm], merge(state[0], running))


def same_contrast(picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """The luminance's histogram equalized, the colors kept."""
    luma, *chroma = Image.fromarray(to_uint8(picture)).convert("YCbCr").split()
    merged = Image.merge("YCbCr", [ImageOps.equalize(luma), *chroma])
    return to_float(np.asarray(merged.convert("RGB")))


def run(lab: Lab) -> Outcome:
    """Trains with either normalization on each kind of pictures."""
    pictures = lab.photographs(PICTURES)
    side = lab.scale.crop
    style, other = (one[None, :side, :side] for one in lab.example("style", (STYLE, OTHER_STYLE)))
    painter = Stylizer.load()
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "original": lambda photographs: photographs,
        "same contrast": lambda photographs: np.stack([same_contrast(one) for one in photographs]),
        "same style": lambda photographs: painter(photographs, other[0]),
    }
    kinds = {kind: change(pictures) for kind, change in changes.items()}
    shown = {kind: change(lab.shown[0][:2]) for kind, change in changes.items()}
    tasks = [(kind, seed, norm) for kind in KINDS for seed in lab.seeds for norm in NORMS]
    losses: dict[str, dict[str, list[list[float]]]] = {
        kind: {norm: [] for norm in NORMS} for kind in KINDS
    }
    cells: dict[tuple[int, int], Picture] = {}
    for kind, seed, norm in track("training", tasks, len(tasks)):
        curve, network = train(lab, norm, seed, kinds[kind], style)
        losses[kind][norm].append(curve)
        if seed == 0:
            row, column = 2 * KINDS.index(kind), list(NORMS).index(norm)
            painted = np.clip(network(jnp.asarray(shown[kind])), 0, 1)
            for i in range(2):
                cells |= {(row + i, 0): shown[kind][i], (row + i, 1 + column): painted[i]}
    figure = panels(KINDS)
    for axis, kind in zip(figure.axes, KINDS, strict=True):
        points = len(losses[kind]["IN"][0])
        steps = [(i + 0.5) * lab.scale.steps / points for i in range(points)]
        curves = {norm: (steps, rows) for norm, rows in losses[kind].items()}
        draw_curves(axis, curves, "training step", f"loss Lc + {STYLE_WEIGHT:g} Ls")
    means = {
        kind: {norm: [float(np.mean(row)) for row in rows] for norm, rows in own.items()}
        for kind, own in losses.items()
    }
    faster = compare(means["original"]["IN"], means["original"]["BN"])
    # How much lower IN's mean loss is, of each seed; fig. 1c has the two meet.
    gaps = {
        kind: [1 - i / b for i, b in zip(own["IN"], own["BN"], strict=True)]
        for kind, own in means.items()
    }
    closing = compare(gaps["same style"], gaps["original"])
    rows = {
        kind: {
            **{f"mean loss with {norm}": values for norm, values in own.items()},
            "IN lower by (share)": gaps[kind],
        }
        for kind, own in means.items()
    }
    words = {kind: lower(own["IN"], own["BN"]) for kind, own in means.items()}
    return Outcome(
        f"{judge([-faster, -closing], 1)}: on the original pictures the mean loss along the curve "
        f"with IN is {words['original']}; on pictures of one contrast {words['same contrast']}; on "
        f"those of one style {words['same style']}. IN's lead, {spread(gaps['original'])} of BN's "
        f"loss, becomes {spread(gaps['same style'])} on pictures of one style.",
        *table(rows),
        {"losses": losses, "IN lower by (share)": gaps},
        [
            (lab.figure(figure), f"Each point is a mean of {WINDOW} steps; bars of one deviation"),
            (
                lab.sheet(cells, [k for k in KINDS for _ in range(2)], ["content", *NORMS]),
                "Two examples of each kind after training, by the first seed",
            ),
        ],
    )


EXPERIMENT = Experiment(
    "batch_or_instance",
    "Batch or instance normalization",
    "section 3.2, figure 1",
    "Instance normalization trains faster than batch normalization, and not because it normalizes "
    "contrast: on pictures of the same contrast it still does, on pictures of the same style its lead "
    "becomes small. It normalizes style.",
    f"A small network learns one style (`{STYLE}` of the examples) with either, on photographs as they "
    "are, with the histogram of their luminance equalized, and painted in one other style "
    f"(`{OTHER_STYLE}`) by the network that ships.",
    run,
)
