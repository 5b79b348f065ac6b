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
from jaxtyping import Array, Float, Int

from adain_jax.files import write_atomically
from adain_jax.weights import header

EPSILON = 1e-5

AnyArray = jax.Array | np.ndarray
Features = Float[Array, "n h w c"]


class StyleError(Exception):
    """A style file or a mixture that cannot be used; the message says why."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Style:
    """What AdaIN knows of a style: mean and standard deviation of each feature channel.

    Both are float32 (c,) for one style, (n, c) for a style per picture of a batch.
    """

    mean: Float[AnyArray, "*n c"]
    std: Float[AnyArray, "*n c"]

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
        """Writes a safetensors file; `model` is the `Stylizer.encoder_id` whose channels these are."""
        from safetensors.numpy import save

        arrays = {"mean": np.asarray(self.mean), "std": np.asarray(self.std)}
        metadata = {"format": "adain-jax", "kind": "style", "model": model}
        write_atomically(path, save(arrays, metadata))

    @staticmethod
    def load(path: str | Path, model: str) -> "Style":
        """Reads what `save` wrote.

        Raises:
            StyleError: the file is missing, is no style file, or is a style of another model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            data = Path(path).read_bytes()
            arrays = load(data)
        except OSError as error:
            raise StyleError(f"{path}: {error.strerror or error}") from error
        except SafetensorError as error:
            raise StyleError(f"{path}: not a safetensors file ({error})") from error
        metadata = header(data)
        if metadata.get("kind") != "style" or set(arrays) != {"mean", "std"}:
            raise StyleError(f"{path}: not a style file; write one with --save-style")
        if metadata.get("model") != model:
            raise StyleError(
                f"{path}: a style of model {metadata.get('model')}, not {model}; encode it again"
            )
        mean, std = arrays["mean"], arrays["std"]
        if mean.shape != std.shape or mean.ndim not in (1, 2):
            raise StyleError(f"{path}: mean {mean.shape} and std {std.shape} do not fit together")
        return Style(mean, std)


def statistics(x: Features, weights: Float[Array, "n h w"] | None = None) -> Style:
    """mu(x) and sigma(x) of equations 5 and 6, over positions: a `Style` with leaves (n, c).

    With `weights` (at least 0), weighted statistics; where they sum to 0, mean 0 and std sqrt(1e-5).
    What lies at positions of weight 0 does not count, but its square must be finite.
    """
    x = x.astype(jnp.float32)
    if weights is None:
        mean = x.mean((1, 2))
        var = x.var((1, 2))
    else:
        w = weights.astype(jnp.float32)[..., None]
        w = w / jnp.maximum(w.sum((1, 2), keepdims=True), 1e-12)
        mean = (w * x).sum((1, 2))
        # Or else, on CPU, XLA spreads w over all channels first.
        w = jax.lax.optimization_barrier(w)
        var = (w * jnp.square(x - mean[:, None, None])).sum((1, 2))
    return Style(mean, jnp.sqrt(var + EPSILON))


def normalise(x: Features, style: Style) -> Features:
    """(x - mean) / std, per channel."""
    return (x - _spread(style.mean)) / _spread(style.std)


