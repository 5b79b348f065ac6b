"""Large pictures, tile by tile: the same result as in one piece, in bounded memory.

A picture is divided into slabs of rows, and every slab into tiles; one program computes the tiles
one after another in the same memory. See the figure in `adain_jax.inference.tile_grid`. A first
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
from adain_jax.inference.inputs import StyleInputs
from adain_jax.inference.programs import Network
from adain_jax.inference.tile_grid import (
    Span,
    Tile,
    TileGrid,
    make_tile_grid,
    map_tiles,
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
        return _encode(network, params, slabs, keep=False, steps=len(slabs))[1][0]

    return _with_smaller_tiles(encode, tile_size)


def stylize_tiled(
    network: Network, params: Params, picture: np.ndarray, inputs: StyleInputs, tile_size: int
) -> np.ndarray:
    """Stylizes a picture in tiles.

    Args:
        network, params, picture, tile_size: see `encode_style_tiled`.
        inputs: of this one picture.

    Returns:
        An array (h, w, 3) of the picture's dtype, floats clipped to [0, 1]. If the picture is
        mapped from a file (np.memmap), the result is mapped from a temporary file.

    Raises:
        NoRoomError: the temporary folder has no room for the result.
        jax.errors.JaxRuntimeError: memory is not sufficient for the smallest tiles.
    """
    return _with_smaller_tiles(partial(_stylize, network, params, picture, inputs), tile_size)


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


def _stylize(
    network: Network, params: Params, picture: np.ndarray, inputs: StyleInputs, tile_size: int
) -> np.ndarray:
    slabs = _slabs(network, picture, inputs.masks, tile_size)
    keep = _features_fit(slabs, params)
    features, own = _encode(network, params, slabs, keep=keep, steps=2 * len(slabs))
    if sum(waiting.nbytes for waiting in jax.tree.leaves(features)) > memory.TILE_BYTES // 4:
        memory.trim_malloc()  # before the peak; allocating it again would slow small pictures down
    if inputs.content_style is None:
        inputs = inputs._replace(content_style=own[0] if inputs.masks is not None else own[0, 0])
    batch = jax.tree.map(lambda leaf: leaf[None], inputs._replace(masks=None))
    halo = network.decoder_radius + (0 if keep else network.encoder_radius)
    result = streaming.empty_like(picture)
    for slab in slabs:
        stylized = _decode_slab(
            network,
            params,
            slab.picture(),
            features.pop(0),
            batch._replace(masks=slab.padded_masks()),
            slab.tile_grid(halo, STRIDE),
        )
        result[slab.rows.kept] = np.asarray(stylized)[0, slab.rows.core, : picture.shape[1]]
        note_part(of=2 * len(slabs))
    return result


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
    network: Network, params: Params, slabs: list[Slab], *, keep: bool, steps: int
) -> tuple[list[Features | None], Style]:
    """Encodes all slabs, each one of so many `steps` of the whole work.

    Returns each slab's features, if they are to be kept, and the statistics of the whole picture,
    (1, r, c), where r = 1 without masks.
    """
    features, styles, weights = [], [], []
    for slab in slabs:
        grid = slab.tile_grid(network.encoder_radius, STRIDE)
        kept, (style, weight) = _encode_slab(
            network, keep, params, slab.picture(), slab.padded_masks(), grid
        )
        features.append(kept)
        styles.append(jax.device_get(style))
        weights.append(np.asarray(weight))
        note_part(of=steps)
    style = jax.tree.map(lambda *leaves: np.concatenate(leaves), *styles)
    return features, merge_statistics(style, np.concatenate(weights))


def _pad(x: AnyArray, shape: Size) -> np.ndarray:
    """An array (h, w, c) in the top left corner of a padded one (1, *shape, c)."""
    x = np.asarray(x)
    if x.shape[:2] == shape:  # JAX copies non-contiguous arrays half as fast
        return np.ascontiguousarray(x)[None]
    padded = np.zeros((1, *shape, x.shape[-1]), x.dtype)
    padded[0, : x.shape[0], : x.shape[1]] = x
    return padded


@partial(jax.jit, static_argnums=(0, 1))
def _encode_slab(
    network: Network,
    keep: bool,
    params: Params,
    picture: Array,
    masks: Array | None,
    grid: TileGrid,
) -> tuple[Features | None, tuple[Style, Float[Array, "n 1 r c"]]]:
    """Features, if they are kept; statistics of every tile's core, and the sums of weights."""
    model = bind(network, params)

    def encode(tile: Tile, parts: Any) -> tuple[Features | None, tuple[Style, Array]]:
        picture, masks = parts
        size = jnp.asarray(tile.size)[None]
        features = model.encode(to_float(picture), size).features
        measured = _core_statistics(features, model.regions(masks, size), tile)
        return features if keep else None, measured

    return map_tiles(encode, (picture, masks), grid)


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


@partial(jax.jit, static_argnums=0)
def _decode_slab(
    network: Network,
    params: Params,
    picture: Array,
    features: Features | None,
    inputs: StyleInputs,
    grid: TileGrid,
) -> Array:
    """The stylized slab. Features that were not kept are computed again."""
    style, alpha, masks, content_style = inputs
    model = bind(network, params)

    def decode(tile: Tile, parts: Any) -> tuple[Array, None]:
        picture, masks, features = parts
        size = jnp.asarray(tile.size)[None]
        if features is None:
            encoded = model.encode(to_float(picture), size)
        else:
            encoded = FeatureMap(features, features_size(size))
        pictures = model.stylize(encoded, style, alpha, model.regions(masks, size), content_style)
        return from_float(pictures, picture.dtype), None

    return map_tiles(decode, (picture, masks, features), grid)[0]
