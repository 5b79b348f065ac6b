"""Large pictures, tile by tile: the same result as in one piece, in bounded memory.

A picture is computed in sections, a number of its rows each, and every section in tiles, one after
the other by one program, in the same memory. First the sections are encoded, and the statistics of the
whole content gathered; then they are given the style and decoded. In between, the features wait on the
device as far as they fit; those of the finest scales, which are the largest and the cheapest, are
computed again if they do not, or if that is no slower.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax.images import streaming
from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference.buckets import Size
from adain_jax.inference.memory import MEMORY, free_memory, release_memory
from adain_jax.inference.tiles import (
    Cut,
    Tile,
    Window,
    cut_into_tiles,
    extent_of_windows,
    frame_of,
    tile_by_tile,
    windows,
)
from adain_jax.nn import bind
from adain_jax.nn.network import Scale, StyleNetwork
from adain_jax.style import AnyArray, Style, merge_statistics, statistics

Params = Mapping[str, Any]
Network = type[StyleNetwork]

KEPT = 2304 << 20  # bytes of features that may wait, and at most half of what is free
SECTION = 384 << 20  # bytes of a section and its result, and at most an eighth of what is free


class Manner(NamedTuple):
    """What pictures are to become, one row (n, ...) for each.

    Attributes:
        style: leaves (n, c), or with masks (n, r, c).
        alpha: float (n,).
        masks: float (n, h, w, r), or None.
        content_style: statistics of the contents, as those of `style`; by default their own.
    """

    style: Style
    alpha: AnyArray
    masks: AnyArray | None = None
    content_style: Style | None = None

    def of(self, rows: list[int]) -> "Manner":
        """Some of the rows."""
        return jax.tree.map(lambda leaf: leaf[rows], self)


@dataclass(frozen=True)
class Section:
    """Some rows of a picture, in the top left corner of a frame.

    Attributes:
        whole: the picture (h, w, 3), float or uint8.
        masks: float (h, w, r), or None.
        rows: those computed, and those kept.
        frame: the same for all sections of a picture.
        side: what is a tile's own has about this many pixels per side.
    """

    whole: np.ndarray
    masks: AnyArray | None
    rows: Window
    frame: Size
    side: int

    def picture(self) -> np.ndarray:
        """Its pixels (1, *frame, 3)."""
        return _place(self.whole[self.rows.computed], self.frame)

    def shares(self) -> np.ndarray | None:
        """Its masks (1, *frame, r)."""
        return None if self.masks is None else _place(self.masks[self.rows.computed], self.frame)

    def cut(self, halo: int, multiple: int) -> Cut:
        """Its tiles, which begin at multiples and reach beyond their core by the halo."""
        size = self.rows.stop - self.rows.start, self.whole.shape[1]
        return cut_into_tiles(size, self.frame, self.side, halo, multiple, self.rows.core)


def encode_style_large(network: Network, params: Params, picture: np.ndarray, side: int) -> Style:
    """The statistics (c,) of a picture, in tiles of this side."""
    sections = _sections(network, picture, None, side)
    return _encode(network, params, sections, ())[1][0, 0]


def stylise_large(
    network: Network, params: Params, picture: np.ndarray, manner: Manner, side: int
) -> np.ndarray:
    """A picture stylised in tiles of this side, in its own size and dtype; `manner` has the one row.

    The result of a picture that lies in a file lies in a temporary one.
    """
    masks = None if manner.masks is None else manner.masks[0]
    sections = _sections(network, picture, masks, side)
    kept = _kept(network, sections, jax.tree.leaves(params)[0].dtype)
    features, own = _encode(network, params, sections, kept)
    if sum(x.nbytes for waiting in features for x in waiting.values()) > MEMORY // 4:
        release_memory()  # before the peak; smaller pictures would lose time to get it again
    if manner.content_style is None:
        manner = manner._replace(content_style=own if masks is not None else own[:, 0])
    reaches = zip(network.encoder_reach, network.decoder_reach, strict=True)
    halo = max(
        decoder if i in kept else encoder + decoder for i, (encoder, decoder) in enumerate(reaches)
    )
    result = streaming.empty_like(picture)
    for section in sections:
        tiles = section.cut(halo, network.strides[-1])
        of_section = manner._replace(masks=section.shares())
        stylised = _decode_section(
            network, params, section.picture(), features.pop(0), of_section, tiles
        )
        result[section.rows.kept] = np.asarray(stylised)[0, section.rows.core, : picture.shape[1]]
    return result


def _sections(
    network: Network, picture: np.ndarray, masks: AnyArray | None, side: int
) -> list[Section]:
    """The sections of a picture: as if each were a picture, but for what the network sees beyond."""
    reaches = zip(network.encoder_reach, network.decoder_reach, strict=True)
    halo, multiple = max(encoder + decoder for encoder, decoder in reaches), network.strides[-1]
    height, width = picture.shape[:2]
    most = min(SECTION, free_memory() // 8)
    rows = max(most // (2 * picture[0].nbytes), side)
    extent = extent_of_windows(height, rows, halo, multiple)
    frame = frame_of((extent, width))
    rows_of_sections = windows(height, extent, halo, multiple)
    return [Section(picture, masks, rows, frame, side) for rows in rows_of_sections]


def _kept(network: Network, sections: list[Section], dtype: np.dtype) -> tuple[int, ...]:
    """The scales whose features may wait, the coarsest first."""
    pixels = len(sections) * sections[0].frame[0] * sections[0].frame[1]
    left = min(KEPT, free_memory() // 2)
    kept = []
    for i in reversed(range(network.recomputed, len(network.strides))):
        left -= pixels // network.strides[i] ** 2 * network.channels[i] * dtype.itemsize
        if left < 0:
            break
        kept.append(i)
    return tuple(kept)


def _encode(
    network: Network, params: Params, sections: list[Section], kept: tuple[int, ...]
) -> tuple[list[dict[int, Array]], Style]:
    """Each section's features to keep; the statistics of the whole, (1, r, c), r = 1 without masks."""
    features, styles, weights = [], [], []
    for section in sections:
        tiles = section.cut(max(network.encoder_reach), network.strides[-1])
        to_keep, (style, weight) = _encode_section(
            network, kept, params, section.picture(), section.shares(), tiles
        )
        features.append(to_keep)
        styles.append(jax.device_get(style))
        weights.append(np.asarray(weight))
    style = jax.tree.map(lambda *leaves: np.concatenate(leaves), *styles)
    return features, merge_statistics(style, np.concatenate(weights))


