"""Large pictures, tile by tile: the same result as in one piece, in bounded memory.

First every tile is encoded, and the statistics of the whole content are gathered; then every tile is
given the style and decoded. In between, the features wait in the host's memory as far as they fit;
those of the finest scales, which are the largest and the cheapest, are computed again if they do not,
or if that is no slower.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from adain_jax import strips
from adain_jax.buckets import Buckets, Size
from adain_jax.nn import bind
from adain_jax.nn.network import Scale, StyleNetwork
from adain_jax.pixels import from_float, to_float
from adain_jax.style import AnyArray, Style, combine, statistics
from adain_jax.tiles import MEMORY, Tile, cut, free_host_memory, release_memory

Params = Mapping[str, Any]
Network = type[StyleNetwork]
T = TypeVar("T")

KEPT = 2 << 30  # bytes of features that may wait, and at most half of what is free


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


class Large(NamedTuple):
    """A picture (h, w, 3), float or uint8, and how to cut it.

    `side` is about what is kept of a tile; in `frames` the tiles find frames to be computed in.
    """

    picture: np.ndarray
    side: int
    frames: Buckets

    def tiles(self, network: Network, halo: int, masks: AnyArray | None) -> Iterator["Part"]:
        """Its tiles, as they are computed."""
        height, width = self.picture.shape[:2]
        for tile in cut((height, width), self.side, halo, network.strides[-1]):
            rows, columns = (window.computed for window in tile)
            size = rows.stop - rows.start, columns.stop - columns.start
            frame = self.frames.fit(size)
            pixels = _place(self.picture[rows, columns], frame)
            shares = None if masks is None else _place(masks[0, rows, columns], frame)
            yield Part(tile, frame, pixels, shares, np.array([size]))


class Part(NamedTuple):
    """A tile in its frame: picture (1, h, w, 3), masks (1, h, w, r) or None, real size (1, 2)."""

    tile: Tile
    frame: Size
    picture: np.ndarray
    masks: np.ndarray | None
    size: np.ndarray


def encode_style_large(network: Network, params: Params, large: Large) -> Style:
    """The statistics (c,) of a picture, tile by tile."""
    return _encode(network, params, large, None, {})[0, 0]


def stylise_large(network: Network, params: Params, large: Large, *, manner: Manner) -> np.ndarray:
    """A picture stylised tile by tile, in its own size and dtype; `manner` has the one row.

    The result of a picture that lies in a file lies in a temporary one.
    """
    masks = manner.masks
    waiting = _room(network, large.picture.shape[:2], jax.tree.leaves(params)[0].dtype)
    own = _encode(network, params, large, masks, waiting)
    if sum(x.nbytes for x in waiting.values()) > MEMORY // 4:
        release_memory()  # before the peak; smaller pictures would lose time to get it again
    if manner.content_style is None:
        manner = manner._replace(content_style=own if masks is not None else own[:, 0])
    reaches = zip(network.encoder_reach, network.decoder_reach, strict=True)
    halo = max(
        decoder if i in waiting else encoder + decoder
        for i, (encoder, decoder) in enumerate(reaches)
    )

    def decode(part: Part) -> Array:
        features = {
            i: _place(x[_in_features(network, i, part, "computed")], _at(network, i, part.frame))
            for i, x in waiting.items()
        }
        own_manner = manner._replace(masks=part.masks)
        return _decode_tile(network, params, part.picture, features, own_manner, part.size)

    result = strips.empty_like(large.picture)
    parts = large.tiles(network, halo, masks)
    for part, stylised in one_ahead((part, decode(part)) for part in parts):
        kept, core = (
            tuple(getattr(window, name) for window in part.tile) for name in ("kept", "core")
        )
        result[kept] = np.asarray(stylised)[0][core]
    return result


def _encode(
    network: Network,
    params: Params,
    large: Large,
    masks: AnyArray | None,
    waiting: dict[int, np.ndarray],
) -> Style:
    """Fills the features that wait; gives the statistics of the whole, (1, r, c), r = 1 by default."""

    def encode(part: Part) -> tuple[dict[int, Array], Style, Array]:
        core = np.array([[window.core.start, window.core.stop] for window in part.tile])
        kept = tuple(waiting)
        return _encode_tile(network, kept, params, part.picture, part.masks, part.size, core)

    styles, weights = [], []
    parts = large.tiles(network, max(network.encoder_reach), masks)
    for part, (features, style, weight) in one_ahead((part, encode(part)) for part in parts):
        for i, x in features.items():
            inner = np.asarray(x)[0][_in_features(network, i, part, "core")]
            waiting[i][_in_features(network, i, part, "kept")] = inner
        styles.append(jax.device_get(style))
        weights.append(np.asarray(weight))
    return combine(styles, weights)


def one_ahead(results: Iterable[T]) -> Iterator[T]:
    """Each result once the next is dispatched, so that the device never waits for the host."""
    yield from (result for result, _ in pairwise(chain(results, [None])) if result is not None)


def _room(network: Network, size: Size, dtype: np.dtype) -> dict[int, np.ndarray]:
    """Arrays (h, w, c) for the features of as many scales as may wait, the coarsest first."""
    rooms: dict[int, np.ndarray] = {}
    left = min(KEPT, free_host_memory() // 2)
    for i in reversed(range(network.recomputed, len(network.strides))):
        shape = *_at(network, i, size), network.channels[i]
        left -= int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if left < 0:
            break
        rooms[i] = np.empty(shape, dtype)
    return rooms


def _at(network: Network, scale: int, lengths: tuple[int, int]) -> tuple[int, int]:
    """Pixels counted in features of a scale; where they do not fill the last stride, rounded up."""
    last = network.strides[-1]
    first, second = (-(-length // last) * last // network.strides[scale] for length in lengths)
    return first, second


def _in_features(network: Network, scale: int, part: Part, name: str) -> tuple[slice, ...]:
    """Where something of a tile lies in the features of a scale."""
    slices = (getattr(window, name) for window in part.tile)
    return tuple(slice(*_at(network, scale, (s.start, s.stop))) for s in slices)


def _place(x: AnyArray, frame: Size) -> np.ndarray:
    """An array (h, w, c) in the top left corner of a frame (1, H, W, c)."""
    x = np.asarray(x)
    if x.shape[:2] == frame:  # JAX takes twice as long to copy what does not lie in one piece
        return np.ascontiguousarray(x)[None]
    placed = np.zeros((1, *frame, x.shape[-1]), x.dtype)
    placed[0, : x.shape[0], : x.shape[1]] = x
    return placed


@partial(jax.jit, static_argnums=(0, 1))
def _encode_tile(
    network: Network,
    kept: tuple[int, ...],
    params: Params,
    picture: Array,
    masks: Array | None,
    size: Array,
    core: Int[Array, "2 2"],
) -> tuple[dict[int, Array], Style, Float[Array, "1 r c"]]:
    """Features of the scales to keep, and statistics over the core with the weights behind them."""
    model = bind(network, params)
    scales = model.encode(*model.fit(to_float(picture), size))
    regions = model.regions(masks, size)
    styles, weights = [], []
    for i, scale in enumerate(scales):
        last = network.strides[-1]
        ends = -(-core // last) * last // network.strides[i]
        rows, columns = (
            (jnp.arange(length) >= first) & (jnp.arange(length) < end)
            for length, (first, end) in zip(scale.features.shape[1:3], ends, strict=True)
        )
        inside = (rows[:, None] & columns).astype(jnp.float32)[None, ..., None]
        shares = inside if regions is None else inside * regions[i]
        of_regions = [statistics(scale.features, shares[..., r]) for r in range(shares.shape[-1])]
        styles.append(jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *of_regions))
        weight = shares.sum((1, 2))[..., None]
        weights.append(jnp.broadcast_to(weight, styles[-1].mean.shape))
    style = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *styles)
    return {i: scales[i].features for i in kept}, style, jnp.concatenate(weights, -1)


@partial(jax.jit, static_argnums=0)
def _decode_tile(
    network: Network,
    params: Params,
    picture: Array,
    features: dict[int, Array],
    manner: Manner,
    size: Array,
) -> Array:
    """The stylised tile; of the scales without features, what they need is computed again."""
    style, alpha, masks, content_style = manner
    model = bind(network, params)
    scales = model.encode(*model.fit(to_float(picture), size))
    for i, x in features.items():
        scales[i] = Scale(x, scales[i].size)
    pictures = model.stylise(scales, style, alpha, model.regions(masks, size), content_style)
    return from_float(pictures, picture.dtype)
