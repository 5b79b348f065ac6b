"""The style algebra: channel statistics, AdaIN, strength, mixtures, regions.

Pure functions of arrays, usable under `jit`, `vmap` and `grad`. Features are float (n, h, w, c);
statistics are always float32, with biased variance and 1e-5 inside the square root, as in the
original release.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from adain_jax.errors import StyleError

EPSILON = 1e-5

AnyArray = jax.Array | np.ndarray
Features = Float[Array, "n h w c"]
AnyFeatures = Float[AnyArray, "n h w c"]
AnyWeights = Float[AnyArray, "n h w"] | Bool[AnyArray, "n h w"]
AnyMasks = Float[AnyArray, "n h w r"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Style:
    """What AdaIN knows of a style: the mean and standard deviation of each feature channel.

    Both are float32 (c,) for one style, (n, c) for one per picture of a batch.
    """

    mean: Float[AnyArray, "*n c"]
    std: Float[AnyArray, "*n c"]

    # As of any pytree, JAX also makes styles of other things, such as shapes: jaxtyping, which checks
    # types in the tests, is not to check those two.
    __no_type_check__ = True

    def __getitem__(self, index: Any) -> "Style":
        """Some of a batch of styles."""
        return Style(self.mean[index], self.std[index])

    @staticmethod
    def stack(styles: Sequence["Style"]) -> "Style":
        """One batch (n, c) of n single styles."""
        return Style(
            np.stack([style.mean for style in styles]), np.stack([style.std for style in styles])
        )

    def save(self, path: str | Path, model: str) -> None:
        """Writes a style file; `model` is the `Stylizer.encoder_id` whose channels these are."""
        from adain_jax.weights.style_files import write_moments

        write_moments(self.mean, self.std, path, model)

    @staticmethod
    def load(path: str | Path, model: str) -> "Style":
        """Reads what `save` wrote.

        Raises:
            StyleError: the file is missing, is not a style file, or holds a style of another model.
        """
        from adain_jax.weights.style_files import read_moments

        return Style(*read_moments(path, model))


def statistics(x: AnyFeatures, weights: AnyWeights | None = None) -> Style:
    """mu(x) and sigma(x) of equations 5 and 6, over positions: a `Style` with leaves (n, c).

    With `weights` (at least 0), they are weighted; where the weights sum to 0, the mean is 0 and the
    std sqrt(1e-5). Features of weight 0 do not count, but their squares must be finite.
    """
    x = x.astype(jnp.float32)
    if weights is None:
        mean = x.mean((1, 2))
        var = x.var((1, 2))
    else:
        w = weights.astype(jnp.float32)[..., None]
        w = w / jnp.maximum(w.sum((1, 2), keepdims=True), 1e-12)
        mean = (w * x).sum((1, 2))
        # Without the barrier, XLA on CPU (jaxlib 0.10) broadcasts w to all channels in memory first.
        w = jax.lax.optimization_barrier(w)
        var = (w * jnp.square(x - mean[:, None, None])).sum((1, 2))
    return Style(mean, jnp.sqrt(var + EPSILON))


def normalize(x: AnyFeatures, style: Style) -> Features:
    """(x - mean) / std, per channel."""
    return (jnp.asarray(x) - _broadcast(style.mean)) / _broadcast(style.std)


def merge_statistics(parts: Style, weights: Real[AnyArray, "k *n c"]) -> Style:
    """The statistics of a whole from those of its parts, on the host, in float64.

    Args:
        parts: k statistics, leaves (k, *n, c).
        weights: the sum of the weights that each was taken with, or its number of positions.

    Returns:
        What `statistics` of all positions together would give, leaves float32 (*n, c).
    """
    means = np.asarray(parts.mean, np.float64)
    variances = np.square(np.asarray(parts.std, np.float64)) - EPSILON
    w = np.asarray(weights, np.float64)
    w = w / np.maximum(w.sum(0), 1e-12)
    mean = (w * means).sum(0)
    var = (w * (variances + np.square(means - mean))).sum(0)
    std = np.sqrt(np.maximum(var, 0) + EPSILON)
    return Style(mean.astype(np.float32), std.astype(np.float32))


def adain(
    content: AnyFeatures,
    style: Style,
    *,
    weights: AnyWeights | None = None,
    content_statistics: Style | None = None,
) -> Features:
    """Equation 8: sigma(y) (x - mu(x)) / sigma(x) + mu(y), for content features x and style y.

    Args:
        content: float (n, h, w, c).
        style: statistics (c,) or one per picture (n, c).
        weights: where content statistics are taken, float (n, h, w); everywhere by default.
        content_statistics: the content's own statistics, (c,) or (n, c), if they are known already,
            as for a part of a picture.

    Returns:
        float32 (n, h, w, c).
    """
    normalized = normalize(content, content_statistics or statistics(content, weights))
    return _broadcast(style.std) * normalized + _broadcast(style.mean)


def blend(
    content: AnyFeatures, stylized: AnyFeatures, alpha: float | Float[AnyArray, "*n"]
) -> Features:
    """Equation 14, the strength control: (1 - alpha) content + alpha stylized.

    `alpha` is one number, or one per picture (n,): 0 gives the content back, 1 the full style, and
    more exaggerates the style.
    """
    alpha = jnp.asarray(alpha, jnp.float32)[..., None, None, None]
    return (1 - alpha) * content + alpha * stylized


def mix(styles: Sequence[Style], weights: Sequence[float] | Float[AnyArray, " k"]) -> Style:
    """Equation 15, interpolation between styles: their convex combination.

    The paper mixes the feature maps AdaIN(x, y_k); as these are linear in the style's statistics,
    mixing the statistics gives the same features.

    Args:
        styles: k styles, of pictures of any size.
        weights: k numbers, at least 0 and not all 0; scaled to sum to 1.

    Raises:
        StyleError: there are not as many weights as styles; or, where their values are known (not
            under `jit`), the weights are negative, not finite or all 0.
    """
    if len(weights) != len(styles):
        raise StyleError(f"{len(styles)} styles need as many weights, not {len(weights)}")
    if any(isinstance(weight, jax.core.Tracer) for weight in weights):
        shares: AnyArray = jnp.asarray(weights)
    else:
        shares = np.asarray(weights, np.float32)
        if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
            raise StyleError(f"style weights must be at least 0 and not all 0, not {list(weights)}")
    shares = shares / shares.sum()
    mean, std = (
        sum(share * leaf for share, leaf in zip(shares, leaves, strict=True))
        for leaves in ([s.mean for s in styles], [s.std for s in styles])
    )
    return Style(mean, std)


def adain_regions(
    content: AnyFeatures,
    styles: Style,
    masks: AnyMasks,
    *,
    weights: AnyWeights | None = None,
    content_statistics: Style | None = None,
) -> Features:
    """Spatial control (section 7.3): each region in its own style.

    Each region's content statistics are taken over the region alone, weighted by its mask. An empty
    region, as a small one can be at the resolution of features, changes nothing.

    Args:
        content: float (n, h, w, c).
        styles: one style per region, (r, c), or per picture and region, (n, r, c).
        masks: how much of each position belongs to each region, in [0, 1]; edges may be soft. Where
            masks sum to more than 1, they are scaled down; where they sum to less, the rest keeps the
            content's features.
        weights: float (n, h, w), 0 in the padding; 1 everywhere by default.
        content_statistics: the content's own statistics over each region, (r, c) or (n, r, c), if they
            are known already.

    Returns:
        float32 (n, h, w, c).
    """
    masks = normalize_masks(masks)
    result = (1 - masks.sum(-1, keepdims=True)) * content
    for region in range(masks.shape[-1]):
        mask = masks[..., region]
        within = mask if weights is None else mask * weights
        own = None if content_statistics is None else _region(content_statistics, region)
        stylized = adain(content, _region(styles, region), weights=within, content_statistics=own)
        result += mask[..., None] * stylized
    return result


def normalize_masks(masks: AnyMasks) -> Float[Array, "n h w r"]:
    """Masks that sum to at most 1: scaled down where they sum to more."""
    masks = jnp.asarray(masks, jnp.float32)
    return masks / jnp.maximum(masks.sum(-1, keepdims=True), 1)


def _region(styles: Style, region: int) -> Style:
    return Style(styles.mean[..., region, :], styles.std[..., region, :])


def downsample_masks(
    masks: AnyMasks, stride: int, size: Int[AnyArray, "n 2"] | None = None
) -> Float[Array, "n fh fw r"]:
    """Masks at the resolution of features: the mean over the valid pixels of each block.

    Args:
        masks: float (n, h, w, r), 0 in the padding.
        stride: height and width of a block: pixels per feature, 8 at relu4_1.
        size: valid height and width of each picture; all of it by default.
    """
    n, h, w, _ = masks.shape
    height, width = (h, w) if size is None else (size[:, 0], size[:, 1])

    def valid_pixels(length: int, valid: int | AnyArray) -> Array:
        starts = jnp.arange(0, length, stride)
        return jnp.clip(jnp.reshape(valid, (-1, 1)) - starts, 1, stride)

    padding = ((0, 0), (0, -h % stride), (0, -w % stride), (0, 0))
    blocks = jnp.pad(jnp.asarray(masks, jnp.float32), padding)
    sums = blocks.reshape(n, -(-h // stride), stride, -(-w // stride), stride, -1).sum((2, 4))
    count = valid_pixels(h, height)[:, :, None] * valid_pixels(w, width)[:, None, :]
    return sums / count[..., None]


def _broadcast(x: Float[AnyArray, "*n c"]) -> Float[Array, "*n 1 1 c"]:
    return jnp.asarray(x)[..., None, None, :]
