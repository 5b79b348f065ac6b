"""Validation on fixed pairs: what `adain_jax.evaluation` measures, and a sheet of samples."""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from adain_jax.data.sources import Source
from adain_jax.evaluation import mean, measure, read_pairs
from adain_jax.images import Picture
from adain_jax.images.contact_sheet import contact_sheet
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.progress import track
from adain_jax.training.config import Config
from adain_jax.training.models import Params, bind_trainee
from adain_jax.training.step import State

SAMPLES = 6  # rows of the sheet
MOST = 1000  # at most this many pairs, because they stay in memory
STYLE_WEIGHT = 10.0  # the reported sum is Lc + 10 Ls, whatever the weights in training


class Validation:
    """Validates on fixed pairs: pair i is the central squares of the i-th content and i-th style.

    Args:
        config: the configuration of the run.
        content, style: the sources; the shorter one decides how many pairs there are.
        styles: number of fixed styles, for the conditional transform; `style` must then be the
            source that is trained on.

    Raises:
        DataError: a source is empty.
        PictureError: a picture cannot be read.
    """

    def __init__(self, config: Config, content: Source, style: Source, styles: int):
        pairs = islice(read_pairs(content, style, config.val_size), MOST)
        number = min(len(content), len(style), MOST)
        self._pairs = list(track("reading validation pairs", pairs, number))
        self._size = config.val_size
        self._measure = jax.jit(partial(_measure, config, styles))

    def run(self, state: State, encoder_params: Params) -> tuple[dict[str, float], Picture]:
        """Measures the weights (their moving average, if there is one) on all pairs.

        Args:
            state: the training state, on the host.
            encoder_params: the parameters of VGG19's encoder.

        Returns:
            The means of all measurements, by names that begin with `val_`; and a sheet of the first
            pairs and their results, float32 (h, w, 3) in [0, 1].
        """
        params = state.params if state.ema is None else state.ema
        arrays = jax.device_put((params, state.batch_stats, encoder_params))
        measured = []
        cells: dict[tuple[int, int], Picture] = {}
        pairs = track("validating", self._pairs, len(self._pairs))
        for i, (content, style) in enumerate(pairs):
            losses, result = self._measure(*arrays, content[None], style[None], np.array([i]))
            measured.append(jax.device_get(losses))
            if i < SAMPLES:
                cells |= {(i, 0): content, (i, 1): style, (i, 2): np.asarray(result[0])}
        means = mean(measured)
        means = {"loss": means["content_loss"] + STYLE_WEIGHT * means["style_loss"], **means}
        rows = [""] * min(SAMPLES, len(self._pairs))
        return {f"val_{key}": value for key, value in means.items()}, contact_sheet(
            cells, rows, ["content", "style", "result"], cell=min(self._size, 256)
        )


def _measure(
    config: Config,
    styles: int,
    params: Params,
    batch_stats: Any,
    encoder_params: Params,
    content: Float[Array, "n h w 3"],
    style: Float[Array, "n h w 3"],
    style_index: Array,
) -> tuple[dict[str, Array], Array]:
    encoder = bind(VGG19Encoder, encoder_params)
    trainee = bind_trainee(config, styles, params, batch_stats)
    trainee.eval()
    features = (trainee.encode(x, encoder(x).relu4_1) for x in (content, style))
    result = trainee(*features, style_index)
    return measure(encoder_params, content, style, result), result


def describe(measurements: Mapping[str, float], keys: Iterable[str]) -> str:
    """Formats the measurements with these keys in one line; missing keys are left out."""
    return ", ".join(f"{key} {measurements[key]:.4g}" for key in keys if key in measurements)
