"""How a large picture is cut and computed so that its parts together give what the whole would.

Each tile is computed with a halo as wide as the network sees, so that what is missing beyond it never
reaches what is kept. At the picture's border there is no halo: the network mirrors there, as it does
for the whole. All tiles of a picture have one size, so that one program computes them.
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
from jaxtyping import Array, Int

from adain_jax.inference.buckets import Size
from adain_jax.style import AnyArray


class Window(NamedTuple):
    """A stretch of rows or columns: computed from start to stop, kept from first to last."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def computed(self) -> slice:
        """What is computed, of the picture."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """What is kept, of the picture."""
        return slice(self.first, self.last)

    @property
    def core(self) -> slice:
        """What is kept, of what is computed."""
        return slice(self.first - self.start, self.last - self.start)


class Tile(NamedTuple):
    """A part of a section; rows and columns, in pixels, int32.

    Attributes:
        start: (2,), where it begins.
        size: (2,), how much of it is picture.
        core: (2, 2), the first that are its own and no other tile's, and the first that are not any
            more, counted from the start.
    """

    start: AnyArray
    size: AnyArray
    core: AnyArray


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["tiles", "count"],
    meta_fields=["extent", "margin"],
)
@dataclass(frozen=True)
class Cut:
    """How a section is cut into tiles; a program is compiled for their extent and margin.

    Attributes:
        tiles: leaves (n, ...), in reading order.
        count: how many of them there are; those after them are none.
        extent: height and width of every tile.
        margin: how far tiles reach beyond their core; 0 where one goes from border to border.
    """

    tiles: Tile
    count: int | Array
    extent: Size
    margin: Size


def cut_into_tiles(
    size: Size, frame: Size, side: int, halo: int, multiple: int, rows: slice
) -> Cut:
    """The tiles of a picture.

    Args:
        size: its height and width.
        frame: those of the frame in whose top left corner it lies.
        side: the core of a tile has about this many pixels per side, or fewer.
        halo: how far tiles reach beyond their core, or farther.
        multiple: tiles begin at multiples of so many pixels, the network's last stride.
        rows: outside these rows there is no core.
    """
    halo = round_up(halo, multiple)
    height, width = (extent_of_windows(length, side, halo, multiple) for length in frame)

    def along_axes(size: Size) -> tuple[list[Window], list[Window]]:
        return windows(size[0], height, halo, multiple), windows(size[1], width, halo, multiple)

    axes = along_axes(size)
    count, most = (math.prod(map(len, each)) for each in (axes, along_axes(frame)))
    numbers = np.zeros((most, 2, 4), np.int32)
    numbers[:count] = list(product(*axes))
    start, stop, first, last = np.moveaxis(numbers, -1, 0)
    core = np.stack([first, last], axis=-1)
    core[:, 0] = core[:, 0].clip(rows.start, rows.stop)
    tiles = Tile(start, stop - start, core - start[..., None])
    margin = halo * (len(axes[0]) > 1), halo * (len(axes[1]) > 1)
    return Cut(tiles, count, (height, width), margin)


def extent_of_windows(length: int, side: int, halo: int, multiple: int) -> int:
    """The least extent of windows that keep at most about `side` each; the whole where one does."""
    whole, halo = round_up(length, multiple), round_up(halo, multiple)
    n = -(-whole // side)
    return min(round_up(-(-(whole + (n - 1) * 2 * halo) // n), multiple), whole)


def windows(length: int, extent: int, halo: int, multiple: int) -> list[Window]:
    """Windows of one extent that cover a length, and reach beyond what is kept by the halo or more.

    They begin at multiples. One alone may be longer than the length.
    """
    whole, halo = round_up(length, multiple), round_up(halo, multiple)
    n = 1 if extent >= whole else -(-(whole - 2 * halo) // (extent - 2 * halo))
    starts = [max(min(i * (extent - 2 * halo), whole - extent), 0) for i in range(n)]
    lasts = [*(start + extent - halo for start in starts[:-1]), length]
    firsts = [0, *lasts[:-1]]
    return [
        Window(start, min(start + extent, length), first, last)
        for start, first, last in zip(starts, firsts, lasts, strict=True)
    ]


def frame_of(size: Size) -> Size:
    """Height and width rounded up by 3 % at most, or to 8: one program for pictures of many sizes."""
    height, width = (round_up(n, max(8, (1 << n.bit_length() - 1) // 32)) for n in size)
    return height, width


def round_up(length: int, multiple: int) -> int:
    """To the next multiple."""
    return -(-length // multiple) * multiple


def tile_by_tile(
    compute: Callable[[Tile, Any], tuple[Any, Any]], maps: Any, cut: Cut
) -> tuple[Any, Any]:
    """What `compute` makes of one tile after the other, in the memory of one.

    Args:
        compute: gives maps (1, h, w, c) of the parts of maps that lie in a tile, right in its core, and
            numbers. Maps may have any resolution that divides the picture's.
        maps: (1, h, w, c) each, the first in the picture's resolution.
        cut: the tiles.

    Returns:
        The maps of all tiles put together, and their numbers (n, ...).
    """
    frame = maps[0].shape[1:3]

    def part(x: Array, start: Array, extent: Int[np.ndarray, "2"]) -> Array:
        return lax.dynamic_slice(x, (0, *start, 0), (1, *extent, x.shape[3]))

    def of_tile(tile: Tile) -> Any:
        def of_map(x: Array) -> Array:
            stride = frame[0] // x.shape[1]
            return part(x, tile.start // stride, np.array(cut.extent) // stride)

        return jax.tree.map(of_map, maps)

    def fill(i: Array, results: Any) -> Any:
        tile = jax.tree.map(lambda leaf: leaf[i], cut.tiles)
        skipped = jnp.where(tile.start > 0, jnp.array(cut.margin), 0)

        def put(whole: Array, new: Array) -> Array:
            """Without the margin before the core; the one after it is the next tiles', which follow."""
            stride = frame[0] // whole.shape[1]
            new = part(new, skipped // stride, np.subtract(cut.extent, cut.margin) // stride)
            return lax.dynamic_update_slice(whole, new, (0, *((tile.start + skipped) // stride), 0))

        def computed(tile: Tile, parts: Any, maps: Any, numbers: Any) -> Any:
            new_maps, new_numbers = compute(tile, parts)
            maps = jax.tree.map(put, maps, new_maps)
            return maps, jax.tree.map(lambda all_, new: all_.at[i].set(new), numbers, new_numbers)

        # The parts are computed before the condition: fused with what follows, it would be slow.
        return lax.cond(
            i < cut.count, computed, lambda *operands: operands[2:], tile, of_tile(tile), *results
        )

    first = jax.tree.map(lambda leaf: leaf[0], cut.tiles)
    new_maps, new_numbers = jax.eval_shape(lambda: compute(first, of_tile(first)))

    def empty(new: jax.ShapeDtypeStruct) -> Array:
        stride = cut.extent[0] // new.shape[1]
        return jnp.zeros((1, *(np.array(frame) // stride), new.shape[3]), new.dtype)

    n = len(cut.tiles.start)
    numbers = jax.tree.map(lambda new: jnp.zeros((n, *new.shape), new.dtype), new_numbers)
    return lax.fori_loop(0, n, fill, (jax.tree.map(empty, new_maps), numbers))
