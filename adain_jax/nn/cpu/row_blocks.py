"""Feature maps computed block by block of rows, in the memory of one block.

For CPU, where a picture's largest maps would leave the caches; accelerators want large maps.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim
from jaxtyping import Array, Float

from adain_jax.nn.valid_size import Features, Resized, ValidSize

BLOCK_ROWS = 64
"""About how many rows a block has."""


def map_row_blocks(
    f: Callable[[Features, ValidSize | None], Resized],
    x: Features,
    size: ValidSize | None,
    *,
    every: int = 1,
) -> Resized:
    """f(x, size), on CPU one block of rows after the other, in the memory of one block.

    The same to rounding, which on some CPUs depends on how many rows are convolved together.

    Accelerators have memory, and want large maps.

    Args:
        f: gives a map of a map, of the same resolution or another. Counted in rows of the coarser of
            the two, a row of the result depends on those up to one beyond its own.
        x: float (n, h, w, c).
        size: valid sizes; None computes all at once, as for maps that would give few blocks, or whose
            height only an exported program will know.
        every: how many rows of x are one of the coarser map; h is a multiple.
    """
    whole = x.shape[1] // every
    few = is_symbolic_dim(whole) or whole <= 4 * BLOCK_ROWS
    if size is None or few or jax.default_backend() != "cpu":
        return f(x, size)
    rows = -(-whole // -(-whole // BLOCK_ROWS))  # of every block: as alike as they can be
    extent = 1 + rows + 1
    f = jax.jit(f, inline=True)  # traced once, for the shape and for the loop

    def compute(start: int | Array) -> Resized:
        height = jnp.clip(size[:, :1] - every * start, 1, every * extent)
        block = _rows(x, start, extent, whole)
        return f(block, jnp.concatenate([height, size[:, 1:]], axis=1))

    def fill(i: Array, result: Features) -> Features:
        first = jnp.minimum(i * rows, whole - rows)
        start = jnp.clip(first - 1, 0, whole - extent)
        block = _rows(compute(start), first - start, rows, extent)
        place = first * (result.shape[1] // whole)
        return lax.dynamic_update_slice_in_dim(result, block, place, axis=1)

    block = jax.eval_shape(compute, 0)
    n, h, w, c = block.shape
    empty = jnp.zeros((n, h // extent * whole, w, c), block.dtype)
    return lax.fori_loop(0, -(-whole // rows), fill, empty)


def _rows(
    x: Features, first: int | Array, number: int, whole: int
) -> Float[Array, "n {number}*h//{whole} w c"]:
    """Rows of x from `first` on, counted in rows of a map that has `whole` of them."""
    each = x.shape[1] // whole
    return lax.dynamic_slice_in_dim(x, first * each, number * each, axis=1)
