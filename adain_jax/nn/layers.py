"""The layers VGG19 and its mirror image are built of: padded convolution, upsampling, pooling.

`size` is that of `adain_jax.nn.valid_size`. Layers compute in the dtype of their kernel; cast the
parameters to bfloat16 to convolve in it.
"""

from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.export import is_symbolic_dim
from jaxtyping import Array, Float

from adain_jax.nn.cpu import winograd
from adain_jax.nn.cpu.row_strips import conv_nhwc, conv_row_strips
from adain_jax.nn.valid_size import Features, ValidSize, insert_zeros, pad, valid_mask

initialize = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Torch7's default for kernels, which the original release starts from."""


class ReflectConv(nnx.Module):
    """3x3 convolution with reflection padding, as in every layer of the paper's networks.

    Parameters: `kernel` float32 (3, 3, c_in, c_out) and `bias` float32 (c_out,).
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(initialize(rngs.params(), (3, 3, c_in, c_out)))
        self.bias = nnx.Param(jnp.zeros(c_out))

    def __call__(
        self, x: Float[Array, "n h w ci"], size: ValidSize | None = None
    ) -> Float[Array, "n h w co"]:
        """The convolution, of a map of the same size."""
        kernel, bias = self.kernel[...], self.bias[...]
        x = pad(x.astype(kernel.dtype), size, mode="reflect")
        return convolve(x, kernel) + bias


class PointwiseConv(nnx.Module):
    """1x1 convolution: the same linear map at every position.

    Parameters: `kernel` float32 (1, 1, c_in, c_out) and `bias` float32 (c_out,).
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(initialize(rngs.params(), (1, 1, c_in, c_out)))
        self.bias = nnx.Param(jnp.zeros(c_out))

    def __call__(self, x: Float[Array, "n h w ci"]) -> Float[Array, "n h w co"]:
        """The map, applied at every position."""
        kernel = self.kernel[0, 0]
        return x.astype(kernel.dtype) @ kernel + self.bias[...]


class UpsampleConv(ReflectConv):
    """Nearest upsampling by 2, then `ReflectConv`, computed on the small map.

    A 3x3 window on the upsampled map sees each small pixel up to four times, so each of the four
    output phases is a 2x2 convolution of the small map whose weights are sums of the 3x3 kernel's:
    exact, with 4/9 of the multiplications. The mirror of the upsampled map is the edge of the small
    one.
    """

    def __call__(
        self, x: Float[Array, "n h w ci"], size: ValidSize | None = None
    ) -> Float[Array, "n 2*h 2*w co"]:
        """The convolution of the upsampled map; `size` is the size before upsampling."""
        kernel, bias = self.kernel[...], self.bias[...]
        x = pad(x.astype(kernel.dtype), size, mode="edge")
        return _interleave(convolve(x, phase_kernel(kernel))) + bias


def max_pool(x: Features, size: ValidSize | None = None) -> Float[Array, "n (h+1)//2 (w+1)//2 c"]:
    """2x2 max pooling in ceil mode.

    As maxima of slices: on CPU, XLA's gradient of a windowed maximum takes fifty times as long.
    """
    if size is not None:
        x = jnp.where(valid_mask(x, size)[..., None], x, -jnp.inf)
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), constant_values=-jnp.inf)
    x = x.reshape(n, -(-h // 2), 2, -(-w // 2), 2, c)
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


def convolve(
    x: Float[Array, "n h w ci"], kernel: Float[Array, "kh kw ci co"]
) -> Float[Array, "n h-kh+1 w-kw+1 co"]:
    """Convolution without padding.

    On CPU, wide 3x3 kernels in float32 go by `winograd` where that pays; on small maps the rounding of
    its products would depend on the batch. The others go by `conv_row_strips`. Maps of a size that only
    an exported program will know are convolved plainly: both ways choose by the size.
    """

    def plain(x: Array, kernel: Array) -> Array:
        return conv_nhwc(x, kernel, ((0, 0), (0, 0)))

    if any(map(is_symbolic_dim, x.shape)):
        return plain(x, kernel)
    wide = kernel.shape[:2] == (3, 3) and kernel[0, 0].size > 64 * 64 and x.shape[2] > 24
    pays = wide and kernel.dtype == jnp.float32
    on_cpu = winograd.convolve if pays else conv_row_strips
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)


def phase_kernel(kernel: Float[Array, "3 3 ci co"]) -> Float[Array, "2 2 ci 4*co"]:
    """The 2x2 kernels of the output phases (even/odd row, even/odd column), side by side."""

    def fold(k: Array, axis: int) -> list[Array]:
        a, b, c = jnp.split(k, 3, axis)
        return [jnp.concatenate([a, b + c], axis), jnp.concatenate([a + b, c], axis)]

    return jnp.concatenate([k for rows in fold(kernel, 0) for k in fold(rows, 1)], axis=-1)


@jax.custom_vjp
def _interleave(phases: Features) -> Float[Array, "n 2*(h-1) 2*(w-1) c//4"]:
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
        insert_zeros(x[:, i : h + i, j : w + j, i, j], (i, 1 - i, 1), (j, 1 - j, 1))
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
