"""Convolution of strips of rows side by side, for CPU: the same numbers, bit for bit."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from adain_jax.nn.cpu.kernel_gradient import kernel_gradient

PART_SIZE = 1 << 16
"""Numbers to multiply with, in the parts that XLA shares out between threads."""
MAX_STRIPS = 8
MIN_ROWS = 32
"""Rows of a strip, at least."""


@jax.custom_vjp
def conv_row_strips(
    x: Float[Array, "n h w ci"], kernel: Float[Array, "kh kw ci co"]
) -> Float[Array, "n h-kh+1 w-kw+1 co"]:
    """Convolution of strips of rows that lie side by side: the same numbers, bit for bit.

    On CPU, XLA shares out a row of positions between threads, in parts of about PART_SIZE numbers to
    multiply with: a short row of few channels is one part, and one thread's. And XLA's fast path wants
    some padding (without it jaxlib 0.10 takes three times as long): as many spare columns as are lost
    between strips.
    """
    n, h, w, c_in = x.shape
    kh, kw, _, c_out = kernel.shape
    h, w = h - kh + 1, w - kw + 1
    short = w * kh * kw * c_in < 3 * PART_SIZE
    strips = max(1, min(MAX_STRIPS, h // MIN_ROWS)) if short else 1
    rows = -(-h // strips)
    x = jnp.pad(x, ((0, 0), (0, strips * rows - h), (0, 0), (0, 0)))
    x = jnp.concatenate([x[:, i * rows : (i + 1) * rows + kh - 1] for i in range(strips)], axis=2)
    y = conv_nhwc(x, kernel, ((0, 0), (0, kw - 1)))
    y = y.reshape(n, rows, strips, w + kw - 1, c_out)[:, :, :, :w]
    return y.swapaxes(1, 2).reshape(n, strips * rows, w, c_out)[:, :h]


def _forward(
    x: Float[Array, "n h w ci"], kernel: Float[Array, "kh kw ci co"]
) -> tuple[Float[Array, "n h-kh+1 w-kw+1 co"], tuple[Array, Array]]:
    return conv_row_strips(x, kernel), (x, kernel)


def _backward(
    saved: tuple[Float[Array, "n h w ci"], Float[Array, "kh kw ci co"]],
    gradient: Float[Array, "n h-kh+1 w-kw+1 co"],
) -> tuple[Float[Array, "n h w ci"], Float[Array, "kh kw ci co"]]:
    x, kernel = saved
    (d_x,) = jax.vjp(lambda x: conv_nhwc(x, kernel, ((0, 0), (0, 0))), x)[1](gradient)
    return d_x, kernel_gradient(x, gradient)


conv_row_strips.defvjp(_forward, _backward)


def conv_nhwc(
    x: Float[Array, "n h w ci"],
    kernel: Float[Array, "kh kw ci co"],
    padding: tuple[tuple[int, int], tuple[int, int]],
) -> Float[Array, "n _ _ co"]:
    """Convolution with stride 1 of NHWC maps with an HWIO kernel."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
