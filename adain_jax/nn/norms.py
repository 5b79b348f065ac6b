"""The paper's background as modules: batch, instance, conditional and adaptive instance normalization.

All four compute  scale * (x - mean) / sqrt(var + 1e-5) + shift  per channel, with biased variance.
They differ in where the statistics are taken and where scale and shift come from:

=============================  ======================  ============================================
module                         statistics over         scale and shift
=============================  ======================  ============================================
`BatchNorm` (eq. 1-3)          batch and positions     learned
`InstanceNorm` (eq. 4-6)       positions               learned
`ConditionalInstanceNorm` (7)  positions               learned, one row of a table per style
`AdaptiveInstanceNorm` (8)     positions               the style's standard deviation and mean
=============================  ======================  ============================================

One interface: `norm(x, style)` with x float (n, h, w, c); `style` is None for the first two, int (n,)
for the table, a `Style` for AdaIN. The first two, which a decoder may have, also take the valid sizes
of x (see `adain_jax.nn.valid_size`).
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from adain_jax.nn.valid_size import Features, ValidSize, valid_mask
from adain_jax.style import Style, adain, normalize, statistics


class BatchNorm(nnx.Module):
    """Batch normalization (eq. 1): batch statistics in training, running ones after `.eval()`."""

    def __init__(self, channels: int, *, momentum: float = 0.9, rngs: nnx.Rngs | None = None):
        self.scale = nnx.Param(jnp.ones(channels))
        self.shift = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))
        self.momentum = momentum
        self.use_running_average = False  # set by nnx's train() and eval()

    def __call__(
        self, x: Features, style: None = None, *, size: ValidSize | None = None
    ) -> Features:
        """Normalizes float (n, h, w, c); updates the running statistics in training.

        Pictures to train on have no padding, and in use it does not matter: `size` is not looked at.
        """
        if self.use_running_average:
            mean, var = self.mean[...], self.var[...]
        else:
            mean, var = x.mean((0, 1, 2), dtype=jnp.float32), x.var((0, 1, 2), dtype=jnp.float32)
            keep = self.momentum
            self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
            self.var[...] = keep * self.var[...] + (1 - keep) * var
        x = normalize(x, Style(mean, jnp.sqrt(var + 1e-5)))
        return self.scale[...] * x + self.shift[...]


class InstanceNorm(nnx.Module):
    """Instance normalization (eq. 4): each picture by its own statistics."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs | None = None):
        self.scale = nnx.Param(jnp.ones(channels))
        self.shift = nnx.Param(jnp.zeros(channels))

    def __call__(
        self, x: Features, style: None = None, *, size: ValidSize | None = None
    ) -> Features:
        """Normalizes float (n, h, w, c), by its valid positions."""
        own = statistics(x, None if size is None else valid_mask(x, size))
        return self.scale[...] * normalize(x, own) + self.shift[...]


class ConditionalInstanceNorm(nnx.Module):
    """Conditional instance normalization (eq. 7, Dumoulin et al.): scale and shift by style index."""

    def __init__(self, channels: int, styles: int, *, rngs: nnx.Rngs | None = None):
        self.scale = nnx.Param(jnp.ones((styles, channels)))
        self.shift = nnx.Param(jnp.zeros((styles, channels)))

    def __call__(self, x: Features, style: Int[Array, " n"]) -> Features:
        """Normalizes float (n, h, w, c) into styles given by their indices, int (n,)."""
        return adain(x, Style(self.shift[style], self.scale[style]))


class AdaptiveInstanceNorm(nnx.Module):
    """Adaptive instance normalization (eq. 8): no parameters, scale and shift are the style's."""

    def __call__(self, x: Float[Array, "n h w c"], style: Style) -> Features:
        """Normalizes float (n, h, w, c) to the style's statistics, float (c,) or (n, c)."""
        return adain(x, style)
