"""Divides a large picture into tiles, so that their results together are those of the whole.

    picture             slab, some of its rows       tile
    +-----------+       +-----+-----+-----+          +-----------+
    |  slab 0   |       |tile |tile |tile |          |   halo    |
    +-----------+       |  0  |  1  |  2  |          |  +-----+  |
    |  slab 1   |  -->  +-----+-----+-----+   -->    |  |core |  |
    +-----------+       |tile |tile |tile |          |  +-----+  |
    |  slab 2   |       |  3  |  4  |  5  |          |           |
    +-----------+       +-----+-----+-----+          +-----------+

Cores cover the slab without overlap. Around its core, a tile has a halo as wide as the network's
receptive radius, so that pixels missing beyond the halo do not affect the core. Tiles therefore
overlap, and so do slabs. At the picture's border there is no halo: the network pads there as it
does for the whole picture. All tiles of a picture have the same shape, so that one program computes
them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from adain_jax.inference.buckets import Size
from adain_jax.style import AnyArray


class Span(NamedTuple):
    """A range of rows or columns: start to stop are computed, and first to last are the core."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def computed(self) -> slice:
        """The computed range, in coordinates of the whole."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """The core, in coordinates of the whole."""
        return slice(self.first, self.last)

    @property
    def core(self) -> slice:
        """The core, in coordinates of the computed range."""
        return slice(self.first - self.start, self.last - self.start)


class Tile(NamedTuple):
    """A part of a slab; int32 rows and columns in pixels.

    Attributes:
        start: (2,), its first row and column.
        size: (2,), its valid height and width: the part that lies in the picture.
        core: (2, 2), for each of the two axes, where its core begins and ends, relative to `start`.
    """

    start: AnyArray
    size: AnyArray
    core: AnyArray


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["tiles", "count"],
    meta_fields=["tile_shape", "halo"],
)
@dataclass(frozen=True)
class TileGrid:
    """The tiles of a slab; a program is compiled for their shape and halo.

    Attributes:
        tiles: leaves (n, ...), in reading order.
        count: the number of tiles. The remaining n - count are padding: n is the same for all slabs
            of a shape, so that they share one program.
        tile_shape: height and width of every tile in pixels.
        halo: how many pixels tiles reach beyond their core, vertically and horizontally; 0 along an
            axis with a single tile.
    """

    tiles: Tile
    count: int | Array
    tile_shape: Size
    halo: Size


def make_tile_grid(
    size: Size, slab_shape: Size, tile_size: int, halo: int, multiple: int, rows: slice
) -> TileGrid:
    """Divides a slab into tiles. All sizes are in pixels.

    Args:
        size: the valid height and width of the slab.
        slab_shape: its padded height and width; the picture is in the top left corner.
        tile_size: the core of a tile has about this many pixels per side, or fewer.
        halo: tiles reach at least this far beyond their core.
        multiple: tiles begin at multiples of this, the network's last stride.
        rows: the rows of the slab that tiles have in their cores; the others are only context.
    """
    halo = round_up(halo, multiple)
    height, width = (span_length(length, tile_size, halo, multiple) for length in slab_shape)

    def along_axes(size: Size) -> tuple[list[Span], list[Span]]:
        return spans(size[0], height, halo, multiple), spans(size[1], width, halo, multiple)

    axes = along_axes(size)
    count, most = (math.prod(map(len, each)) for each in (axes, along_axes(slab_shape)))
    numbers = np.zeros((most, 2, 4), np.int32)
    numbers[:count] = list(product(*axes))
    start, stop, first, last = np.moveaxis(numbers, -1, 0)
    core = np.stack([first, last], axis=-1)
    core[:, 0] = core[:, 0].clip(rows.start, rows.stop)
    tiles = Tile(start, stop - start, core - start[..., None])
    halos = halo * (len(axes[0]) > 1), halo * (len(axes[1]) > 1)
    return TileGrid(tiles, count, (height, width), halos)


def span_length(length: int, core: int, halo: int, multiple: int) -> int:
    """Returns the smallest length of spans whose cores have a length of about `core` at most.

    It is a multiple of `multiple`; if one span is enough, it is the whole length, rounded up.
    """
    whole, halo = round_up(length, multiple), round_up(halo, multiple)
    n = -(-whole // core)
    return min(round_up(-(-(whole + (n - 1) * 2 * halo) // n), multiple), whole)


def spans(length: int, each: int, halo: int, multiple: int) -> list[Span]:
    """Divides a length into spans whose cores cover it without overlap.

    Args:
        length: the length to cover.
        each: the length of every span, a multiple of `multiple`; a single one may exceed `length`.
        halo: spans reach at least this far beyond their core, except at the ends of the length.
        multiple: spans begin at multiples of this.
    """
    whole, halo = round_up(length, multiple), round_up(halo, multiple)
    n = 1 if each >= whole else -(-(whole - 2 * halo) // (each - 2 * halo))
    starts = [max(min(i * (each - 2 * halo), whole - each), 0) for i in range(n)]
    lasts = [*(start + each - halo for start in starts[:-1]), length]
    firsts = [0, *lasts[:-1]]
    return [
        Span(start, min(start + each, length), first, last)
        for start, first, last in zip(starts, firsts, lasts, strict=True)
    ]


def round_shape(size: Size) -> Size:
    """Rounds height and width up, so that pictures of many sizes share one program.

    They grow to a multiple of 8, by 3 % at most if they are large.
    """
    height, width = (round_up(n, max(8, (1 << n.bit_length() - 1) // 32)) for n in size)
    return height, width


def round_up(length: int, multiple: int) -> int:
    """Returns the smallest multiple of `multiple` that is at least `length`."""
    return -(-length // multiple) * multiple


def map_tiles(
    compute: Callable[[Tile, Any], tuple[Any, Any]], maps: Any, grid: TileGrid
) -> tuple[Any, Any]:
    """Applies `compute` to one tile after another, in the memory of one tile.

    Args:
        compute: a function (tile, parts) -> (new maps, numbers). `parts` are the parts of `maps` in
            the tile. New maps (1, h, w, c) need to be right in the core of the tile only; numbers
            are arrays of any shape.
        maps: arrays (1, h, w, c) in any resolutions that divide the picture's; the first one has
            the picture's resolution.
        grid: the tiles.

    Returns:
        The new maps of the whole slab, and the numbers of all tiles (n, ...), 0 for padding.
    """
    slab_shape: Size = maps[0].shape[1:3]

    def add_tile(i: Array, results: Any) -> Any:
        tile = _tile(grid, i)

        def add(tile: Tile, parts: Any, results: Any) -> Any:
            maps, numbers = results
            new_maps, new_numbers = compute(tile, parts)
            maps = jax.tree.map(partial(_paste, tile, grid, slab_shape), maps, new_maps)
            return maps, jax.tree.map(lambda all_, new: all_.at[i].set(new), numbers, new_numbers)

        # Cut out the parts before the condition: fused with the computation, slicing would be slow.
        parts = _cut_out(maps, tile, grid, slab_shape)
        return lax.cond(i < grid.count, add, lambda *operands: operands[-1], tile, parts, results)

    return lax.fori_loop(0, len(grid.tiles.start), add_tile, _empty(compute, maps, grid))


def _tile(grid: TileGrid, i: int | Array) -> Tile:
    return jax.tree.map(lambda leaf: leaf[i], grid.tiles)


def _cut_out(maps: Any, tile: Tile, grid: TileGrid, slab_shape: Size) -> Any:
    """The parts (1, h, w, c) of maps that lie in a tile."""

    def cut_out(x: Array) -> Array:
        stride = slab_shape[0] // x.shape[1]
        return _slice(x, tile.start // stride, np.array(grid.tile_shape) // stride)

    return jax.tree.map(cut_out, maps)


def _paste(tile: Tile, grid: TileGrid, slab_shape: Size, whole: Array, new: Array) -> Array:
    """Pastes the map of a tile into the whole map, except for the halo before its core.

    The halo after the core is pasted too; the next tiles overwrite it.
    """
    stride = slab_shape[0] // whole.shape[1]
    skipped = jnp.where(tile.start > 0, jnp.array(grid.halo), 0)
    shape = np.subtract(grid.tile_shape, grid.halo) // stride
    start = (tile.start + skipped) // stride
    return lax.dynamic_update_slice(
        whole, _slice(new, skipped // stride, shape), (0, start[0], start[1], 0)
    )


def _slice(x: Array, start: AnyArray, shape: np.ndarray) -> Array:
    """Some rows and columns of a map (1, h, w, c)."""
    height, width = (int(length) for length in shape)
    return lax.dynamic_slice(x, (0, start[0], start[1], 0), (1, height, width, x.shape[3]))


def _empty(
    compute: Callable[[Tile, Any], tuple[Any, Any]], maps: Any, grid: TileGrid
) -> tuple[Any, Any]:
    """Zeros in the shapes of the results of `map_tiles`."""
    slab_shape: Size = maps[0].shape[1:3]
    first = _tile(grid, 0)
    new_maps, new_numbers = jax.eval_shape(
        lambda: compute(first, _cut_out(maps, first, grid, slab_shape))
    )

    def whole(new: jax.ShapeDtypeStruct) -> Array:
        stride = grid.tile_shape[0] // new.shape[1]
        height, width = (length // stride for length in slab_shape)
        return jnp.zeros((1, height, width, new.shape[3]), new.dtype)

    n = len(grid.tiles.start)
    numbers = jax.tree.map(lambda new: jnp.zeros((n, *new.shape), new.dtype), new_numbers)
    return jax.tree.map(whole, new_maps), numbers
