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

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

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


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a slab; a program is compiled for their shape and halo.

    Attributes:
        tiles: in reading order.
        tile_shape: height and width of every tile in pixels.
        halo: how many pixels tiles reach beyond their core, vertically and horizontally; 0 along an
            axis with a single tile.
    """

    tiles: Sequence[Tile]
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

    axes = spans(size[0], height, halo, multiple), spans(size[1], width, halo, multiple)
    tiles = [_tile(*both, rows) for both in product(*axes)]
    halos = halo * (len(axes[0]) > 1), halo * (len(axes[1]) > 1)
    return TileGrid(tiles, (height, width), halos)


def _tile(vertical: Span, horizontal: Span, rows: slice) -> Tile:
    """The tile of two spans, with no other rows in its core than these of the slab."""
    start, stop, first, last = np.array([vertical, horizontal], np.int32).T
    core = np.stack([first, last], axis=-1)
    core[0] = core[0].clip(rows.start, rows.stop)
    return Tile(start, stop - start, core - start[:, None])


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


def cut_out(whole: AnyArray, tile: Tile, tile_shape: Size, stride: int = 1) -> Array:
    """The part (1, h, w, c) of a slab's map that lies in a tile of this shape.

    Args:
        whole: a map of the slab, in a resolution that divides the picture's by `stride`.
        tile, tile_shape, stride: of the part, all in pixels.
    """
    part = _slice(whole, tile.start // stride, np.array(tile_shape) // stride)
    # Fused with what is computed of it, slicing would be slow.
    return lax.optimization_barrier(part)


def paste(new: Array, tile: Tile, halo: Size, whole: Array, stride: int = 1) -> Array:
    """Pastes the map of a tile into the slab's, except for the halo before its core.

    The halo after the core is pasted too; the next tiles overwrite it. For the arguments, see
    `cut_out`.
    """
    skipped = jnp.where(tile.start > 0, jnp.array(halo), 0)
    shape = np.array(new.shape[1:3]) - np.array(halo) // stride
    start = (tile.start + skipped) // stride
    return lax.dynamic_update_slice(
        whole, _slice(new, skipped // stride, shape), (0, start[0], start[1], 0)
    )


def _slice(x: AnyArray, start: AnyArray, shape: np.ndarray) -> Array:
    """Some rows and columns of a map (1, h, w, c)."""
    height, width = (int(length) for length in shape)
    return lax.dynamic_slice(x, (0, start[0], start[1], 0), (1, height, width, x.shape[3]))
