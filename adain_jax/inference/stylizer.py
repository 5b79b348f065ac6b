"""`Stylizer`: a loaded model that stylises pictures of any size, many at once."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from adain_jax import weights
from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference import memory
from adain_jax.inference.buckets import Buckets, Size, power_of_two
from adain_jax.inference.large import Manner, encode_style_large, stylise_large
from adain_jax.nn import bind
from adain_jax.nn.distilled import DistilledNetwork
from adain_jax.nn.fast import FastNetwork
from adain_jax.nn.network import Scale, StyleNetwork
from adain_jax.nn.vgg19 import VGG19Network
from adain_jax.style import AnyArray, Style
from adain_jax.weights import Model

Picture = Float[AnyArray, "h w 3"] | UInt8[AnyArray, "h w 3"]
Pictures = Picture | Float[AnyArray, "n h w 3"] | UInt8[AnyArray, "n h w 3"] | Sequence[Picture]
Params = Mapping[str, Any]
T = TypeVar("T")

NETWORKS: dict[Model, type[StyleNetwork]] = {
    "fast": FastNetwork,
    "distilled": DistilledNetwork,
    "vgg19": VGG19Network,
}
CONTENT_FRAMES = 8
STYLE_FRAMES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """A content picture already encoded, for one result after the other: see `encode_content`."""

    picture: np.ndarray
    scales: list[Scale] | None  # None: too large to wait on the device


class Stylizer:
    """Stylises pictures, RGB, one at a time or in batches of mixed sizes.

    Pictures are float in [0, 1], or uint8 as files hold them; results are of the same kind.

    Example:
        >>> stylizer = Stylizer.load()                       # the fast network
        >>> style = stylizer.encode_style(painting)          # once, for however many contents
        >>> pictures = stylizer(photographs, style, alpha=0.8)

    Pictures of many sizes are computed in a few padded frames, each one compiled program; results
    do not depend on the frame. `plan` chooses the frames for sizes known in advance. Pictures larger
    than a tile are computed tile by tile, in bounded memory, with the same result.

    Attributes:
        batch_size: how many pictures one program stylises; larger batches are split.
        network: the network's class, for `bind` of `adain_jax.nn` and for `adain_jax.augment`.
        params: its parameters, on the device.
    """

    def __init__(
        self,
        params: Params,
        *,
        model: Model = "fast",
        dtype: str = "float32",
        batch_size: int | None = None,
        tile: int | Literal["auto", "off"] = "auto",
    ):
        """A stylizer of given parameters, as `weights.read` gives them.

        Args:
            params: float arrays: the layers of "fast", or {"encoder": ..., "decoder": ...}.
            model: "fast" or "vgg19", the paper's network.
            dtype: "float32" or "bfloat16", for the convolutions only.
            batch_size: pictures per program; 1 on CPU, where more is no faster, otherwise 8.
            tile: side in pixels of the tiles of large pictures, at least 128; "auto" fits it to the
                memory that is free, "off" computes every picture in one piece.

        Raises:
            ValueError: a value that is none of these.
        """
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype must be float32 or bfloat16, not {dtype}")
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile >= memory.SMALLEST):
            raise ValueError(f"tile must be auto, off or at least {memory.SMALLEST}, not {tile}")
        self.batch_size = batch_size or (1 if jax.default_backend() == "cpu" else 8)
        self._tile = tile
        self.network = NETWORKS[model]
        self._model = model
        self._style_encoder = params.get("encoder", params)
        self.params = jax.device_put(
            jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.dtype(dtype)), dict(params))
        )
        self._contents = Buckets(CONTENT_FRAMES)
        self._styles = Buckets(STYLE_FRAMES)

    @classmethod
    def load(
        cls,
        model: Model = "fast",
        *,
        network: str | Path | None = None,
        encoder: str | Path | None = None,
        decoder: str | Path | None = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        tile: int | Literal["auto", "off"] = "auto",
    ) -> "Stylizer":
        """Loads the weights that ship, or others written by `convert_vgg.py` or `train.py`.

        Args:
            model: "fast", or "vgg19", the paper's network; its encoder must be converted once.
            network: safetensors file of "fast".
            encoder, decoder: safetensors files of "vgg19".
            dtype, batch_size, tile: see `Stylizer`.

        Raises:
            WeightsError: a file is missing or does not hold such weights.
            ValueError: no such model, or a file of another one.
        """
        if model not in NETWORKS:
            raise ValueError(f"model must be fast or vgg19, not {model}")
        if (encoder or decoder) if model == "fast" else network:
            raise ValueError(f"model {model} takes no such file")

        def read(path: str | Path | None, kind: weights.Kind) -> weights.Layers:
            return weights.read(path or weights.default_path(kind), kind)

        if model == "fast":
            params: Params = read(network, "fast")
        else:
            params = {
                "encoder": read(encoder, "vgg19-encoder"),
                "decoder": read(decoder, "vgg19-decoder"),
            }
        return cls(params, model=model, dtype=dtype, batch_size=batch_size, tile=tile)

    @cached_property
    def encoder_id(self) -> str:
        """Names the model and the weights that encode styles.

        Styles saved with another one mean nothing here. From the weights as given, whatever dtype.
        """
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(dict(self._style_encoder)):
            digest.update(np.asarray(leaf, np.float32).tobytes())
        return f"{self._model}-{digest.hexdigest()[:8]}"

    def encode_style(self, pictures: Pictures) -> Style:
        """The styles of pictures: leaves (c,) for one picture (h, w, 3), (n, c) for several.

        Raises:
            ValueError: something is no picture (h, w, 3).
        """
        frames = _as_list(pictures, "style")
        small, large = self._by_size(frames)
        self._styles.plan(_size(frames[i]) for i in small)
        results: list[Style] = [Style(np.empty(0), np.empty(0))] * len(frames)
        encoded = (
            (
                chosen,
                _encode_style(
                    self.network, self.params, *_assemble([frames[i] for i in chosen], frame)
                ),
            )
            for chosen, frame in self._batches(small, frames, self._styles)
        )
        for chosen, on_device in _one_ahead(encoded):
            styles = jax.device_get(on_device)
            for row, i in enumerate(chosen):
                results[i] = styles[row]
        for i, side in large.items():
            encode = partial(encode_style_large, self.network, self.params, frames[i])
            results[i] = _in_tiles(encode, side)
        return results[0] if _is_single(pictures) else Style.stack(results)

    def encode_content(self, picture: Picture) -> Content:
        """Encodes a content (h, w, 3) once, to stylise it many times: only decoding is left then.

        Its features stay on the device, about ten times the size of the float picture.

        Raises:
            ValueError: it is no picture (h, w, 3).
        """
        (checked,) = _as_list([picture], "content")
        if self._side(_size(checked)):
            return Content(checked, None)
        batch, size = _assemble([checked], self._contents.fit(_size(checked)))
        return Content(checked, _encode(self.network, self.params, batch, size))

    def __call__(
        self,
        contents: Pictures | Content,
        style: Style | Pictures,
        alpha: float | Sequence[float] = 1.0,
        *,
        masks: Sequence[Float[AnyArray, "h w"]] | Float[AnyArray, "r h w"] | None = None,
        content_style: Style | None = None,
    ) -> Any:
        """Stylises one picture (h, w, 3), a batch (n, h, w, 3) or a list of pictures of any sizes.

        Args:
            contents: pictures, float in [0, 1] or uint8; or one that `encode_content` encoded.
            style: a `Style`, or pictures to encode: one for all contents, or one per content. With
                masks, one per region.
            alpha: strength (equation 14), from 0, the decoded content, to 1; one for all contents or
                one per content.
            masks: r regions of a single content picture (h, w, 3), each float (h, w) in [0, 1] at its
                size; they may be soft. Pixels of no region stay unstylised.
            content_style: what to take for the contents' own statistics, as `encode_style` gives
                them; for video, say, those of more than one frame. With masks, one per region.

        Returns:
            The same kind as `contents`, each picture in its content's exact size, clipped to [0, 1],
            or rounded to uint8 if all contents are. Pictures that lie in files (np.memmap) and are
            computed in tiles, but for batches, give arrays in temporary files, which go with them.

        Raises:
            ValueError: something is no picture, or the numbers of contents, styles, strengths and
                masks do not fit together.
            NoRoomError: the temporary folder has no room for such a result.
        """
        scales = None
        if isinstance(contents, Content):
            scales, contents = contents.scales, contents.picture
        frames = _as_list(contents, "content")
        if not isinstance(style, Style):
            style = self.encode_style(style)
        manner = _match(frames, style, alpha, masks, content_style)
        small, large = self._by_size(frames)
        self._contents.plan(_size(frames[i]) for i in small)
        results: list[np.ndarray] = [np.empty(0)] * len(frames)
        stylised = (
            (chosen, self._stylise([frames[i] for i in chosen], frame, manner.of(chosen), scales))
            for chosen, frame in self._batches(small, frames, self._contents)
        )
        for chosen, pictures in _one_ahead(stylised):
            for i, picture in zip(chosen, np.asarray(pictures), strict=False):
                height, width = _size(frames[i])
                results[i] = picture[:height, :width]
        for i, side in large.items():
            own = manner.of([i])
            stylise = partial(stylise_large, self.network, self.params, frames[i], own)
            results[i] = _in_tiles(stylise, side)
        if _is_single(contents):
            return _like(contents, results[0])
        return results if isinstance(contents, Sequence) else _like(contents, np.stack(results))

    def plan(self, sizes: Iterable[Size]) -> None:
        """Chooses frames for contents of these (height, width), before the first of them comes."""
        self._contents.plan(size for size in sizes if not self._side(size))

    def frame(self, size: Size) -> Size:
        """The frame that contents of this (height, width) are computed in; best batched by it.

        Pictures that are computed in tiles have none in common: their own size.
        """
        return size if self._side(size) else self._contents.fit(size)

    def _side(self, size: Size) -> int | None:
        """The side of the tiles for a picture of this size; None where it is computed whole."""
        side: int | str | None = self._tile
        if side == "auto":
            side = memory.automatic_side(size, self.network.bytes_per_pixel)
        return side if isinstance(side, int) and size[0] * size[1] > side**2 else None

    def _by_size(self, pictures: list[np.ndarray]) -> tuple[list[int], dict[int, int]]:
        """The indices of pictures to compute whole, and of the others, with the side of their tiles."""
        sides = {i: self._side(_size(picture)) for i, picture in enumerate(pictures)}
        large = {i: side for i, side in sides.items() if side}
        return [i for i in sides if i not in large], large

    def _batches(
        self, indices: list[int], pictures: list[np.ndarray], buckets: Buckets
    ) -> Iterator[tuple[list[int], Size]]:
        """Indices of at most `batch_size` pictures that share a frame, and the frame."""
        by_frame: dict[Size, list[int]] = {}
        for i in indices:
            by_frame.setdefault(buckets.fit(_size(pictures[i])), []).append(i)
        for frame, sharing in by_frame.items():
            for start in range(0, len(sharing), self.batch_size):
                yield sharing[start : start + self.batch_size], frame

    def _stylise(
        self,
        pictures: list[np.ndarray],
        frame: Size,
        manner: Manner,
        scales: list[Scale] | None,
    ) -> Array:
        """Pictures that share a frame, or one whose features are given."""
        batch, size = _assemble(pictures, frame)
        more = len(batch) - len(pictures)
        manner = manner.of([*range(len(pictures)), *[len(pictures) - 1] * more])
        if manner.masks is not None:
            manner = manner._replace(masks=_assemble(list(manner.masks), frame)[0])
        if scales is None:
            return _stylise(self.network, self.params, batch, manner, size)
        dtype = batch.dtype.name
        return _stylise_encoded(self.network, dtype, self.params, scales, manner, size)


def _in_tiles(compute: Callable[[int], T], side: int) -> T:
    """Computes a picture in tiles of this side, or in smaller ones where memory does not suffice."""
    while True:
        try:
            return compute(side)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or side == memory.SMALLEST:
                raise
        smaller = max(side // 16 * 8, memory.SMALLEST)
        logger.warning("tiles of %d pixels do not fit into memory, trying %d", side, smaller)
        side = smaller


def _one_ahead(results: Iterable[T]) -> Iterator[T]:
    """Each result once the next is dispatched, so that the device never waits for the host."""
    yield from (result for result, _ in pairwise(chain(results, [None])) if result is not None)


@partial(jax.jit, static_argnums=0)
def _encode_style(
    network: type[StyleNetwork], params: Params, pictures: Array, size: Array
) -> Style:
    return bind(network, params).encode_style(to_float(pictures), size)


@partial(jax.jit, static_argnums=0)
def _encode(
    network: type[StyleNetwork], params: Params, pictures: Array, size: Array
) -> list[Scale]:
    model = bind(network, params)
    return model.encode(*model.fit(to_float(pictures), size))


@partial(jax.jit, static_argnums=0)
def _stylise(
    network: type[StyleNetwork], params: Params, contents: Array, manner: Manner, size: Array
) -> Array:
    style, alpha, masks, content_style = manner
    model = bind(network, params)
    pictures = model(to_float(contents), style, alpha, masks, size, content_style)
    return from_float(pictures, contents.dtype)


@partial(jax.jit, static_argnums=(0, 1))
def _stylise_encoded(
    network: type[StyleNetwork],
    dtype: str,
    params: Params,
    scales: list[Scale],
    manner: Manner,
    size: Array,
) -> Array:
    style, alpha, masks, content_style = manner
    model = bind(network, params)
    pictures = model.stylise(scales, style, alpha, model.regions(masks, size), content_style)
    return from_float(pictures, dtype)


def _is_single(pictures: Pictures) -> bool:
    return not isinstance(pictures, Sequence) and np.ndim(pictures) == 3


def _as_list(pictures: Pictures, name: str) -> list[np.ndarray]:
    """Checked pictures (h, w, 3), as NumPy arrays."""
    listed = [pictures] if _is_single(pictures) else pictures
    frames = [np.asarray(picture) for picture in listed]
    for picture in frames:
        if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
            raise ValueError(f"a {name} picture must have shape (h, w, 3), not {picture.shape}")
        if picture.dtype != np.uint8 and not np.issubdtype(picture.dtype, np.floating):
            raise ValueError(
                f"a {name} picture must be float in [0, 1] or uint8, not {picture.dtype}"
            )
    if len({picture.dtype for picture in frames}) > 1 or frames[0].dtype != np.uint8:
        frames = [to_float(picture).astype(np.float32, copy=False) for picture in frames]
    return frames


def _size(picture: np.ndarray) -> Size:
    return picture.shape[0], picture.shape[1]


def _assemble(pictures: list[np.ndarray], frame: Size) -> tuple[np.ndarray, np.ndarray]:
    """One array of all pictures, each in the top left corner of its frame, and their sizes.

    The last one is repeated until their number is a power of two, to compile few programs.
    """
    n = power_of_two(len(pictures))
    batch = np.zeros((n, *frame, pictures[0].shape[-1]), pictures[0].dtype)
    size = np.ones((n, 2), np.int32)
    for i, picture in enumerate(pictures + pictures[-1:] * (n - len(pictures))):
        height, width = size[i] = picture.shape[:2]
        batch[i, :height, :width] = picture
    return batch, size


def _match(
    pictures: list[np.ndarray],
    style: Style,
    alpha: float | Sequence[float],
    masks: Sequence[AnyArray] | AnyArray | None,
    content_style: Style | None,
) -> Manner:
    """What every picture is to become, one row for each."""
    n = len(pictures)
    alphas = np.asarray(alpha, np.float32)
    if alphas.shape not in ((), (1,), (n,)):
        raise ValueError(f"{n} contents need one alpha or {n}, not {alphas.size}")
    regions = None
    if masks is not None:
        regions = np.stack([np.asarray(mask, np.float32) for mask in masks], axis=-1)[None]
        if n != 1 or regions.shape[1:3] != _size(pictures[0]):
            raise ValueError(
                f"masks {regions.shape[1:3]} must have the size of the one content picture, "
                f"{_size(pictures[0])}"
            )

    def rows(style: Style, name: str) -> Style:
        mean, std = np.asarray(style.mean, np.float32), np.asarray(style.std, np.float32)
        if regions is not None:
            mean, std = np.atleast_2d(mean)[None], np.atleast_2d(std)[None]
            if mean.shape[1] != regions.shape[-1]:
                raise ValueError(
                    f"{regions.shape[-1]} masks need as many {name}, not {mean.shape[1]}"
                )
        elif mean.ndim == 2 and len(mean) not in (1, n):
            raise ValueError(
                f"{n} contents need one {name.removesuffix('s')} or {n}, not {len(mean)}"
            )
        shape = (n, *mean.shape[1:]) if mean.ndim > 1 else (n, *mean.shape)
        return Style(np.broadcast_to(mean, shape), np.broadcast_to(std, shape))

    return Manner(
        rows(style, "styles"),
        np.broadcast_to(alphas, (n,)),
        regions,
        None if content_style is None else rows(content_style, "content styles"),
    )


def _like(contents: Pictures, result: np.ndarray) -> AnyArray:
    return jnp.asarray(result) if isinstance(contents, jax.Array) else result
