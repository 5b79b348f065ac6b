"""Validation on fixed pairs: the paper's two losses, by channel means, and a sheet of samples."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax.data.sources import DataError, Source, decode
from adain_jax.grid import contact_sheet
from adain_jax.images import Picture
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.style import adain, statistics
from adain_jax.training.config import Config
from adain_jax.training.losses import content_loss, style_losses
from adain_jax.training.step import TRAINED, Pairs, Params, State, merge

SAMPLES = 6
STYLE_WEIGHT = 10.0  # of the sum that is reported: Lc + 10 Ls, whatever is trained


class Validation:
    """Pair i is the i-th content and the i-th style, central squares.

    Args:
        config: of the run.
        content, style: their sources; the shorter one decides how many pairs there are.
        styles: number of fixed styles, for the conditional transform; `style` is then the training one.

    Raises:
        DataError: a source is empty.
        PictureError: a picture cannot be read.
    """

    def __init__(self, config: Config, content: Source, style: Source, styles: int):
        pairs = min(len(content), len(style), 1000)
        if not pairs:
            raise DataError("nothing to validate on")
        self._pairs = [
            tuple(_read(source, i, config.val_size) for source in (content, style))
            for i in range(pairs)
        ]
        self._size = config.val_size
        self._measure = jax.jit(partial(_measure, config, styles))

    def run(self, state: State, encoder_params: Params) -> tuple[dict[str, float], Picture]:
        """Mean losses over all pairs, and a sheet of the first ones: content, style, result."""
        params = state.params if state.ema is None else state.ema
        arrays = jax.device_put((params, state.running, encoder_params))
        measured = []
        cells: dict[tuple[int, int], Picture] = {}
        for i, (content, style) in enumerate(self._pairs):
            losses, result = self._measure(*arrays, content[None], style[None], np.array([i]))
            measured.append(jax.device_get(losses))
            if i < SAMPLES:
                cells |= {(i, 0): content, (i, 1): style, (i, 2): np.asarray(result[0])}
        means = {key: float(np.mean([one[key] for one in measured])) for key in measured[0]}
        rows = [""] * min(SAMPLES, len(self._pairs))
        return means, contact_sheet(
            cells, rows, ["content", "style", "result"], cell=min(self._size, 256)
        )


def _measure(
    config: Config,
    styles: int,
    params: Params,
    running: Any,
    encoder_params: Params,
    content: Float[Array, "n h w 3"],
    style: Float[Array, "n h w 3"],
    style_index: Array,
) -> tuple[dict[str, Array], Array]:
    encoder = bind(VGG19Encoder, encoder_params)
    features, style_taps = encoder(content).relu4_1, encoder(style)
    model = bind(partial(TRAINED[config.model], config, styles), merge(params, running))
    model.eval()
    result = model(Pairs(content, style), Pairs(features, style_taps.relu4_1), style_index)
    taps = encoder(result)
    tap_styles = tuple(statistics(tap) for tap in style_taps)
    layers = style_losses(taps, tap_styles, mean_over_channels=True)
    content_ = content_loss(taps.relu4_1, adain(features, tap_styles[-1]))
    style_ = sum(layers.values(), jnp.zeros(()))
    losses = {
        "val_loss": content_ + STYLE_WEIGHT * style_,
        "val_content_loss": content_,
        "val_style_loss": style_,
        **{f"val_style_loss/{name}": value for name, value in layers.items()},
    }
    return losses, result


def _read(source: Source, index: int, side: int) -> Picture:
    image = decode(source.read(index), size=side, crop=True)
    return np.asarray(image, np.float32) / np.float32(255)


def describe(measurements: dict[str, float], keys: Iterable[str]) -> str:
    """Some measurements in one line."""
    return ", ".join(f"{key} {measurements[key]:.4g}" for key in keys if key in measurements)
