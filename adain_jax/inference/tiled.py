"""Large pictures, tile by tile: the same result as in one piece, in bounded memory.

A picture is divided into slabs of rows, and every slab into tiles; one program computes a tile, and
writes it into the slab's arrays in place. See the figure in `adain_jax.inference.tile_grid`. A first
pass encodes the slabs and gathers the statistics of the whole content; a second pass applies the
style and decodes. In between, features stay on the device; if they do not fit, they are computed
again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax.images import streaming
from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference import memory
from adain_jax.inference.buckets import Size
from adain_jax.inference.devices import Params
from adain_jax.inference.inputs import Request, StyleInputs
from adain_jax.inference.programs import Network
from adain_jax.inference.tile_grid import (
    Span,
    Tile,
    TileGrid,
    cut_out,
    make_tile_grid,
    paste,
    round_shape,
    span_length,
    spans,
)
from adain_jax.nn import bind
from adain_jax.nn.network import CHANNELS, STRIDE, FeatureMap, features_size
from adain_jax.nn.valid_size import Features
from adain_jax.progress import note_part
from adain_jax.style import AnyArray, Style, merge_statistics, statistics

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slab:
    """Some rows of a picture, in the top left corner of a padded shape.

    Attributes:
        whole: the picture (h, w, 3), float32 in [0, 1] or uint8.
        masks: float32 (h, w, r) in [0, 1], or None.
        rows: the rows of the picture that are computed, and their core.
        shape: the padded height and width in pixels, the same for all slabs of a picture.
        tile_size: the core of a tile has about this many pixels per side.
    """

    whole: np.ndarray
    masks: AnyArray | None
    rows: Span
    shape: Size
    tile_size: int

    def picture(self) -> np.ndarray:
        """Its pixels (1, *shape, 3), of the picture's dtype."""
        return _pad(self.whole[self.rows.computed], self.shape)

    def padded_masks(self) -> np.ndarray | None:
        """Its masks, float32 (1, *shape, r), or None."""
        return None if self.masks is None else _pad(self.masks[self.rows.computed], self.shape)

    def tile_grid(self, halo: int, multiple: int) -> TileGrid:
        """Its tiles; for `halo` and `multiple`, in pixels, see `make_tile_grid`."""
        size = self.rows.stop - self.rows.start, self.whole.shape[1]
        return make_tile_grid(size, self.shape, self.tile_size, halo, multiple, self.rows.core)


def encode_style_tiled(
    network: Network, params: Params, picture: np.ndarray, tile_size: int
) -> Style:
    """Encodes the style of a picture in tiles.

    Args:
        network: the class of the network.
        params: its parameters.
        picture: float32 in [0, 1] or uint8 (h, w, 3).
        tile_size: side of the tiles in pixels; smaller ones are tried if memory is not sufficient.

    Returns:
        Leaves float32 (1, c).

    Raises:
        jax.errors.JaxRuntimeError: memory is not sufficient for the smallest tiles.
    """

    def encode(tile_size: int) -> Style:
        slabs = _slabs(network, picture, None, tile_size)
        return _encode(network, params, slabs, keep=False, share=1.0)[1][0]

    return _with_smaller_tiles(encode, tile_size)


def stylize_tiled(
    network: Network, params: Params, request: Request[Any], tile_size: int
) -> np.ndarray:
    """Stylizes a picture in tiles.

    Args:
        network, params, tile_size: see `encode_style_tiled`.
        request: the picture, and how to stylize it; its stroke size is not looked at.

    Returns:
        An array (h, w, 3) of the picture's dtype, floats clipped to [0, 1]. If the picture is
        mapped from a file (np.memmap), the result is mapped from a temporary file.

    Raises:
        NoRoomError: the temporary folder has no room for the result.
        jax.errors.JaxRuntimeError: memory is not sufficient for the smallest tiles.
    """
    return _with_smaller_tiles(partial(_stylize, network, params, request), tile_size)