def combine(parts: Style, weights: Float[AnyArray, "k *n c"]) -> Style:
    """The statistics of a whole from those of its parts; on the host, in float64.

    Args:
        parts: k statistics, leaves (k, *n, c).
        weights: the sums of the weights they were taken with, or numbers of positions.

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
    content: Features,
    style: Style,
    *,
    weights: Array | None = None,
    content_style: Style | None = None,
) -> Features:
    """Equation 8: sigma(y) (x - mu(x)) / sigma(x) + mu(y), for content features x and style y.

    Args:
        content: float (n, h, w, c).
        style: statistics (c,) or one per picture (n, c).
        weights: where content statistics are taken, float (n, h, w); everywhere by default.
        content_style: the content's statistics, (c,) or (n, c), where they are known already, as
            for a part of a picture.

    Returns:
        float32 (n, h, w, c).
    """
    normalised = normalise(content, content_style or statistics(content, weights))
    return _spread(style.std) * normalised + _spread(style.mean)


def blend(content: Features, stylised: Features, alpha: float | Float[AnyArray, "*n"]) -> Features:
    """Equation 14, the strength control: (1 - alpha) content + alpha stylised.

    `alpha` is one number or one per picture (n,): 0 gives the content back, 1 the full style; values
    beyond 1 exaggerate the style.
    """
    alpha = jnp.asarray(alpha, jnp.float32)[..., None, None, None]
    return (1 - alpha) * content + alpha * stylised


def mix(styles: Sequence[Style], weights: Sequence[float] | Float[Array, " k"]) -> Style:
    """Equation 15, interpolation between styles: their convex combination.

    The paper mixes the feature maps AdaIN(x, y_k); as these are linear in the style's statistics,
    mixing the statistics gives the same features.

    Args:
        styles: k styles, of pictures of any size.
        weights: k numbers, at least 0 and not all 0; scaled to sum to 1.

    Raises:
        StyleError: the number of weights differs from that of styles, or (where they are known, that
            is not under `jit`) the weights are negative, not finite or all 0.
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
    content: Features,
    styles: Style,
    masks: Float[Array, "n h w r"],
    *,
    weights: Array | None = None,
    content_styles: Style | None = None,
) -> Features:
    """Spatial control (section 7.3): each region in its own style.

    Each region's content statistics are taken over the region alone, weighted by its mask. A region
    that is empty, as small ones can be at feature size, changes nothing.

    Args:
        content: float (n, h, w, c).
        styles: one style per region, (r, c), or per picture and region, (n, r, c).
        masks: how much of each position belongs to each region, in [0, 1] (soft masks are welcome).
            Where they sum to more than 1 they are scaled down; what is missing from 1 keeps the
            content's features.
        weights: float (n, h, w), 0 where the frame holds no picture; everywhere 1 by default.
        content_styles: the content's statistics over each region, (r, c) or (n, r, c), where they
            are known already.

    Returns:
        float32 (n, h, w, c).
    """
    masks = normalise_masks(masks)
    result = (1 - masks.sum(-1, keepdims=True)) * content
    for region in range(masks.shape[-1]):
        mask = masks[..., region]
        within = mask if weights is None else mask * weights
        known = None if content_styles is None else _region(content_styles, region)
        stylised = adain(content, _region(styles, region), weights=within, content_style=known)
        result += mask[..., None] * stylised
    return result


def normalise_masks(masks: Float[Array, "n h w r"]) -> Float[Array, "n h w r"]:
    """Masks that sum to at most 1: scaled down where they sum to more."""
    masks = masks.astype(jnp.float32)
    return masks / jnp.maximum(masks.sum(-1, keepdims=True), 1)


def _region(styles: Style, region: int) -> Style:
    return Style(styles.mean[..., region, :], styles.std[..., region, :])


def shrink_masks(
    masks: Float[Array, "n h w r"], stride: int, size: Int[Array, "n 2"] | None = None
) -> Float[Array, "n h w r"]:
    """Masks at the size of features: the mean over the real pixels of each stride x stride block.

    Args:
        masks: float (n, h, w, r), 0 outside the picture.
        stride: pixels per feature, 8 at relu4_1.
        size: real height and width of each picture; the whole frame by default.
    """
    n, h, w, _ = masks.shape
    height, width = (h, w) if size is None else (size[:, 0], size[:, 1])

    def pixels(length: int, real: int | Array) -> Array:
        starts = jnp.arange(0, length, stride)
        return jnp.clip(jnp.reshape(real, (-1, 1)) - starts, 1, stride)

    beyond = ((0, 0), (0, -h % stride), (0, -w % stride), (0, 0))
    blocks = jnp.pad(masks.astype(jnp.float32), beyond)
    sums = blocks.reshape(n, -(-h // stride), stride, -(-w // stride), stride, -1).sum((2, 4))
    count = pixels(h, height)[:, :, None] * pixels(w, width)[:, None, :]
    return sums / count[..., None]


def _spread(x: Float[AnyArray, "*n c"]) -> Float[Array, "*n 1 1 c"]:
    return jnp.asarray(x)[..., None, None, :]
