"""`Stylizer`: a loaded model that stylizes pictures of any size, many at once."""

# Annotations stay text, so that help() shows names instead of what they stand for.
from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from adain_jax.errors import StyleError
from adain_jax.inference import memory, programs
from adain_jax.inference.buckets import Buckets, FixedBuckets, Size
from adain_jax.inference.devices import Devices, Params, split
from adain_jax.inference.inputs import (
    Content,
    K,
    Picture,
    Pictures,
    Request,
    StyleInputs,
    check_pictures,
    is_single,
    match_inputs,
    size_of,
)
from adain_jax.inference.stream import dispatch_ahead, group
from adain_jax.inference.strokes import coarse_to_fine, pass_sizes
from adain_jax.inference.tiled import encode_style_tiled, stylize_tiled
from adain_jax.models import Model, check_files, entry, read_params
from adain_jax.nn.vgg19 import VGG19InstanceNormNetwork
from adain_jax.style import AnyArray, Style
from adain_jax.weights.architecture import PLAIN, Architecture
from adain_jax.weights.hub import find

CONTENT_SHAPES = 8  # padded shapes, see `Buckets`
STYLE_SHAPES = 4

Masks = Sequence[Float[AnyArray, "h w"]] | Float[AnyArray, "r h w"]
"""One mask for each of r regions."""
File = str | Path | None
Tile = int | Literal["auto", "off"]
Shapes = Literal["few", "fixed"]


class _Program(NamedTuple):
    """What requests must have in common to be computed in one batch by one program.

    Attributes:
        shape: the padded shape; for pictures in tiles, their own size.
        tile_size: side of the tiles; None for pictures in one piece. Pictures in tiles are computed
            one by one.
        dtype: of the pictures.
        regions: number of masks; 0 without masks.
        content_style: whether the statistics of the content are given.
    """

    shape: Size
    tile_size: int | None
    dtype: np.dtype
    regions: int = 0
    content_style: bool = False


