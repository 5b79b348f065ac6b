"""The compiled programs for pictures in one piece, and the batches that they take."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference.buckets import Size
from adain_jax.inference.devices import Params, on_each_device
from adain_jax.inference.inputs import StyleInputs, size_of
from adain_jax.nn import bind
from adain_jax.nn.network import FeatureMap, StyleNetwork
from adain_jax.style import Style

Network = type[StyleNetwork]


@partial(jax.jit, static_argnums=(0, 1))
def encode_style(
    network: Network, mesh: Mesh, params: Params, pictures: Array, size: Array
) -> Style:
    """Computes the styles of padded pictures.

    Args:
        network: the class of the network.
        mesh: the devices that share the batch, see `adain_jax.inference.devices`.
        params: its parameters.
        pictures: float in [0, 1] or uint8 (n, h, w, 3); h and w are multiples of 8.
        size: int32 (n, 2), the valid height and width of each picture.

    Returns:
        Leaves float32 (n, c).
    """

    def encode(params: Params, batch: tuple[Array, Array]) -> Style:
        pictures, size = batch
        return bind(network, params).encode_style(to_float(pictures), size)

    return on_each_device(mesh, encode)(params, (pictures, size))


@partial(jax.jit, static_argnums=0)
def encode_content(network: Network, params: Params, pictures: Array, size: Array) -> FeatureMap:
    """Computes the features of padded pictures, (n, h / 8, w / 8, c).

    The arguments are those of `encode_style`.
    """
    model = bind(network, params)
    return model.encode(to_float(pictures), size)


@partial(jax.jit, static_argnums=(0, 1))
def stylize(
    network: Network,
    mesh: Mesh,
    params: Params,
    contents: Array,
    inputs: StyleInputs,
    size: Array,
) -> Array:
    """Stylizes padded contents.

    Args:
        network, mesh, params: see `encode_style`.
        contents: float in [0, 1] or uint8 (n, h, w, 3); h and w are multiples of 8.
        inputs: of the batch, with the first axis n.
        size: int32 (n, 2), the valid height and width of each content.

    Returns:
        Arrays like `contents`, of the same dtype: floats are clipped to [0, 1], bytes rounded.
    """

    def stylize_rows(params: Params, batch: tuple[Array, StyleInputs, Array]) -> Array:
        contents, (style, alpha, masks, content_style), size = batch
        model = bind(network, params)
        pictures = model(to_float(contents), style, alpha, masks, size, content_style)
        return from_float(pictures, contents.dtype)

    return on_each_device(mesh, stylize_rows)(params, (contents, inputs, size))


@partial(jax.jit, static_argnums=(0, 1))
def stylize_encoded(
    network: Network,
    dtype: str,
    params: Params,
    encoded: FeatureMap,
    inputs: StyleInputs,
    size: Array,
) -> Array:
    """Computes the result of `stylize` from features.

    Args:
        network, params, inputs, size: see `stylize`.
        dtype: of the result, "float32" or "uint8".
        encoded: what `encode_content` returned.
    """
    style, alpha, masks, content_style = inputs
    model = bind(network, params)
    pictures = model.stylize(encoded, style, alpha, model.regions(masks, size), content_style)
    return from_float(pictures, dtype)


def pad_batch(
    pictures: Sequence[np.ndarray], shape: Size, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Puts pictures into the top left corners of one array; the last one fills the remaining rows.

    Args:
        pictures: arrays (h, w, c) of one dtype, at least one and at most `rows`.
        shape: padded height and width in pixels.
        rows: number of rows of the batch.

    Returns:
        The batch (rows, *shape, c), 0 in the padding; and the valid sizes, int32 (rows, 2).
    """
    batch = np.zeros((rows, *shape, pictures[0].shape[-1]), pictures[0].dtype)
    size = np.ones((rows, 2), np.int32)
    for i in range(rows):
        picture = pictures[min(i, len(pictures) - 1)]
        height, width = size[i] = size_of(picture)
        batch[i, :height, :width] = picture
    return batch, size


def pad_inputs(inputs: Sequence[StyleInputs], shape: Size, rows: int) -> StyleInputs:
    """Stacks the inputs for a batch of `pad_batch`: one row for each of its rows, masks padded."""
    filled = [*inputs, *[inputs[-1]] * (rows - len(inputs))]
    unmasked = [one._replace(masks=None) for one in filled]
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *unmasked)
    if inputs[0].masks is None:
        return batch
    masks = [np.asarray(one.masks) for one in inputs]
    return batch._replace(masks=pad_batch(masks, shape, rows)[0])
