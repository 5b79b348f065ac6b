"""The gradient of a convolution for its kernel, for CPU: a matrix product for each tap."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

NARROW = 64
"""Output channels up to which the taps of a row share a product: narrow matrices are slow."""


def kernel_gradient(
    x: Float[Array, "n h w ci"], gradient: Float[Array, "n rows columns co"]
) -> Float[Array, "h-rows+1 w-columns+1 ci co"]:
    """The gradient for the kernel that made a map of `gradient`'s size of `x`, without padding.

    XLA's own is a convolution with a kernel as large as the map: on CPU, it takes two to eight times as
    long.
    """
    (_, h, w, _), (_, rows, columns, c_out) = x.shape, gradient.shape
    kh, kw = h - rows + 1, w - columns + 1
    if c_out > NARROW:
        taps = [[x[:, i : i + rows, j : j + columns] for j in range(kw)] for i in range(kh)]
        return jnp.stack([jnp.stack([_product(tap, gradient) for tap in row]) for row in taps])
    shifted = [jnp.pad(gradient, ((0, 0), (0, 0), (j, kw - 1 - j), (0, 0))) for j in range(kw)]
    side_by_side = jnp.concatenate(shifted, axis=-1)
    products = jnp.stack([_product(x[:, i : i + rows], side_by_side) for i in range(kh)])
    return products.reshape(kh, -1, kw, c_out).swapaxes(1, 2)


def _product(x: Float[Array, "n h w ci"], y: Float[Array, "n h w co"]) -> Float[Array, "ci co"]:
    """The sum over all positions of the channels' products."""
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    over_positions = (((0,), (0,)), ((), ()))
    summed = lax.dot_general(x, y, over_positions, preferred_element_type=jnp.float32)
    return summed.astype(x.dtype)
