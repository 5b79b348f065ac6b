"""Feature maps of different valid sizes in one padded shape.

Pictures of different sizes share one compiled program by lying in the top left corner of a common,
larger padded shape. Every layer therefore takes `size`, the valid height and width of each picture at
the layer's resolution, and gives exactly what it would give for each picture alone: padding mirrors
at the picture's own border, and nothing outside it ever reaches a valid position. `size=None` means
that all positions are valid.
"""

from collections.abc import Callable
from functools import partial, reduce
from operator import add

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Features = Float[Array, "n h w c"]
"""A batch of feature maps, or of pictures."""
Resized = Float[Array, "n _ _ _"]
"""As many, of another size and other channels."""
ValidSize = Int[Array, "n 2"]
"""The valid height and width of each."""

# All channels at a row and column of each picture; `x[i, rows, columns]` takes far longer to trace.
GATHER = lax.GatherDimensionNumbers(
    offset_dims=(3,),
    collapsed_slice_dims=(1, 2),
    start_index_map=(1, 2),
    operand_batching_dims=(0,),
    start_indices_batching_dims=(0,),
)


def halve(size: ValidSize | None) -> ValidSize | None:
    """The valid sizes after `max_pool`."""
    return None if size is None else (size + 1) // 2


def double(size: ValidSize | None) -> ValidSize | None:
    """The valid sizes after `UpsampleConv`."""
    return None if size is None else 2 * size


def valid_mask(x: Features, size: ValidSize) -> Bool[Array, "n h w"]:
    """Which positions of x are valid."""
    rows = jnp.arange(x.shape[1]) < size[:, :1]
    columns = jnp.arange(x.shape[2]) < size[:, 1:]
    return rows[:, :, None] & columns[:, None, :]


def pad(x: Features, size: ValidSize | None, *, mode: str) -> Float[Array, "n h+2 w+2 c"]:
    """One more row and column on each side: `reflect` (without the edge) or `edge`.

    With `size`, one gather by mirrored indices: it fuses with the activation before it, and on CPU
    it is faster than the concatenation that a padding of fixed sizes becomes.
    """
    if size is None:
        return _pad_full(x, mode)

    def index(length: int, size: Array) -> Array:
        i = jnp.arange(-1, length + 1)
        if mode == "reflect":
            i = jnp.abs(i)
            i = jnp.where(i == size, size - 2, i)
        return i

    return gather(x, size, index)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pad_full(x: Features, mode: str) -> Float[Array, "n h+2 w+2 c"]:
    """`pad` where all positions are valid.

    With its own gradient, the margin added to where it came from: on CPU, XLA's takes a third of the
    time of a convolution.
    """

    def whole(x: Array) -> Array:
        return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)

    return lax.platform_dependent(x, cpu=whole, default=partial(_pad_summed, mode=mode))


def _pad_summed(x: Features, mode: str) -> Float[Array, "n h+2 w+2 c"]:
    """The same as a sum of the picture and its margins, each between zeros.

    On GPU, XLA makes one kernel of sums and everything before them, but one of every concatenation:
    it would write, and read again, a map that is padded along one axis.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        source = 1 if mode == "reflect" and length > 1 else 0
        first = lax.slice_in_dim(x, source, source + 1, axis=axis)
        last = lax.slice_in_dim(x, length - 1 - source, length - source, axis=axis)
        parts = ((first, (0, length + 1, 0)), (x, (1, 1, 0)), (last, (length + 1, 0, 0)))
        keep = (0, 0, 0)
        padded = (insert_zeros(y, *((p, keep) if axis == 1 else (keep, p))) for y, p in parts)
        x = reduce(add, padded)
    return x


def insert_zeros(
    x: Features, rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> Float[Array, "n _ _ c"]:
    """x with zeros: so many before, after and between its rows and its columns."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))


def _pad_forward(x: Features, mode: str) -> tuple[Float[Array, "n h+2 w+2 c"], None]:
    return _pad_full(x, mode), None


def _pad_backward(mode: str, _: None, gradient: Features) -> tuple[Float[Array, "n h-2 w-2 c"]]:
    for axis in (1, 2):
        g = jnp.moveaxis(gradient, axis, 0)
        source = 1 if mode == "reflect" and len(g) > 3 else 0
        g = g[1:-1].at[source].add(g[0]).at[-1 - source].add(g[-1])
        gradient = jnp.moveaxis(g, 0, axis)
    return (gradient,)


_pad_full.defvjp(_pad_forward, _pad_backward)


def gather(
    x: Features, size: ValidSize, index: Callable[[int, Array], Array]
) -> Float[Array, "n _ _ c"]:
    """Rows and columns by number, for each picture those that suit its real size.

    Args:
        x: float (n, h, w, c).
        size: valid sizes.
        index: of the padded length and a picture's own, which positions to take along an axis;
            those outside the picture stand for its nearest.
    """
    rows, columns = (
        jnp.clip(index(length, end), 0, end - 1)
        for length, end in zip(x.shape[1:3], jnp.split(size, 2, axis=1), strict=True)
    )
    positions = jnp.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    return lax.gather(
        x,
        jnp.stack(positions, axis=-1),
        GATHER,
        slice_sizes=(1, 1, 1, x.shape[3]),
        mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )
