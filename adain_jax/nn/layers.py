"""The layers VGG19 and its mirror image are built of: padded convolution, upsampling, pooling.

Pictures of different sizes share one compiled program by lying in the top left corner of a common,
larger frame. Every layer therefore takes `size`, the real height and width of each picture at the
layer's resolution, and gives exactly what it would give for each picture alone: padding mirrors at
the picture's own border, and nothing outside it ever reaches a real pixel. `size=None` means that
the pictures fill the frame.

Layers compute in the dtype of their kernel; cast the parameters to bfloat16 to convolve in it.
"""

from collections.abc import Callable
from functools import partial, reduce
from operator import add

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int

from adain_jax.nn.cpu import winograd

Frame = Float[Array, "n h w c"]
Size = Int[Array, "n 2"]

WORK = 1 << 16  # numbers, see `_side_by_side`
STRIPS = 8  # at most
ROWS = 32  # of a strip, at least
BAND = 64  # rows, about, see `in_bands`

# All channels at a row and column of each picture; `x[i, rows, columns]` takes far longer to trace.
GATHER = lax.GatherDimensionNumbers(
    offset_dims=(3,),
    collapsed_slice_dims=(1, 2),
    start_index_map=(1, 2),
    operand_batching_dims=(0,),
    start_indices_batching_dims=(0,),
)


class ReflectConv(nnx.Module):
    """3x3 convolution with reflection padding, as in every layer of the paper's networks.

    Parameters: `kernel` float32 (3, 3, c_in, c_out) and `bias` float32 (c_out,).
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs):
        # Torch7's default, which the original release starts from.
        initialise = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.kernel = nnx.Param(initialise(rngs.params(), (3, 3, c_in, c_out)))
        self.bias = nnx.Param(jnp.zeros(c_out))

    def __call__(self, x: Frame, size: Size | None = None) -> Frame:
        """Maps (n, h, w, c_in) to (n, h, w, c_out)."""
        kernel, bias = self.kernel[...], self.bias[...]
        x = pad(x.astype(kernel.dtype), size, mode="reflect")
        return convolve(x, kernel) + bias


class PointwiseConv(nnx.Module):
    """1x1 convolution: the same linear map at every position.

    Parameters: `kernel` float32 (1, 1, c_in, c_out) and `bias` float32 (c_out,).
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs):
        initialise = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        self.kernel = nnx.Param(initialise(rngs.params(), (1, 1, c_in, c_out)))
        self.bias = nnx.Param(jnp.zeros(c_out))

    def __call__(self, x: Frame) -> Frame:
        """Maps (n, h, w, c_in) to (n, h, w, c_out)."""
        kernel = self.kernel[0, 0]
        return x.astype(kernel.dtype) @ kernel + self.bias[...]


class UpsampleConv(ReflectConv):
    """Nearest upsampling by 2, then `ReflectConv`, computed on the small map.

    A 3x3 window on the upsampled map sees each small pixel up to four times, so each of the four
    output phases is a 2x2 convolution of the small map whose weights are sums of the 3x3 kernel's:
    exact, with 4/9 of the multiplications. The mirror of the upsampled map is the edge of the small
    one.
    """

    def __call__(self, x: Frame, size: Size | None = None) -> Frame:
        """Maps (n, h, w, c_in) to (n, 2h, 2w, c_out); `size` is the size before upsampling."""
        kernel, bias = self.kernel[...], self.bias[...]
        x = pad(x.astype(kernel.dtype), size, mode="edge")
        return _interleave(convolve(x, _phase_kernel(kernel))) + bias


def _phase_kernel(kernel: Float[Array, "3 3 ci co"]) -> Float[Array, "2 2 ci 4*co"]:
    """The 2x2 kernels of the output phases (even/odd row, even/odd column), side by side."""

    def fold(k: Array, axis: int) -> list[Array]:
        a, b, c = jnp.split(k, 3, axis)
        return [jnp.concatenate([a, b + c], axis), jnp.concatenate([a + b, c], axis)]

    return jnp.concatenate([k for rows in fold(kernel, 0) for k in fold(rows, 1)], axis=-1)


@jax.custom_vjp
def _interleave(phases: Float[Array, "n h+1 w+1 4*c"]) -> Float[Array, "n 2*h 2*w c"]:
    """The output of the four phases, each of which has a row and a column too many on its own side.

    With its own gradient, of slices side by side: on CPU, XLA's takes the convolution a quarter longer.
    """
    return lax.platform_dependent(phases, cpu=_interleave_stacked, default=_interleave_summed)