class Stylizer:
    """Stylizes pictures, one at a time or in batches of mixed sizes.

    A picture is an array (h, w, 3), RGB, float in [0, 1], or uint8 as in files; results are float32 or
    uint8 likewise. It may also be gray, (h, w) or (h, w, 1); have an alpha channel, (h, w, 4), and is
    then laid on white; or be a path or a Pillow image, which is read as `read_pixels` does, as uint8.

    Examples:
        >>> stylizer = Stylizer.load()                       # the fast network
        >>> style = stylizer.encode_style("painting.jpg")    # once, for however many contents
        >>> pictures = stylizer(photographs, style, alpha=0.8)

    Pictures of many sizes are computed in a few padded shapes, each one compiled program; results do
    not depend on the padding. `plan` chooses the shapes for sizes known in advance. Pictures larger
    than a tile are computed tile by tile, in bounded memory, with the same result.

    Attributes:
        batch_size: how many pictures a device stylizes at a time; larger batches are split.
        devices: those that share a batch; tiles and single pictures are computed on the first.
        model: its name.
        architecture: what its decoder has beside the paper's layers.
        styles: of a conditional decoder (section 3.3), its own styles by their names, leaves float32
            (c,), in the order of its table; it knows no others. Empty otherwise.
        network: the network's class, for `bind` of `adain_jax.nn` and for `adain_jax.augment`.
        params: its parameters, on JAX's default device.
    """

    def __init__(
        self,
        params: Params,
        *,
        model: Model = "fast",
        architecture: Architecture = PLAIN,
        dtype: str = "float32",
        batch_size: int | None = None,
        tile: Tile = "auto",
        devices: Sequence[jax.Device] | None = None,
        shapes: Shapes = "few",
    ):
        """Makes a stylizer with given parameters.

        Args:
            params: float arrays, as `weights.read` returns them: the layers of "fast";
                for "vgg19", {"encoder": ..., "decoder": ...}.
            model: "fast", or "vgg19", the paper's network.
            architecture: of the decoder of "vgg19", as `weights.read_variant` returns it.
            dtype: "float32" or "bfloat16", for the convolutions only.
            batch_size: pictures per device at a time. The default is 1 on CPU, where more is no
                faster, and 8 otherwise.
            tile: side in pixels of the tiles of large pictures, at least 128; "auto" chooses it
                from the free memory, "off" computes every picture in one piece, as do decoders with
                normalization layers.
            devices: the local devices that share each batch; by default all of them.
            shapes: "few" padded shapes, chosen for the pictures that come; or "fixed" ones that depend
                on each picture's size alone, so that its result does not depend, not even in its
                rounding, on which other pictures there are.

        Raises:
            ValueError: `model`, `dtype`, `batch_size` or `tile` is none of these, or `devices` is
                empty.
        """
        smallest = memory.MIN_TILE_SIZE
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype must be float32 or bfloat16, not {dtype}")
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile >= smallest):
            raise ValueError(f"tile must be auto, off or at least {smallest}, not {tile}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if devices is not None and not devices:
            raise ValueError("devices must be some of jax.local_devices(), or None for all")
        self.devices = tuple(devices or jax.local_devices())
        self.batch_size = batch_size or (1 if self.devices[0].platform == "cpu" else 8)
        instance = architecture.norm == "instance"
        self.network = VGG19InstanceNormNetwork if instance else entry(model).network
        self.architecture = architecture
        params, self.styles = _without_table(params, architecture)
        self.params: Params = jax.device_put(
            jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.dtype(dtype)), dict(params))
        )
        self._placed = Devices(self.devices, self.params)
        self._tile = tile
        self.model = model
        self._style_encoder = params.get("encoder", params)
        fixed = shapes == "fixed"
        self._content_buckets = FixedBuckets() if fixed else Buckets(CONTENT_SHAPES)
        self._style_buckets = FixedBuckets() if fixed else Buckets(STYLE_SHAPES)

    @classmethod
    def load(
        cls,
        model: str = "fast",
        *,
        network: File = None,
        encoder: File = None,
        decoder: File = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        tile: Tile = "auto",
        devices: Sequence[jax.Device] | None = None,
        shapes: Shapes = "few",
    ) -> Stylizer:
        """Loads the weights that ship, or others written by `adain convert` or `adain train`.

        Args:
            model: "fast", or "vgg19", the paper's network, whose encoder must be converted once; or
                a repository on the Hugging Face Hub with weights of either, hf://OWNER/NAME, see
                `adain_jax.weights.hub`.
            network: safetensors file of "fast".
            encoder, decoder: safetensors files of "vgg19".
            dtype, batch_size, tile, devices, shapes: see `Stylizer`.

        Raises:
            WeightsError: a file is missing or does not hold such weights, or the repository cannot
                be reached.
            ValueError: there is no such model, a file is for another model, or `dtype` or `tile` is
                invalid.
        """
        given = {"network": network, "encoder": encoder, "decoder": decoder}
        check_files(model, given)
        found, brought = find(model)
        params, architecture = read_params(found, **{**given, **brought})
        return cls(
            params,
            model=found,
            architecture=architecture,
            dtype=dtype,
            batch_size=batch_size,
            tile=tile,
            devices=devices,
            shapes=shapes,
        )

    @property
    def pictures_at_once(self) -> int:
        """How many pictures all devices together stylize at once."""
        return self.batch_size * len(self.devices)

    @cached_property
    def encoder_id(self) -> str:
        """Identifies the model and the weights that encode styles.

        Styles that were saved with another id cannot be used. The id comes from the weights as they
        were given, so that it does not depend on `dtype`.
        """
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(dict(self._style_encoder)):
            digest.update(np.asarray(leaf, np.float32).tobytes())
        return f"{self.model}-{digest.hexdigest()[:8]}"

    def encode_style(self, pictures: Pictures) -> Style:
        """Encodes the styles of pictures.

        Args:
            pictures: one picture, a batch (n, h, w, 3) or a list of pictures of any sizes.

        Returns:
            Leaves float32 (c,) for one picture, (n, c) for a batch or a list; NumPy arrays.

        Raises:
            ValueError: there is no picture, or something is not a picture.
            PictureError: a file cannot be read.
            StyleError: the decoder knows `styles` of its own instead.
        """
        if self.styles:
            raise StyleError(
                f"this decoder has {len(self.styles)} styles of its own and takes none of pictures: "
                "choose from `styles`, on the command line with --style-index"
            )
        checked = check_pictures(pictures, "style")
        sizes = (size_of(picture) for picture in checked)
        self._style_buckets.plan(size for size in sizes if not self._tile_size(size))
        batches = group(
            range(len(checked)),
            key=lambda i: self._program(checked[i], self._style_buckets),
            limit=self._batch_limit,
        )
        styles: dict[int, Style] = {}
        for (_, rows), encoded in dispatch_ahead(
            lambda batch: self._encode_styles(batch[0], [checked[i] for i in batch[1]]),
            batches,
            alone=_is_tiled,
        ):
            on_host = jax.device_get(encoded)
            styles |= {i: on_host[row] for row, i in enumerate(rows)}
        ordered = [styles[i] for i in range(len(checked))]
        return ordered[0] if is_single(pictures) else Style.stack(ordered)

    def encode_content(self, picture: Picture) -> Content:
        """Encodes a content once, so that each result only needs decoding.

        Its features stay on the device; they take about ten times the memory of the float picture.
        Pictures that are computed in tiles are too large for that; each result encodes them again.

        Args:
            picture: one picture.

        Raises:
            ValueError: it is not a picture.
            PictureError: it is a file that cannot be read.
        """
        (checked,) = check_pictures([picture], "content")
        program = self._program(checked, self._content_buckets)
        if program.tile_size:
            return Content(checked, None)
        batch, size = programs.pad_batch([checked], program.shape, rows=1)
        params = self._placed.params_of_first
        return Content(checked, programs.encode_content(self.network, params, batch, size))

    @overload
    def __call__(
        self,
        contents: jax.Array,
        style: Style | Pictures,
        alpha: float | Sequence[float] = ...,
        *,
        masks: Masks | None = ...,
        content_style: Style | None = ...,
        stroke_size: int | None = ...,
    ) -> jax.Array: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is a sequence of str, too
        self,
        contents: np.ndarray | Image.Image | str | Path | Content,
        style: Style | Pictures,
        alpha: float | Sequence[float] = ...,
        *,
        masks: Masks | None = ...,
        content_style: Style | None = ...,
        stroke_size: int | None = ...,
    ) -> np.ndarray: ...
    @overload
    def __call__(
        self,
        contents: Sequence[Picture],
        style: Style | Pictures,
        alpha: float | Sequence[float] = ...,
        *,
        masks: Masks | None = ...,
        content_style: Style | None = ...,
        stroke_size: int | None = ...,
    ) -> list[np.ndarray]: ...
    def __call__(
        self,
        contents: Pictures | Content,
        style: Style | Pictures,
        alpha: float | Sequence[float] = 1.0,
        *,
        masks: Masks | None = None,
        content_style: Style | None = None,
        stroke_size: int | None = None,
    ) -> AnyArray | list[np.ndarray]:
        """Stylizes one picture, a batch (n, h, w, 3) or a list of pictures of any sizes.

        Args:
            contents: pictures; or one that `encode_content` encoded.
            style: a `Style`, or pictures to encode: one for all contents, or one per content. With
                masks, one per region.
            alpha: strength (equation 14), from 0, the decoded content, to 1; one for all contents or
                one per content.
            masks: r regions of a single content picture (h, w, 3), each float (h, w) in [0, 1] at
                the picture's size; they may be soft. Pixels of no region stay unstylized.
            content_style: statistics to use instead of the contents' own, as `encode_style` returns
                them: for video, for example, those of several frames. With masks, one per region.
            stroke_size: the shorter side in pixels of the picture that strokes are meant for. A larger
                content is painted from coarse to fine, with strokes as large as at this size (see
                `adain_jax.inference.strokes`). None paints it at once, with strokes of the same number
                of pixels whatever the size.

        Returns:
            The same kind as `contents`, pictures (h, w, 3) of exactly the sizes of their contents; a
            NumPy array for a path or a Pillow image. Results are uint8 if all contents are, otherwise
            float32 clipped to [0, 1]. If a picture is mapped from a file (np.memmap) and computed in
            tiles, its result is mapped from a temporary file, which is deleted with the array. The
            result of a batch (n, h, w, 3) is always in memory.

        Raises:
            ValueError: there is no content or no style, something is not a picture, the numbers of
                contents, styles, strengths and masks do not fit together, or `stroke_size` is below 1
                or given with `content_style` or an encoded content, which are of one size.
            PictureError: a file cannot be read.
            NoRoomError: the temporary folder has no room for such a result.
        """
        pictures = contents.picture if isinstance(contents, Content) else contents
        checked = check_pictures(pictures, "content")
        if not isinstance(style, Style):
            style = self.encode_style(style)
        inputs = match_inputs(checked, style, alpha, masks, content_style)
        if stroke_size is not None and stroke_size < 1:
            raise ValueError(f"stroke_size must be at least 1, not {stroke_size}")
        if stroke_size and (content_style is not None or isinstance(contents, Content)):
            raise ValueError(
                "stroke_size needs pictures, without content_style: those are of one size"
            )
        if isinstance(contents, Content) and contents.encoded is not None:
            return self._stylize_encoded(contents, inputs[0])
        self.plan((size_of(picture) for picture in checked), stroke_size)
        requests = (
            Request(i, *each, stroke_size)
            for i, each in enumerate(zip(checked, inputs, strict=True))
        )
        by_index = {request.key: result for request, result in self._results(requests)}
        results = [by_index[i] for i in range(len(checked))]
        single = is_single(pictures)
        if isinstance(pictures, Sequence) and not single:
            return results
        result = results[0] if single else np.stack(results)
        return jnp.asarray(result) if isinstance(pictures, jax.Array) else result

    def stream(self, requests: Iterable[Request[K]]) -> Iterator[tuple[Request[K], np.ndarray]]:
        """Stylizes pictures as they arrive, in bounded memory however many there are.

        Requests with the same padded shape are computed in batches of `pictures_at_once` and keep
        their order; those with other shapes may overtake them. The results of a batch are yielded
        once the next batch is dispatched.

        Args:
            requests: made by `make_request`.

        Yields:
            Each request with its result (h, w, 3): uint8, or float32 in [0, 1], like its content.

        Raises:
            NoRoomError: the temporary folder has no room for a result.
        """
        return self._results(requests, memory.UNBATCHED_BYTES)

    def plan(self, sizes: Iterable[Size], stroke_size: int | None = None) -> None:
        """Chooses padded shapes for contents of these (height, width), before the first one.

        Args:
            sizes: heights and widths in pixels.
            stroke_size: see `__call__`.
        """
        passes = (each for size in sizes for each in pass_sizes(size, stroke_size))
        self._content_buckets.plan(size for size in passes if not self._tile_size(size))

    def _results(
        self, requests: Iterable[Request[K]], max_waiting_bytes: float = math.inf
    ) -> Iterator[tuple[Request[K], np.ndarray]]:
        stylize = partial(self._stylize_as_they_are, max_waiting_bytes=max_waiting_bytes)
        return coarse_to_fine(requests, stylize)

    def _stylize_as_they_are(
        self, requests: Iterable[Request[K]], max_waiting_bytes: float
    ) -> Iterator[tuple[Request[K], np.ndarray]]:
        batches = group(
            requests,
            key=self._program_of_request,
            limit=self._batch_limit,
            nbytes=lambda request: request.nbytes,
            max_bytes=max_waiting_bytes,
        )
        for (_, batch), results in dispatch_ahead(
            lambda batch: self._stylize(*batch), batches, alone=_is_tiled
        ):
            # Not asarray: memory-mapped results must stay np.memmap.
            for request, result in zip(batch, np.asanyarray(results), strict=False):
                height, width = size_of(request.content)
                yield request, result[:height, :width]

    def _tile_size(self, size: Size) -> int | None:
        """The side of the tiles for a picture of this size; None if it is computed in one piece."""
        side: int | str | None = self._tile if self.network.in_tiles else "off"
        if side == "auto":
            side = memory.choose_tile_size(size, self.network.bytes_per_pixel)
        return side if isinstance(side, int) and size[0] * size[1] > side**2 else None

    def _program(self, picture: np.ndarray, buckets: Buckets | FixedBuckets) -> _Program:
        size = size_of(picture)
        tile_size = self._tile_size(size)
        return _Program(size if tile_size else buckets.bucket_for(size), tile_size, picture.dtype)

    def _program_of_request(self, request: Request[K]) -> _Program:
        masks, content_style = request.inputs.masks, request.inputs.content_style
        return self._program(request.content, self._content_buckets)._replace(
            regions=0 if masks is None else masks.shape[-1], content_style=content_style is not None
        )

    def _batch_limit(self, program: _Program) -> int:
        return 1 if program.tile_size else self.pictures_at_once

    def _encode_styles(self, program: _Program, pictures: list[np.ndarray]) -> Style:
        """The styles (n, c) of pictures of one program; there may be repetitions of the last."""
        if program.tile_size:
            params = self._placed.params_of_first
            return encode_style_tiled(self.network, params, pictures[0], program.tile_size)
        rows = self._style_buckets.rows_for(program.shape, self._placed.rows(len(pictures)))
        mesh, params = self._placed.of_batch(rows)
        batch, size = split(mesh, programs.pad_batch(pictures, program.shape, rows))
        return programs.encode_style(self.network, mesh, params, batch, size)

    def _stylize(self, program: _Program, requests: list[Request[Any]]) -> AnyArray:
        """The padded results of requests of one program; there may be repetitions of the last."""
        if program.tile_size:
            params = self._placed.params_of_first
            (request,) = requests
            return stylize_tiled(self.network, params, request, program.tile_size)[None]
        contents, inputs = [r.content for r in requests], [r.inputs for r in requests]
        rows = self._content_buckets.rows_for(program.shape, self._placed.rows(len(requests)))
        mesh, params = self._placed.of_batch(rows)
        batch, size = programs.pad_batch(contents, program.shape, rows)
        padded = programs.pad_inputs(inputs, program.shape, rows)
        return programs.stylize(self.network, mesh, params, *split(mesh, (batch, padded, size)))

    def _stylize_encoded(self, content: Content, inputs: StyleInputs) -> np.ndarray:
        """The result of a content whose features are on the device."""
        assert content.encoded is not None
        height, width = size_of(content.picture)
        shape = self._content_buckets.bucket_for((height, width))
        padded = programs.pad_inputs([inputs], shape, rows=1)
        result = programs.stylize_encoded(
            self.network,
            content.picture.dtype.name,
            self._placed.params_of_first,
            content.encoded,
            padded,
            np.array([[height, width]], np.int32),
        )
        return np.asarray(result)[0, :height, :width]


def _without_table(
    params: Params, architecture: Architecture
) -> tuple[dict[str, Any], dict[str, Style]]:
    """Parameters without a conditional decoder's table, and its rows: AdaIN's styles (eq. 7 and 8)."""
    parts = dict(params)
    if not architecture.styles:
        return parts, {}
    parts["decoder"] = dict(parts["decoder"])
    table = parts["decoder"].pop("conditional")
    rows = zip(architecture.styles, table["shift"], table["scale"], strict=True)
    return parts, {name: Style(np.asarray(shift), np.asarray(scale)) for name, shift, scale in rows}


def _is_tiled(batch: tuple[_Program, list[Any]]) -> bool:
    return batch[0].tile_size is not None