def _place(x: AnyArray, frame: Size) -> np.ndarray:
    """An array (h, w, c) in the top left corner of a frame (1, H, W, c)."""
    x = np.asarray(x)
    if x.shape[:2] == frame:  # JAX takes twice as long to copy what does not lie in one piece
        return np.ascontiguousarray(x)[None]
    placed = np.zeros((1, *frame, x.shape[-1]), x.dtype)
    placed[0, : x.shape[0], : x.shape[1]] = x
    return placed


@partial(jax.jit, static_argnums=(0, 1))
def _encode_section(
    network: Network,
    kept: tuple[int, ...],
    params: Params,
    picture: Array,
    masks: Array | None,
    tiles: Cut,
) -> tuple[dict[int, Array], tuple[Style, Float[Array, "n 1 r c"]]]:
    """Features of the scales to keep; statistics of every tile's core, and the weights behind them."""
    model = bind(network, params)

    def encode(tile: Tile, parts: Any) -> tuple[dict[int, Array], tuple[Style, Array]]:
        picture, masks = parts
        size = jnp.asarray(tile.size)[None]
        scales = model.encode(*model.fit(to_float(picture), size))
        regions = model.regions(masks, size)
        styles, weights = [], []
        for i, scale in enumerate(scales):
            last = network.strides[-1]
            ends = -(-tile.core // last) * last // network.strides[i]
            rows, columns = (
                (jnp.arange(length) >= first) & (jnp.arange(length) < end)
                for length, (first, end) in zip(scale.features.shape[1:3], ends, strict=True)
            )
            inside = (rows[:, None] & columns).astype(jnp.float32)[None, ..., None]
            shares = inside if regions is None else inside * regions[i]
            of_regions = [
                statistics(scale.features, shares[..., r]) for r in range(shares.shape[-1])
            ]
            styles.append(jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *of_regions))
            weight = shares.sum((1, 2))[..., None]
            weights.append(jnp.broadcast_to(weight, styles[-1].mean.shape))
        style = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *styles)
        return {i: scales[i].features for i in kept}, (style, jnp.concatenate(weights, -1))

    return tile_by_tile(encode, (picture, masks), tiles)


@partial(jax.jit, static_argnums=0)
def _decode_section(
    network: Network,
    params: Params,
    picture: Array,
    features: dict[int, Array],
    manner: Manner,
    tiles: Cut,
) -> Array:
    """The stylised section; of the scales without features, what they need is computed again."""
    style, alpha, masks, content_style = manner
    model = bind(network, params)

    def decode(tile: Tile, parts: Any) -> tuple[Array, None]:
        picture, masks, features = parts
        size = jnp.asarray(tile.size)[None]
        scales = model.encode(*model.fit(to_float(picture), size))
        for i, x in features.items():
            scales[i] = Scale(x, scales[i].size)
        pictures = model.stylise(scales, style, alpha, model.regions(masks, size), content_style)
        return from_float(pictures, picture.dtype), None

    return tile_by_tile(decode, (picture, masks, features), tiles)[0]