def _with_smaller_tiles(compute: Callable[[int], T], tile_size: int) -> T:
    """Computes with tiles of this size, or with smaller ones if memory is not sufficient."""
    while True:
        try:
            return compute(tile_size)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or tile_size == memory.MIN_TILE_SIZE:
                raise
        smaller = max(tile_size // 16 * 8, memory.MIN_TILE_SIZE)
        logger.warning("tiles of %d pixels do not fit into memory, trying %d", tile_size, smaller)
        tile_size = smaller


def _stylize(network: Network, params: Params, request: Request[Any], tile_size: int) -> np.ndarray:
    picture, inputs, share = request.content, request.inputs, request.share
    slabs = _slabs(network, picture, inputs.masks, tile_size)
    keep = _features_fit(slabs, params)
    features, own = _encode(network, params, slabs, keep=keep, share=share / 2)
    if sum(waiting.nbytes for waiting in jax.tree.leaves(features)) > memory.TILE_BYTES // 4:
        memory.trim_malloc()  # before the peak; allocating it again would slow small pictures down
    if inputs.content_style is None:
        inputs = inputs._replace(content_style=own[0] if inputs.masks is not None else own[0, 0])
    device = _device(params)
    batch = jax.device_put(
        jax.tree.map(lambda leaf: leaf[None], inputs._replace(masks=None)), device
    )
    halo = network.decoder_radius + (0 if keep else network.encoder_radius)
    result = streaming.empty_like(picture)
    for slab in slabs:
        grid = slab.tile_grid(halo, STRIDE)
        pixels, masks = jax.device_put((slab.picture(), slab.padded_masks()), device)
        encoded = features.pop(0)
        stylized = jnp.zeros(pixels.shape, pixels.dtype, device=device)
        for tile in grid.tiles:
            stylized = _decode_tile(
                network,
                grid.tile_shape,
                grid.halo,
                params,
                pixels,
                encoded,
                batch._replace(masks=masks),
                tile,
                stylized,
            )
            stylized.block_until_ready()
            note_part(share / 2 / len(slabs) / len(grid.tiles))
        result[slab.rows.kept] = np.asarray(stylized)[0, slab.rows.core, : picture.shape[1]]
    return result


def _device(params: Params) -> jax.Device:
    """The only device that has the parameters."""
    (device,) = jax.tree.leaves(params)[0].devices()
    return device


def _slabs(
    network: Network, picture: np.ndarray, masks: AnyArray | None, tile_size: int
) -> list[Slab]:
    """Divides a picture into slabs, which overlap as far as the network sees.

    A slab and its result take SLAB_BYTES at most, and at most an eighth of the free memory.
    """
    halo, multiple = network.encoder_radius + network.decoder_radius, STRIDE
    height, width = picture.shape[:2]
    most = min(memory.SLAB_BYTES, memory.free_memory() // 8)
    rows = max(most // (2 * picture[0].nbytes), tile_size)
    length = span_length(height, rows, halo, multiple)
    shape = round_shape((length, width))
    return [
        Slab(picture, masks, rows, shape, tile_size)
        for rows in spans(height, length, halo, multiple)
    ]


def _features_fit(slabs: list[Slab], params: Params) -> bool:
    """Whether the features of all slabs may stay on the device.

    They take FEATURE_CACHE_BYTES at most, and at most half of the free memory.
    """
    height, width = slabs[0].shape
    dtype = jax.tree.leaves(params)[0].dtype
    needed = len(slabs) * (height // STRIDE) * (width // STRIDE) * CHANNELS * dtype.itemsize
    return needed <= min(memory.FEATURE_CACHE_BYTES, memory.free_memory() // 2)


def _encode(
    network: Network, params: Params, slabs: list[Slab], *, keep: bool, share: float
) -> tuple[list[Features | None], Style]:
    """Encodes all slabs, which is this share of the whole work on the picture.

    Returns each slab's features, if they are to be kept, and the statistics of the whole picture,
    (1, r, c), where r = 1 without masks.
    """
    device, dtype = _device(params), jax.tree.leaves(params)[0].dtype
    kept: list[Features | None] = []
    measured = []
    for slab in slabs:
        grid = slab.tile_grid(network.encoder_radius, STRIDE)
        pixels, masks = jax.device_put((slab.picture(), slab.padded_masks()), device)
        shape = 1, slab.shape[0] // STRIDE, slab.shape[1] // STRIDE, CHANNELS
        features = jnp.zeros(shape, dtype, device=device) if keep else None
        for tile in grid.tiles:
            features, own = _encode_tile(
                network, grid.tile_shape, grid.halo, params, pixels, masks, tile, features
            )
            measured.append(jax.device_get(own))  # this waits for it
            note_part(share / len(slabs) / len(grid.tiles))
        kept.append(features)
    style, weight = jax.tree.map(lambda *leaves: np.stack(leaves), *measured)
    return kept, merge_statistics(style, weight)


def _pad(x: AnyArray, shape: Size) -> np.ndarray:
    """An array (h, w, c) in the top left corner of a padded one (1, *shape, c)."""
    x = np.asarray(x)
    if x.shape[:2] == shape:  # JAX copies non-contiguous arrays half as fast
        return np.ascontiguousarray(x)[None]
    padded = np.zeros((1, *shape, x.shape[-1]), x.dtype)
    padded[0, : x.shape[0], : x.shape[1]] = x
    return padded


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=7)
def _encode_tile(
    network: Network,
    tile_shape: Size,
    halo: Size,
    params: Params,
    picture: Array,
    masks: Array | None,
    tile: Tile,
    features: Features | None,
) -> tuple[Features | None, tuple[Style, Float[Array, "1 r c"]]]:
    """Writes a tile's features into those of the slab, if they are kept.

    Returns them, with the statistics of the tile's core and the sums of weights.
    """
    model, size = bind(network, params), jnp.asarray(tile.size)[None]
    regions = model.regions(_part(masks, tile, tile_shape), size)
    new = model.encode(to_float(cut_out(picture, tile, tile_shape)), size).features
    measured = _core_statistics(new, regions, tile)
    return features if features is None else paste(new, tile, halo, features, STRIDE), measured


def _part(masks: AnyArray | None, tile: Tile, tile_shape: Size) -> Array | None:
    return None if masks is None else cut_out(masks, tile, tile_shape)


def _core_statistics(
    features: Float[Array, "1 h w c"], regions: Float[Array, "1 h w r"] | None, tile: Tile
) -> tuple[Style, Float[Array, "1 r c"]]:
    """Statistics (1, r, c) of the features in a tile's core, and the sums of its weights."""
    ends = -(-tile.core // STRIDE)
    rows, columns = (
        (jnp.arange(length) >= first) & (jnp.arange(length) < end)
        for length, (first, end) in zip(features.shape[1:3], ends, strict=True)
    )
    core = (rows[:, None] & columns).astype(jnp.float32)[None, ..., None]
    shares = core if regions is None else core * regions
    of_regions = [statistics(features, shares[..., r]) for r in range(shares.shape[-1])]
    style = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *of_regions)
    return style, jnp.broadcast_to(shares.sum((1, 2))[..., None], style.mean.shape)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=8)
def _decode_tile(
    network: Network,
    tile_shape: Size,
    halo: Size,
    params: Params,
    picture: Array,
    features: Features | None,
    inputs: StyleInputs,
    tile: Tile,
    stylized: Array,
) -> Array:
    """Writes a tile into the stylized slab. Features that were not kept are computed again."""
    style, alpha, masks, content_style = inputs
    model, size = bind(network, params), jnp.asarray(tile.size)[None]
    if features is None:
        encoded = model.encode(to_float(cut_out(picture, tile, tile_shape)), size)
    else:
        part = cut_out(features, tile, tile_shape, STRIDE)
        encoded = FeatureMap(part, features_size(size))
    regions = model.regions(_part(masks, tile, tile_shape), size)
    new = model.stylize(encoded, style, alpha, regions, content_style)
    return paste(from_float(new, stylized.dtype), tile, halo, stylized)
