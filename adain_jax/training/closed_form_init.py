"""An initial decoder, fitted in closed form: each layer inverts the encoder layer that it mirrors.

Layers are fitted one after another by least squares: from the activations of the decoder so far to
the input of the mirrored encoder layer. In a minute this gives a slightly blurry auto-encoder, for
which training from random weights takes a thousand steps. Training with the losses of section 6.2
does the rest.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from adain_jax.images.dtypes import to_float
from adain_jax.nn import abstract, bind
from adain_jax.nn.layers import ReflectConv, max_pool
from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import BLOCKS, Decoder, VGG19Encoder
from adain_jax.progress import track
from adain_jax.weights import Layers

CROP = 128
BATCH = 8
POSITIONS = 30_000  # number of windows that each layer is fitted to
# Relative to the windows' mean variance; AdaIN's outputs are not exactly the encoder's.
RIDGE = 1e-2
TURNS = 6  # iterations of fitting through the ReLU


def mirror(encoder_params: Mapping[str, Any], pictures: UInt8[np.ndarray, "n h w 3"]) -> Layers:
    """Fits a `Decoder` that reconstructs pictures from their relu4_1.

    Args:
        encoder_params: the parameters of `VGG19Encoder`, float32.
        pictures: uint8 RGB (n, h, w, 3); h and w are multiples of 8. 160 pictures of 128 x 128
            pixels take a minute or two and 6 GiB of memory.

    Returns:
        The decoder's parameters by layer, float32 NumPy arrays: `kernel` (3, 3, c_in, c_out) and
        `bias` (c_out,).
    """
    batches = np.array_split(pictures, -(-len(pictures) // BATCH))
    encoding = track("encoding pictures", batches, len(batches))
    taken = [_inputs(encoder_params, to_float(batch)) for batch in encoding]
    inputs = {name: np.concatenate([part.pop(name) for part in taken]) for name in list(taken[0])}
    x = inputs.pop("")
    params: Layers = {}
    rng = np.random.default_rng(0)
    decoder = abstract(Decoder)
    names = [name for block in BLOCKS for name in block][::-1]
    for name in track("fitting layers", names, len(names)):
        last = name == "conv1_1"
        windows, outputs = _sample(x, inputs.pop(name), rng)
        params[name] = jax.device_get(_fit(windows, outputs, rectified=not last))
        if not last:
            layer = type(getattr(decoder, name))
            parts = np.array_split(x, len(batches))
            x = np.concatenate([_apply(layer, params[name], part) for part in parts])
    return params


@jax.jit
def _inputs(encoder_params: Mapping[str, Any], pictures: Features) -> dict[str, Features]:
    """The input of each layer of the encoder by its name, and the output of the last one as ""."""
    inputs, x = {}, pictures
    for name, output in bind(VGG19Encoder, encoder_params).activations(pictures):
        inputs[name] = x if x.shape[1] == output.shape[1] else max_pool(x)
        x = output
    return inputs | {"": x}


@partial(jax.jit, static_argnums=0)
def _apply(layer: type[ReflectConv], params: Mapping[str, Any], x: Features) -> Features:
    return jax.nn.relu(bind(partial(layer, *params["kernel"].shape[2:]), params)(x))


def _sample(
    x: np.ndarray, outputs: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random 3 x 3 windows of x, upsampled to the outputs' size, and outputs at their centers."""
    n, h, w, _ = outputs.shape
    factor = h // x.shape[1]
    x = np.pad(x.repeat(factor, 1).repeat(factor, 2), ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    chosen = rng.choice(n * h * w, min(n * h * w, POSITIONS), replace=False)
    i, row, column = np.unravel_index(chosen, (n, h, w))
    windows = [x[i, row + a, column + b] for a in range(3) for b in range(3)]
    return np.concatenate(windows, axis=1), outputs[i, row, column]


@jax.jit(static_argnames="rectified")
def _fit(
    windows: Float[Array, "n 9*ci"], outputs: Float[Array, "n co"], *, rectified: bool
) -> dict[str, Array]:
    """Kernel and bias by least squares. If rectified, any value up to 0 fits an output of 0."""
    mean = windows.mean(0)
    centered = windows - mean
    covariance = centered.T @ centered
    size = len(covariance)
    ridge = RIDGE * jnp.trace(covariance) / size * jnp.eye(size)
    factor = jax.scipy.linalg.cho_factor(covariance + ridge)

    def solve(sums: Array) -> tuple[Array, Array]:
        return jax.scipy.linalg.cho_solve(factor, centered.T @ (sums - sums.mean(0))), sums.mean(0)

    def turn(_: int, sums: Array) -> Array:
        weights, offset = solve(sums)
        return jnp.where(outputs > 0, outputs, jnp.minimum(centered @ weights + offset, 0))

    weights, offset = solve(jax.lax.fori_loop(0, TURNS - 1 if rectified else 0, turn, outputs))
    return {"kernel": weights.reshape(3, 3, -1, outputs.shape[1]), "bias": offset - mean @ weights}