def _interleave_stacked(phases: Array) -> Array:
    n, h, w = phases.shape[0], phases.shape[1] - 1, phases.shape[2] - 1
    phases = phases.reshape(n, h + 1, w + 1, 2, 2, -1)
    rows = [
        jnp.stack([phases[:, i : h + i, j : w + j, i, j] for j in (0, 1)], axis=3) for i in (0, 1)
    ]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, -1)


def _interleave_summed(phases: Array) -> Array:
    """The same as a sum of each phase between zeros, for the reason of `_pad_summed`."""
    n, h, w = phases.shape[0], phases.shape[1] - 1, phases.shape[2] - 1
    x = phases.reshape(n, h + 1, w + 1, 2, 2, -1)
    parts = (
        _among_zeros(x[:, i : h + i, j : w + j, i, j], (i, 1 - i, 1), (j, 1 - j, 1))
        for i in (0, 1)
        for j in (0, 1)
    )
    return reduce(add, parts)


def _interleave_forward(phases: Array) -> tuple[Array, None]:
    return _interleave(phases), None


def _interleave_backward(_: None, gradient: Array) -> tuple[Array]:
    n, h, w, c = gradient.shape
    x = gradient.reshape(n, h // 2, 2, w // 2, 2, c)
    phases = [
        jnp.pad(x[:, :, i, :, j], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
        for i in (0, 1)
        for j in (0, 1)
    ]
    return (jnp.concatenate(phases, axis=-1),)


_interleave.defvjp(_interleave_forward, _interleave_backward)


def in_bands(
    f: Callable[[Frame, Size | None], Frame], x: Frame, size: Size | None, *, every: int = 1
) -> Frame:
    """f(x, size), on CPU one band of rows after the other: the same bits, in the memory of one band.

    Accelerators have memory, and want large maps.

    Args:
        f: gives a map of a map, of the same resolution or another. Counted in rows of the coarser of
            the two, a row of the result depends on those up to one beyond its own.
        x: float (n, h, w, c).
        size: real sizes; None computes all at once, as for maps that would give few bands.
        every: how many rows of x are one of the coarser map; h is a multiple.
    """
    whole = x.shape[1] // every
    if size is None or whole <= 4 * BAND or jax.default_backend() != "cpu":
        return f(x, size)
    rows = -(-whole // -(-whole // BAND))  # of every band: as alike as they can be
    extent = 1 + rows + 1
    f = jax.jit(f, inline=True)  # traced once, for the shape and for the loop

    def compute(start: int | Array) -> Frame:
        height = jnp.clip(size[:, :1] - every * start, 1, every * extent)
        band = _rows(x, start, extent, whole)
        return f(band, jnp.concatenate([height, size[:, 1:]], axis=1))

    def fill(i: Array, result: Frame) -> Frame:
        first = jnp.minimum(i * rows, whole - rows)
        start = jnp.clip(first - 1, 0, whole - extent)
        band = _rows(compute(start), first - start, rows, extent)
        place = first * (result.shape[1] // whole)
        return lax.dynamic_update_slice_in_dim(result, band, place, axis=1)

    band = jax.eval_shape(compute, 0)
    n, h, w, c = band.shape
    empty = jnp.zeros((n, h // extent * whole, w, c), band.dtype)
    return lax.fori_loop(0, -(-whole // rows), fill, empty)


def _rows(x: Frame, first: int | Array, number: int, whole: int) -> Frame:
    """So many rows of x, counted in those of a map that has `whole`."""
    each = x.shape[1] // whole
    return lax.dynamic_slice_in_dim(x, first * each, number * each, axis=1)


def max_pool(x: Frame, size: Size | None = None) -> Frame:
    """2x2 max pooling in ceil mode: (n, h, w, c) to (n, ceil(h/2), ceil(w/2), c).

    As maxima of slices: on CPU, XLA's gradient of a windowed maximum takes fifty times as long.
    """
    if size is not None:
        x = jnp.where(inside(x, size)[..., None], x, -jnp.inf)
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), constant_values=-jnp.inf)
    x = x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c)
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


def halve(size: Size | None) -> Size | None:
    """The real sizes after `max_pool`."""
    return None if size is None else (size + 1) // 2


def double(size: Size | None) -> Size | None:
    """The real sizes after `UpsampleConv`."""
    return None if size is None else 2 * size


def inside(x: Frame, size: Size) -> Array:
    """Which positions of x are real: bool (n, h, w)."""
    rows = jnp.arange(x.shape[1]) < size[:, :1]
    columns = jnp.arange(x.shape[2]) < size[:, 1:]
    return rows[:, :, None] & columns[:, None, :]


def pad(x: Frame, size: Size | None, *, mode: str) -> Frame:
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
def _pad_full(x: Frame, mode: str) -> Frame:
    """`pad` of pictures that fill the frame.

    With its own gradient, the margin added to where it came from: on CPU, XLA's takes a third of the
    time of a convolution.
    """

    def whole(x: Array) -> Array:
        return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)

    return lax.platform_dependent(x, cpu=whole, default=partial(_pad_summed, mode=mode))


def _pad_summed(x: Frame, mode: str) -> Frame:
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
        padded = (_among_zeros(y, *((p, keep) if axis == 1 else (keep, p))) for y, p in parts)
        x = reduce(add, padded)
    return x


def _among_zeros(x: Frame, rows: tuple[int, int, int], columns: tuple[int, int, int]) -> Frame:
    """x with zeros: so many before, after and between its rows and its columns."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))


def _pad_forward(x: Frame, mode: str) -> tuple[Frame, None]:
    return _pad_full(x, mode), None


def _pad_backward(mode: str, _: None, gradient: Frame) -> tuple[Frame]:
    for axis in (1, 2):
        g = jnp.moveaxis(gradient, axis, 0)
        source = 1 if mode == "reflect" and len(g) > 3 else 0
        g = g[1:-1].at[source].add(g[0]).at[-1 - source].add(g[-1])
        gradient = jnp.moveaxis(g, 0, axis)
    return (gradient,)


_pad_full.defvjp(_pad_forward, _pad_backward)


def gather(x: Frame, size: Size, index: Callable[[int, Array], Array]) -> Frame:
    """Rows and columns by number, for each picture those that suit its real size.

    Args:
        x: float (n, h, w, c).
        size: real sizes.
        index: of the frame's length and a picture's real one, which positions to take along an axis;
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


def convolve(x: Frame, kernel: Float[Array, "kh kw ci co"]) -> Frame:
    """Convolution without padding.

    On CPU, wide 3x3 kernels in float32 go by `winograd` where that pays; on small maps the rounding of
    its products would depend on the batch. The others go by `_side_by_side`.
    """

    def plain(x: Array, kernel: Array) -> Array:
        return _convolve(x, kernel, ((0, 0), (0, 0)))

    wide = kernel.shape[:2] == (3, 3) and kernel[0, 0].size > 64 * 64 and x.shape[2] > 24
    pays = wide and kernel.dtype == jnp.float32
    on_cpu = winograd.convolve if pays else _side_by_side
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def _side_by_side(x: Frame, kernel: Float[Array, "kh kw ci co"]) -> Frame:
    """Convolution of strips of rows that lie side by side: the same numbers, bit for bit.

    On CPU, XLA shares out a row of positions between threads, in parts of about WORK numbers to
    multiply with: a short row of few channels is one part, and one thread's. And XLA's fast path wants
    some padding (without it jaxlib 0.10 takes three times as long): as many spare columns as are lost
    between strips.
    """
    n, h, w, c_in = x.shape
    kh, kw, _, c_out = kernel.shape
    h, w = h - kh + 1, w - kw + 1
    short = w * kh * kw * c_in < 3 * WORK
    strips = max(1, min(STRIPS, h // ROWS)) if short else 1
    rows = -(-h // strips)
    x = jnp.pad(x, ((0, 0), (0, strips * rows - h), (0, 0), (0, 0)))
    x = jnp.concatenate([x[:, i * rows : (i + 1) * rows + kh - 1] for i in range(strips)], axis=2)
    y = _convolve(x, kernel, ((0, 0), (0, kw - 1)))
    y = y.reshape(n, rows, strips, w + kw - 1, c_out)[:, :, :, :w]
    return y.swapaxes(1, 2).reshape(n, strips * rows, w, c_out)[:, :h]


def _convolve(x: Array, kernel: Array, padding: tuple[tuple[int, int], tuple[int, int]]) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
