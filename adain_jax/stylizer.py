"""`Stylizer`: a loaded model that stylises pictures of any size, many at once."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax import weights
from adain_jax.buckets import Buckets, Size, power_of_two
from adain_jax.nn import bind
from adain_jax.nn.fast import FastNetwork
from adain_jax.nn.network import StyleNetwork
from adain_jax.nn.vgg19 import VGG19Network
from adain_jax.style import AnyArray, Style
from adain_jax.weights import Model

Picture = Float[AnyArray, "h w 3"]
Pictures = Picture | Float[AnyArray, "n h w 3"] | Sequence[Picture]
Params = Mapping[str, Any]
T = TypeVar("T")

NETWORKS: dict[Model, type[StyleNetwork]] = {"fast": FastNetwork, "vgg19": VGG19Network}
CONTENT_FRAMES = 8
STYLE_FRAMES = 4


class Stylizer:
    """Stylises pictures, float32 RGB in [0, 1], one at a time or in batches of mixed sizes.

    Example:
        >>> stylizer = Stylizer.load()                       # the fast network
        >>> style = stylizer.encode_style(painting)          # once, for however many contents
        >>> pictures = stylizer(photographs, style, alpha=0.8)

    Pictures of many sizes are computed in a few padded frames, each one compiled program; results
    do not depend on the frame. `plan` chooses the frames for sizes known in advance.

    Attributes:
        batch_size: how many pictures one program stylises; larger batches are split.
    """

    def __init__(
        self,
        params: Params,
        *,
        model: Model = "fast",
        dtype: str = "float32",
        batch_size: int | None = None,
    ):
        """A stylizer of given parameters, as `weights.read` gives them.

        Args:
            params: float arrays: the layers of "fast", or {"encoder": ..., "decoder": ...}.
            model: "fast" or "vgg19", the paper's network.
            dtype: "float32" or "bfloat16", for the convolutions only.
            batch_size: pictures per program; 1 on CPU, where more is no faster, otherwise 8.
        """
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype must be float32 or bfloat16, not {dtype}")
        self.batch_size = batch_size or (1 if jax.default_backend() == "cpu" else 8)
        self._network = NETWORKS[model]
        self._model = model
        self._style_encoder = params.get("encoder", params)
        self._params = jax.device_put(
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
    ) -> "Stylizer":
        """Loads the weights that ship, or others written by `convert_vgg.py` or `train.py`.

        Args:
            model: "fast", or "vgg19", the paper's network; its encoder must be converted once.
            network: safetensors file of "fast".
            encoder, decoder: safetensors files of "vgg19".
            dtype, batch_size: see `Stylizer`.

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
        return cls(params, model=model, dtype=dtype, batch_size=batch_size)

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
            ValueError: something is no float picture (h, w, 3).
        """
        frames = _as_list(pictures, "style")
        self._styles.plan(_sizes(frames))
        results: list[Style] = [Style(np.empty(0), np.empty(0))] * len(frames)
        encoded = (
            (
                chosen,
                _encode_style(
                    self._network, self._params, *_assemble([frames[i] for i in chosen], frame)
                ),
            )
            for chosen, frame in self._batches(frames, self._styles)
        )
        for chosen, on_device in _one_ahead(encoded):
            styles = jax.device_get(on_device)
            for row, i in enumerate(chosen):
                results[i] = styles[row]
        return results[0] if _is_single(pictures) else Style.stack(results)

    def __call__(
        self,
        contents: Pictures,
        style: Style | Pictures,
        alpha: float | Sequence[float] = 1.0,
        *,
        masks: Sequence[Float[AnyArray, "h w"]] | Float[AnyArray, "r h w"] | None = None,
        content_style: Style | None = None,
    ) -> Any:
        """Stylises one picture (h, w, 3), a batch (n, h, w, 3) or a list of pictures of any sizes.

        Args:
            contents: float pictures in [0, 1].
            style: a `Style`, or pictures to encode: one for all contents, or one per content. With
                masks, one per region.
            alpha: strength (equation 14), from 0, the decoded content, to 1; one for all contents or
                one per content.
            masks: r regions of a single content picture (h, w, 3), each float (h, w) in [0, 1] at its
                size; they may be soft. Pixels of no region stay unstylised.
            content_style: statistics to normalise the contents with, as `encode_style` gives them;
                one for all contents or one per content. By default their own.

        Returns:
            The same kind as `contents`, each picture in its content's exact size, clipped to [0, 1].

        Raises:
            ValueError: something is no float picture, or the numbers of contents, styles, strengths
                and masks do not fit together.
        """
        frames = _as_list(contents, "content")
        if not isinstance(style, Style):
            style = self.encode_style(style)
        style, alphas, regions = _match(frames, style, alpha, masks)
        if content_style is not None:
            content_style = _match(frames, content_style, alpha, None)[0]
        self._contents.plan(_sizes(frames))
        results: list[np.ndarray] = [np.empty(0)] * len(frames)
        stylised = (
            (chosen, self._stylise(chosen, frame, frames, style, alphas, regions, content_style))
            for chosen, frame in self._batches(frames, self._contents)
        )
        for chosen, pictures in _one_ahead(stylised):
            for i, picture in zip(chosen, np.asarray(pictures), strict=False):
                height, width = frames[i].shape[:2]
                results[i] = picture[:height, :width]
        if _is_single(contents):
            return _like(contents, results[0])
        return results if isinstance(contents, Sequence) else _like(contents, np.stack(results))

    def plan(self, sizes: Iterable[Size]) -> None:
        """Chooses frames for contents of these (height, width), before the first of them comes."""
        self._contents.plan(sizes)

    def frame(self, size: Size) -> Size:
        """The frame that contents of this (height, width) are computed in; best batched by it."""
        return self._contents.fit(size)

    def _batches(
        self, pictures: list[np.ndarray], buckets: Buckets
    ) -> Iterator[tuple[list[int], Size]]:
        """Indices of at most `batch_size` pictures that share a frame, and the frame."""
        by_frame: dict[Size, list[int]] = {}
        for i, size in enumerate(_sizes(pictures)):
            by_frame.setdefault(buckets.fit(size), []).append(i)
        for frame, indices in by_frame.items():
            for start in range(0, len(indices), self.batch_size):
                yield indices[start : start + self.batch_size], frame

    def _stylise(
        self,
        chosen: list[int],
        frame: Size,
        pictures: list[np.ndarray],
        styles: Style,
        alphas: np.ndarray,
        regions: np.ndarray | None,
        content_style: Style | None,
    ) -> Array:
        batch, size = _assemble([pictures[i] for i in chosen], frame)
        rows = chosen + chosen[-1:] * (len(batch) - len(chosen))
        masks = None if regions is None else _assemble([regions], frame)[0]
        own = None if content_style is None else content_style[rows]
        args = batch, styles[rows], alphas[rows], masks, size, own
        return _stylise(self._network, self._params, *args)


@partial(jax.jit, static_argnums=0)
def _encode_style(
    network: type[StyleNetwork], params: Params, pictures: Array, size: Array
) -> Style:
    return bind(network, params).encode_style(pictures, size)


@partial(jax.jit, static_argnums=0)
def _stylise(
    network: type[StyleNetwork],
    params: Params,
    contents: Array,
    styles: Style,
    alpha: Array,
    masks: Array | None,
    size: Array,
    content_style: Style | None,
) -> Array:
    stylised = bind(network, params)(contents, styles, alpha, masks, size, content_style)
    return jnp.clip(stylised, 0, 1)


def _is_single(pictures: Pictures) -> bool:
    return not isinstance(pictures, Sequence) and np.ndim(pictures) == 3


def _as_list(pictures: Pictures, name: str) -> list[np.ndarray]:
    """Checked pictures (h, w, 3), as NumPy arrays."""
    listed = [pictures] if _is_single(pictures) else pictures
    frames = [np.asarray(picture) for picture in listed]
    for picture in frames:
        if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
            raise ValueError(f"a {name} picture must have shape (h, w, 3), not {picture.shape}")
        if not np.issubdtype(picture.dtype, np.floating):
            raise ValueError(f"a {name} picture must be float in [0, 1], not {picture.dtype}")
    return frames


def _sizes(pictures: list[np.ndarray]) -> list[Size]:
    return [(picture.shape[0], picture.shape[1]) for picture in pictures]


def _assemble(pictures: list[np.ndarray], frame: Size) -> tuple[np.ndarray, np.ndarray]:
    """One array of all pictures, each in the top left corner of its frame, and their sizes.

    The last one is repeated until their number is a power of two, to compile few programs.
    """
    n = power_of_two(len(pictures))
    batch = np.zeros((n, *frame, pictures[0].shape[-1]), np.float32)
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
) -> tuple[Style, np.ndarray, np.ndarray | None]:
    """A style and a strength for every picture, and the masks as float32 (h, w, r)."""
    n = len(pictures)
    alphas = np.asarray(alpha, np.float32)
    if alphas.shape not in ((), (1,), (n,)):
        raise ValueError(f"{n} contents need one alpha or {n}, not {alphas.size}")
    mean, std = np.asarray(style.mean, np.float32), np.asarray(style.std, np.float32)
    regions = None
    if masks is None:
        if mean.ndim == 2 and len(mean) not in (1, n):
            raise ValueError(f"{n} contents need one style or {n}, not {len(mean)}")
    else:
        regions = np.stack([np.asarray(mask, np.float32) for mask in masks], axis=-1)
        if n != 1 or regions.shape[:2] != pictures[0].shape[:2]:
            raise ValueError(
                f"masks {regions.shape[:2]} must have the size of the one content picture, "
                f"{pictures[0].shape[:2]}"
            )
        mean, std = np.atleast_2d(mean)[None], np.atleast_2d(std)[None]
        if mean.shape[1] != regions.shape[-1]:
            raise ValueError(f"{regions.shape[-1]} masks need as many styles, not {mean.shape[1]}")
    shape = (n, *mean.shape[1:]) if mean.ndim > 1 else (n, *mean.shape)
    styles = Style(np.broadcast_to(mean, shape), np.broadcast_to(std, shape))
    return styles, np.broadcast_to(alphas, (n,)), regions


def _like(contents: Pictures, result: np.ndarray) -> AnyArray:
    return jnp.asarray(result) if isinstance(contents, jax.Array) else result


def _one_ahead(results: Iterable[T]) -> Iterator[T]:
    """Each result once the next is dispatched, so that the device never waits for the host."""
    yield from (result for result, _ in pairwise(chain(results, [None])) if result is not None)
