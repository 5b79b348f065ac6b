"""The compiled programs for pictures in one piece, and the batches they take."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference.buckets import Size
from adain_jax.inference.inputs import StyleInputs, size_of
from adain_jax.nn import bind
from adain_jax.nn.network import FeatureMap, StyleNetwork
from adain_jax.style import Style

Network = type[StyleNetwork]
Params = Mapping[str, Any]


@partial(jax.jit, static_argnums=0)
def encode_style(network: Network, params: Params, pictures: Array, size: Array) -> Style:
    """The statistics (n, c) of padded pictures (n, h, w, 3) of valid sizes (n, 2)."""
    return bind(network, params).encode_style(to_float(pictures), size)


@partial(jax.jit, static_argnums=0)
def encode_content(
    network: Network, params: Params, pictures: Array, size: Array
) -> list[FeatureMap]:
    """The features of padded pictures (n, h, w, 3) of valid sizes (n, 2)."""
    model = bind(network, params)
    return model.encode(to_float(pictures), size)


@partial(jax.jit, static_argnums=0)
def stylize(
    network: Network, params: Params, contents: Array, inputs: StyleInputs, size: Array
) -> Array:
    """Padded contents (n, h, w, 3) of valid sizes (n, 2), stylized, in their dtype."""
    style, alpha, masks, content_style = inputs
    model = bind(network, params)
    pictures = model(to_float(contents), style, alpha, masks, size, content_style)
    return from_float(pictures, contents.dtype)


@partial(jax.jit, static_argnums=(0, 1))
def stylize_encoded(
    network: Network,
    dtype: str,
    params: Params,
    scales: list[FeatureMap],
    inputs: StyleInputs,
    size: Array,
) -> Array:
    """What `stylize` gives, from the features that `encode_content` gave."""
    style, alpha, masks, content_style = inputs
    model = bind(network, params)
    pictures = model.stylize(scales, style, alpha, model.regions(masks, size), content_style)
    return from_float(pictures, dtype)


def pad_batch(
    pictures: Sequence[np.ndarray], shape: Size, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """One array (rows, *shape, c) with a picture in each row's top left corner, and their sizes.

    The last picture is repeated until there are as many as rows.
    """
    batch = np.zeros((rows, *shape, pictures[0].shape[-1]), pictures[0].dtype)
    size = np.ones((rows, 2), np.int32)
    for i in range(rows):
        picture = pictures[min(i, len(pictures) - 1)]
        height, width = size[i] = size_of(picture)
        batch[i, :height, :width] = picture
    return batch, size


def pad_inputs(inputs: Sequence[StyleInputs], shape: Size, rows: int) -> StyleInputs:
    """The inputs of a batch that `pad_batch` made: one row for each of its rows."""
    filled = [*inputs, *[inputs[-1]] * (rows - len(inputs))]
    unmasked = [one._replace(masks=None) for one in filled]
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *unmasked)
    if inputs[0].masks is None:
        return batch
    masks = [np.asarray(one.masks) for one in inputs]
    return batch._replace(masks=pad_batch(masks, shape, rows)[0])
