"""What the engine takes: pictures, checked, and what each of them is to become."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Float, UInt8

from adain_jax.images.dtypes import to_float
from adain_jax.inference.buckets import Size
from adain_jax.nn.network import FeatureMap
from adain_jax.style import AnyArray, Style

Picture = Float[AnyArray, "h w 3"] | UInt8[AnyArray, "h w 3"]
Pictures = Picture | Float[AnyArray, "n h w 3"] | UInt8[AnyArray, "n h w 3"] | Sequence[Picture]
K = TypeVar("K")


@dataclass(frozen=True)
class Content:
    """A content picture already encoded, for one result after the other: see `encode_content`."""

    picture: np.ndarray
    scales: list[FeatureMap] | None  # None: too large to wait on the device


class StyleInputs(NamedTuple):
    """What a picture is to become; or a batch of them, with one row (n, ...) for each.

    Attributes:
        style: leaves (c,), or with masks (r, c).
        alpha: float32, the strength; of a batch (n,).
        masks: float32 (h, w, r), or None.
        content_style: the content's statistics, as those of `style`; None: the picture's own.
    """

    style: Style
    alpha: AnyArray
    masks: AnyArray | None = None
    content_style: Style | None = None


@dataclass(frozen=True, eq=False)
class Request(Generic[K]):
    """A picture to be stylized by `Stylizer.stream`.

    Attributes:
        key: whatever the caller knows the result by.
        content: float in [0, 1] or uint8 (h, w, 3).
        inputs: what it is to become.
    """

    key: K
    content: np.ndarray
    inputs: StyleInputs


def make_request(
    key: K,
    content: Picture,
    style: Style,
    alpha: float = 1.0,
    *,
    masks: Sequence[Float[AnyArray, "h w"]] | None = None,
) -> Request[K]:
    """A request for one picture; the arguments are those of `Stylizer.__call__`.

    Raises:
        ValueError: the content is no picture, or styles and masks do not fit together.
    """
    contents = check_pictures([content], "content")
    (inputs,) = match_inputs(contents, style, alpha, masks, None)
    return Request(key, contents[0], inputs)


def size_of(picture: np.ndarray) -> Size:
    """Height and width of a picture (h, w, c)."""
    return picture.shape[0], picture.shape[1]


def is_single(pictures: Pictures) -> bool:
    """Whether this is one picture (h, w, 3), neither a batch nor a list."""
    return not isinstance(pictures, Sequence) and np.ndim(pictures) == 3


def check_pictures(pictures: Pictures, name: str) -> list[np.ndarray]:
    """Pictures (h, w, 3) as NumPy arrays: uint8 if all of them are, otherwise float32.

    Args:
        pictures: one picture, a batch or a list.
        name: what errors call them, "content" or "style".

    Raises:
        ValueError: there are none, or one of them is no picture.
    """
    arrays = [np.asarray(p) for p in ([pictures] if is_single(pictures) else pictures)]
    if not arrays:
        raise ValueError(f"at least one {name} picture is needed, and there is none")
    for array in arrays:
        if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
            raise ValueError(f"a {name} picture must have shape (h, w, 3), not {array.shape}")
        if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
            raise ValueError(
                f"a {name} picture must be float in [0, 1] or uint8, not {array.dtype}"
            )
    if len({array.dtype for array in arrays}) > 1 or arrays[0].dtype != np.uint8:
        arrays = [to_float(array).astype(np.float32, copy=False) for array in arrays]
    return arrays


def match_inputs(
    contents: Sequence[np.ndarray],
    style: Style,
    alpha: float | Sequence[float],
    masks: Sequence[AnyArray] | AnyArray | None,
    content_style: Style | None,
) -> list[StyleInputs]:
    """What each content is to become; the arguments are those of `Stylizer.__call__`.

    Raises:
        ValueError: their numbers do not fit together.
    """
    n = len(contents)
    alphas = np.asarray(alpha, np.float32)
    if alphas.shape not in ((), (1,), (n,)):
        raise ValueError(f"{n} contents need one alpha or {n}, not {alphas.size}")
    alphas = np.broadcast_to(alphas, (n,))
    regions = None if masks is None else _stack_masks(masks, contents)
    count = None if regions is None else regions.shape[-1]
    styles = _rows(style, n, count, "styles")
    own = [None] * n if content_style is None else _rows(content_style, n, count, "content styles")
    return [StyleInputs(styles[i], np.asarray(alphas[i]), regions, own[i]) for i in range(n)]


def _stack_masks(
    masks: Sequence[AnyArray] | AnyArray, contents: Sequence[np.ndarray]
) -> Float[np.ndarray, "h w r"]:
    if not len(masks):
        raise ValueError("at least one mask is needed, and there is none")
    regions = np.stack([np.asarray(mask, np.float32) for mask in masks], axis=-1)
    if len(contents) != 1 or regions.shape[:2] != size_of(contents[0]):
        raise ValueError(
            f"masks {regions.shape[:2]} must have the size of the one content picture, "
            f"{size_of(contents[0])}"
        )
    return regions


def _rows(style: Style, n: int, regions: int | None, name: str) -> list[Style]:
    """One style for each of n contents: leaves (c,), or with regions (r, c)."""
    style = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), style)
    if regions is not None:
        style = jax.tree.map(np.atleast_2d, style)
        if len(style.mean) != regions:
            raise ValueError(f"{regions} masks need as many {name}, not {len(style.mean)}")
        return [style] * n
    if style.mean.ndim < 2:
        return [style] * n
    if len(style.mean) not in (1, n):
        raise ValueError(
            f"{n} contents need one {name.removesuffix('s')} or {n}, not {len(style.mean)}"
        )
    return [style[i % len(style.mean)] for i in range(n)]
