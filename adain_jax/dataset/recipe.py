"""What becomes of a record: which styles, how strongly, and in what form it is kept."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from adain_jax.dataset.draws import generator
from adain_jax.dataset.records import Record
from adain_jax.errors import AdainError
from adain_jax.images import SUFFIXES, Pixels, encode_picture, load_image, open_image
from adain_jax.models import Model

if TYPE_CHECKING:
    from adain_jax.inference.stylizer import Stylizer

FORMATS = {
    **{"JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "PNG": "png", "GIF": "png", "BMP": "png"},
    **{"TIFF": "png", "PPM": "png", "TGA": "png"},
}
"""The format of a result by its record's own; jpg for all others."""


@dataclass(frozen=True)
class Recipe:
    """All that determines a stylized data set, beside its source and the styles.

    Attributes:
        model: the network.
        random_styles: how many results each record has; each draws styles of its own.
        mixed: how many styles are mixed in a result, with random shares.
        alpha: the range that strengths are drawn from, evenly.
        seed: of all draws, together with a record's key.
        content_size: shorter side of the pictures in pixels; 0 keeps their size.
        crop: cut a central square.
        preserve_color: "coral" gives the styles the content's colors before they are encoded;
            "luminance" takes only the luminance of the results.
        keep_original: also keep each record's picture, in the size of the results.
        image_format: of the results; "same" is that of the record, as far as it is one of these, or
            png for what is stored without loss.
        quality: of JPEG and WebP, 1 to 100.
        max_pixels: larger pictures are refused.
    """

    model: Model = "fast"
    random_styles: int = 1
    mixed: int = 1
    alpha: tuple[float, float] = (1.0, 1.0)
    seed: int = 0
    content_size: int = 256
    crop: bool = False
    preserve_color: Literal["none", "coral", "luminance"] = "none"
    keep_original: bool = False
    image_format: Literal["same", "jpg", "png", "webp"] = "same"
    quality: int = 95
    max_pixels: int = 1 << 28

    def as_dict(self) -> dict[str, Any]:
        """For manifests."""
        return {**asdict(self), "alpha": list(self.alpha)}


class Decoded(NamedTuple):
    """A record whose picture is pixels, or that cannot be used.

    Attributes:
        record: without the bytes of its picture.
        pixels: uint8 (h, w, 3).
        format: of the results: "jpg", "png" or "webp".
        problem: why there are no pixels.
    """

    record: Record
    pixels: Pixels | None
    format: str = ""
    problem: str | None = None


class Painted(NamedTuple):
    """A record with its results."""

    decoded: Decoded
    results: list[Pixels]


class Encoded(NamedTuple):
    """A record of the stylized data set; `format` is "jpg", "png" or "webp"."""

    key: str
    image: bytes
    columns: dict[str, Any]
    format: str


class Draw(NamedTuple):
    """What a result is made of: the numbers of its styles, their shares, and the strength."""

    styles: list[int]
    shares: list[float]
    alpha: float


def draw(recipe: Recipe, key: str, styles: int) -> list[Draw]:
    """What the results of a record are made of, from the seed and its key alone.

    The first draw is that of `infer.py --random-styles`.
    """
    rng = generator(recipe.seed, key)
    number = recipe.random_styles * recipe.mixed
    chosen = rng.choice(styles, number, replace=number > styles).reshape(-1, recipe.mixed)
    shares = rng.dirichlet([1.0] * recipe.mixed, len(chosen))
    alphas = rng.uniform(*recipe.alpha, len(chosen))
    return [
        Draw(own.tolist(), part.tolist(), float(alpha))
        for own, part, alpha in zip(chosen, shares, alphas, strict=True)
    ]


def decode(recipe: Recipe, record: Record) -> Decoded:
    """The pixels of a record's picture, upright, in its color space and in the size to work in."""
    small, problem = record._replace(image=b""), record.problem
    if not problem:
        try:
            with open_image(io.BytesIO(record.image), record.key) as opened:
                own = FORMATS.get(opened.format or "", "jpg")
            image = load_image(
                io.BytesIO(record.image),
                size=recipe.content_size,
                crop=recipe.crop,
                max_pixels=recipe.max_pixels,
                name=record.key,
            )
        except AdainError as error:
            problem = error.reason
    if problem:
        return Decoded(small, None, problem=problem)
    format_ = own if recipe.image_format == "same" else recipe.image_format
    return Decoded(small, np.asarray(image), format_)


def paint(
    recipe: Recipe, stylizer: "Stylizer", styles: Sequence[Any], decoded: list[Decoded]
) -> list[Painted]:
    """The results of records, computed in batches. A record keeps its pixels only for its original.

    Args:
        recipe: what becomes of each.
        stylizer: computes it.
        styles: of all of them, each a `Style`; for coral, the pixels of its picture.
        decoded: the records.
    """
    # Here, as what only reads and writes records must not wait for JAX.
    from adain_jax.color import coral_of_bytes, keep_chroma_of_bytes
    from adain_jax.inference.inputs import make_request
    from adain_jax.style import mix

    results: list[list[Pixels | None]] = [[None] * recipe.random_styles for _ in decoded]

    def requests() -> Iterator[Any]:
        for i, one in enumerate(decoded):
            if one.pixels is None:
                continue
            for j, made_of in enumerate(draw(recipe, one.record.key, len(styles))):
                own = [styles[k] for k in made_of.styles]
                if recipe.preserve_color == "coral":
                    own = [stylizer.encode_style(coral_of_bytes(p, one.pixels)) for p in own]
                style = own[0] if len(own) == 1 else mix(own, made_of.shares)
                yield make_request((i, j), one.pixels, style, made_of.alpha)

    for request, result in stylizer.stream(requests()):
        i, j = request.key
        if recipe.preserve_color == "luminance":
            result = keep_chroma_of_bytes(request.content, result)
        results[i][j] = result
    return [
        Painted(
            one if recipe.keep_original else one._replace(pixels=None),
            [r for r in own if r is not None],
        )
        for one, own in zip(decoded, results, strict=True)
    ]


def encode(recipe: Recipe, painted: Painted) -> list[Encoded]:
    """The records that a record becomes.

    One result takes the record's key. Of several, and beside the original, results are called
    KEY_stylized_0, KEY_stylized_1 and so on, before the suffix of a file.
    """
    record, pixels, format_, problem = painted.decoded
    if problem:
        return []
    pictures = {f"_stylized_{i}": result for i, result in enumerate(painted.results)}
    if len(pictures) == 1 and not recipe.keep_original:
        pictures = {"": painted.results[0]}
    if pixels is not None:
        pictures = {"": pixels, **pictures}
    stem, suffix = split_suffix(record.key)
    pillows = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[format_]
    return [
        Encoded(
            f"{stem}{ending}{suffix}",
            encode_picture(picture, pillows, quality=recipe.quality),
            record.columns,
            format_,
        )
        for ending, picture in pictures.items()
    ]


def split_suffix(key: str) -> tuple[str, str]:
    """A key without and with only the suffix of a picture's file, if it has one."""
    suffix = PurePosixPath(key).suffix
    suffix = suffix if suffix.lower() in SUFFIXES else ""
    return key.removesuffix(suffix), suffix
