"""The inputs of the engine: pictures, and the style, strength and masks for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, cast

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from adain_jax.images import convert_image, read_pixels
from adain_jax.images.color_modes import to_rgb
from adain_jax.images.dtypes import LARGEST_FLOAT, to_float
from adain_jax.inference.buckets import Size
from adain_jax.nn.network import FeatureMap
from adain_jax.style import AnyArray, Style

Picture = Float[AnyArray, "h w *c"] | UInt8[AnyArray, "h w *c"] | Image.Image | str | Path
"""An array (h, w, 3), gray (h, w) or (h, w, 1), or with alpha (h, w, 4); an image; or its file."""
Pictures = Picture | Float[AnyArray, "n h w c"] | UInt8[AnyArray, "n h w c"] | Sequence[Picture]
"""One picture, a batch, or a list."""
K = TypeVar("K")


@dataclass(frozen=True)
class Content:
    """An encoded content picture, to be stylized many times: see `Stylizer.encode_content`.

    Attributes:
        picture: float32 in [0, 1] or uint8 (h, w, 3).
        encoded: its features (1, h / 8, w / 8, c) on the device, in a padded shape; None if the
            picture is so large that it is computed in tiles.
    """

    picture: np.ndarray
    encoded: FeatureMap | None


class StyleInputs(NamedTuple):
    """How to stylize a picture; or a batch of pictures, with an additional first axis n everywhere.

    Attributes:
        style: leaves float32 (c,), or (r, c) with masks.
        alpha: float32 (), the strength.
        masks: float32 (h, w, r) in [0, 1], or None.
        content_style: statistics of the content, in the shape of `style`; None for its own.
    """

    style: Style
    alpha: AnyArray
    masks: AnyArray | None = None
    content_style: Style | None = None


@dataclass(frozen=True, eq=False)
class Request(Generic[K]):
    """A picture to be stylized by `Stylizer.stream`.

    Attributes:
        key: anything by which the caller recognizes the result.
        content: float32 in [0, 1] or uint8 (h, w, 3).
        inputs: how to stylize it.
        stroke_size: see `Stylizer.__call__`.
        share: of the whole work on the picture, if it is painted in several passes.
    """

    key: K
    content: np.ndarray
    inputs: StyleInputs
    stroke_size: int | None = None
    share: float = 1.0

    @property
    def nbytes(self) -> int:
        """The memory of the content, and of the one that it is made from."""
        return self.content.nbytes + (self.key.nbytes if isinstance(self.key, Request) else 0)


def make_request(
    key: K,
    content: Picture,
    style: Style,
    alpha: float = 1.0,
    *,
    masks: Sequence[Float[AnyArray, "h w"]] | None = None,
    stroke_size: int | None = None,
) -> Request[K]:
    """Makes a request for one picture.

    Args:
        key: anything by which the caller recognizes the result.
        content, style, alpha, masks, stroke_size: see `Stylizer.__call__`; one picture.

    Raises:
        ValueError: the content is not a picture, or content, style and masks do not fit together.
        PictureError: it is a file that cannot be read.
    """
    contents = check_pictures([content], "content")
    (inputs,) = match_inputs(contents, style, alpha, masks, None)
    return Request(key, contents[0], inputs, stroke_size)


def size_of(picture: np.ndarray) -> Size:
    """Height and width, in pixels, of a picture (h, w, c)."""
    return picture.shape[0], picture.shape[1]


def is_single(pictures: Pictures) -> bool:
    """Whether this is one picture, rather than a batch (n, h, w, c) or a list."""
    if isinstance(pictures, str | Path | Image.Image):
        return True
    return not isinstance(pictures, Sequence) and np.ndim(pictures) < 4


def check_pictures(pictures: Pictures, name: str) -> list[np.ndarray]:
    """Returns pictures (h, w, 3) as NumPy arrays: uint8 if all of them are, otherwise float32.

    Files and Pillow images are read as `read_pixels` does; what has an alpha channel is laid on white,
    and gray is repeated to three channels.

    Args:
        pictures: one picture, a batch or a list; arrays are float in [0, 1] or uint8.
        name: what error messages call them, "content" or "style".

    Raises:
        ValueError: there are none, or one of them is no picture: by its shape, its dtype, or floats
            that are not numbers or far from [0, 1].
        PictureError: a file or a Pillow image cannot be read.
    """
    several = cast(Sequence[Picture], [pictures] if is_single(pictures) else pictures)
    arrays = [_rgb(picture, name) for picture in several]
    if not arrays:
        raise ValueError(f"at least one {name} picture is needed, and there is none")
    if len({array.dtype for array in arrays}) > 1 or arrays[0].dtype != np.uint8:
        arrays = [to_float(array).astype(np.float32, copy=False) for array in arrays]
    return arrays


def _rgb(picture: Picture, name: str) -> np.ndarray:
    """One picture as an array (h, w, 3), uint8 or float."""
    if isinstance(picture, str | Path):
        return read_pixels(picture)
    if isinstance(picture, Image.Image):
        return np.asarray(convert_image(picture, name))
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = ": its channels come first, so give numpy.moveaxis(picture, -3, -1)"
        raise ValueError(
            f"a {name} picture must have shape (h, w, 3), (h, w, 4) with alpha, or (h, w) if it is "
            f"gray, not {np.shape(picture)}{hint}"
        )
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"a {name} picture must be float in [0, 1] or uint8, not {array.dtype}")
    if array.dtype != np.uint8 and not abs(array).max() <= LARGEST_FLOAT:
        raise ValueError(
            f"a {name} picture's floats must lie in [0, 1], not in {array.min():.4g} to "
            f"{array.max():.4g}: divide what lies in 0..255 by 255, or give uint8"
        )
    if array.shape[-1] == 1:
        return np.repeat(array, 3, axis=-1)
    if array.shape[-1] == 4:
        if array.dtype == np.uint8:
            return np.asarray(to_rgb(Image.fromarray(array), keep_alpha=False))
        color, alpha = array[..., :3], array[..., 3:]
        return color * alpha + (1 - alpha)
    return array


def match_inputs(
    contents: Sequence[np.ndarray],
    style: Style,
    alpha: float | Sequence[float],
    masks: Sequence[AnyArray] | AnyArray | None,
    content_style: Style | None,
) -> list[StyleInputs]:
    """Returns the inputs of each content.

    Args:
        contents: n pictures (h, w, 3).
        style, alpha, masks, content_style: see `Stylizer.__call__`.

    Raises:
        ValueError: the numbers of contents, styles, strengths and masks, or the sizes of content
            and masks, do not fit together.
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
