"""3x3 convolution with half the multiplications, by Winograd's minimal filtering F(4, 3) along rows.

Four neighboring outputs of a filter of three taps take six products instead of twelve: of sums of
the six inputs (INPUT), with sums of the taps (TAPS), added up again (OUTPUT); Winograd 1980, Lavin
and Gray 2016. The three rows of the kernel stay an ordinary convolution, which keeps the sums cheap
next to the products. Rounding grows to about 3e-6 of the largest output.

For CPU, where XLA multiplies every tap; cuDNN and the TPU have their own ways.
"""

from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32

from adain_jax.nn.cpu.kernel_gradient import kernel_gradient

Features = Float32[Array, "n h w c"]
OUTPUTS, POINTS = 4, 6
INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
TAPS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]])
SCALE = 24  # of TAPS
OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


@jax.custom_vjp
def convolve(
    x: Float32[Array, "n h w ci"], kernel: Float32[Array, "3 3 ci co"]
) -> Float32[Array, "n h-2 w-2 co"]:
    """Convolution without padding."""
    width = x.shape[2] - 2
    products = [_down(v, u) for v, u in zip(_sums_of_inputs(x), _sums_of_taps(kernel), strict=True)]
    return _interleave(_combine(OUTPUT, products))[:, :, :width]


def _forward(
    x: Features, kernel: Array
) -> tuple[Float32[Array, "n h-2 w-2 _"], tuple[Features, Array]]:
    return convolve(x, kernel), (x, kernel)


def _backward(
    saved: tuple[Float32[Array, "n h w ci"], Array], gradient: Float32[Array, "n h-2 w-2 co"]
) -> tuple[Float32[Array, "n h w ci"], Float32[Array, "3 3 ci co"]]:
    """The same way back, with the same six products of each kind: every matrix transposed."""
    x, kernel = saved
    outputs = [_fill(gradient)[:, :, i::OUTPUTS] for i in range(OUTPUTS)]
    products = _combine(OUTPUT.T, outputs)
    d_taps = [
        kernel_gradient(v, g)[:, 0] for v, g in zip(_sums_of_inputs(x), products, strict=True)
    ]
    d_sums = [_down_for_input(g, u) for g, u in zip(products, _sums_of_taps(kernel), strict=True)]
    inputs = _combine(INPUT.T, d_sums)
    columns = [_shift(d, 0) for d in inputs[:OUTPUTS]]
    for i, d in enumerate(inputs[OUTPUTS:]):  # the last two inputs are the next four's first two
        columns[i] += _shift(d, 1)
    d_kernel = jnp.stack(_combine(TAPS.T, d_taps), axis=1) / SCALE
    return _interleave(columns)[:, :, : x.shape[2]], d_kernel


convolve.defvjp(_forward, _backward)


def _sums_of_inputs(x: Features) -> list[Float32[Array, "n h (w+1)//4 c"]]:
    """One of six for each product."""
    x = _fill(x, beyond=2)
    end = x.shape[2] - POINTS + 1
    return _combine(INPUT, [x[:, :, i : end + i : OUTPUTS] for i in range(POINTS)])


def _sums_of_taps(kernel: Float32[Array, "3 3 ci co"]) -> list[Float32[Array, "3 ci co"]]:
    return [u / SCALE for u in _combine(TAPS, [kernel[:, i] for i in range(3)])]


def _combine(matrix: np.ndarray, terms: list[Array]) -> list[Array]:
    """The matrix times the terms.

    Factors are taken apart into powers of two, whose products are exact: so every picture's numbers
    are the same bits however XLA fuses the sums, alone or in a batch.
    """
    return [
        reduce(add, (p * term for f, term in zip(row, terms, strict=True) for p in _powers(f)))
        for row in matrix
    ]


def _powers(factor: np.integer) -> list[float]:
    """Powers of two, with the factor's sign, that add up to it."""
    return [float(np.sign(factor) << bit) for bit in range(5) if abs(factor) >> bit & 1]


def _fill(x: Features, beyond: int = 0) -> Float32[Array, "n h _ c"]:
    """Columns of zeros up to a multiple of four, and so many beyond it."""
    return jnp.pad(x, ((0, 0), (0, 0), (0, (beyond - x.shape[2]) % OUTPUTS), (0, 0)))


def _shift(x: Features, columns: int) -> Float32[Array, "n h w+1 c"]:
    """A column more, of zeros: at the end, or with `columns=1` at the beginning."""
    return jnp.pad(x, ((0, 0), (0, 0), (columns, 1 - columns), (0, 0)))


def _interleave(parts: list[Features]) -> Float32[Array, "n h {len(parts)}*w c"]:
    """Columns in turn from each part."""
    n, h, w, c = parts[0].shape
    return jnp.stack(parts, axis=3).reshape(n, h, w * len(parts), c)


def _down(
    x: Float32[Array, "n h w ci"], taps: Float32[Array, "3 ci co"]
) -> Float32[Array, "n h-2 w co"]:
    """Three taps down the columns.

    One spare position is computed and dropped, for the reason of `row_strips.conv_row_strips`.
    """
    return _dilated(x, taps, (0, 1))[:, :-1].reshape(len(x), -1, x.shape[2], taps.shape[-1])


def _down_for_input(
    gradient: Float32[Array, "n h w co"], taps: Float32[Array, "3 ci co"]
) -> Float32[Array, "n h+2 w ci"]:
    """The gradient of `_down` for its input."""
    n, _, w, _ = gradient.shape
    y = _dilated(gradient, taps[::-1].swapaxes(1, 2), (2 * w, 2 * w))
    return y.reshape(n, -1, w, taps.shape[1])


def _dilated(
    x: Float32[Array, "n h w ci"], taps: Float32[Array, "3 ci co"], padding: tuple[int, int]
) -> Float32[Array, "n positions co"]:
    """All rows in one line, the taps a row apart."""
    n, h, w, c = x.shape
    return lax.conv_general_dilated(
        x.reshape(n, h * w, c),
        taps,
        (1,),
        (padding,),
        rhs_dilation=(w,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
