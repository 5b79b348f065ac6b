"""The styles of a data set: encoded once, kept beside it, and shared by all workers."""

import io
from collections.abc import Iterator

import numpy as np

from adain_jax.dataset.recipe import Recipe
from adain_jax.dataset.records import DatasetError, open_source
from adain_jax.dataset.storage import Place, locate
from adain_jax.files import digest
from adain_jax.images import Pixels, load_image
from adain_jax.models import Model
from adain_jax.weights.style_files import decode_moments, encode_moments

NAME = "_styles.safetensors"

Moments = tuple[np.ndarray, np.ndarray]
"""The means and the standard deviations of k styles, float32 (k, c)."""


def name_styles(specs: list[str]) -> list[str]:
    """What each style is, for a manifest: its file's name and a digest of its bytes.

    Args:
        specs: pictures, folders or data sets of pictures, and style files.

    Raises:
        DatasetError, StorageError: one cannot be read.
    """
    return [f"{name} {digest(data)}" for name, data in _files(specs)]


def for_workers(
    specs: list[str], recipe: Recipe, size: int, place: Place | None = None
) -> Moments | list[Pixels]:
    """What workers need to know of all styles: their moments; or, for coral, their pixels.

    The arguments, and what it raises, are those of `encode_styles`. Pictures are not kept.
    """
    if recipe.preserve_color == "coral":
        return list(_pictures(specs, size, recipe.crop))
    return encode_styles(specs, recipe.model, size, recipe.crop, place)


def _pictures(specs: list[str], size: int, crop: bool) -> Iterator[Pixels]:
    for name, data in _files(specs):
        if name.endswith(".safetensors"):
            raise DatasetError("--preserve-color coral recolors pictures, not style files", name)
        yield np.asarray(load_image(io.BytesIO(data), size=size, crop=crop, name=name))


def encode_styles(
    specs: list[str], model: Model, size: int, crop: bool, place: Place | None = None
) -> Moments:
    """The moments of all styles, kept in a style file: of a run before, else encoded now.

    Args:
        specs: as for `name_styles`.
        model: whose encoder it is.
        size: shorter side of the pictures, in pixels; 0 keeps their size.
        crop: cut a central square.
        place: the style file; None keeps none.

    Returns:
        The means and the standard deviations, float32 (k, c).

    Raises:
        DatasetError, StorageError, PictureError, StyleError: one cannot be used.
    """
    from adain_jax.inference.stylizer import Stylizer

    stylizer = Stylizer.load(model, shapes="fixed")
    if place is not None and place.kind() == "file":
        return decode_moments(place.read(), place.url, stylizer.encoder_id)
    moments = []
    for name, data in _files(specs):
        if name.endswith(".safetensors"):
            own = decode_moments(data, name, stylizer.encoder_id)
        else:
            image = load_image(io.BytesIO(data), size=size, crop=crop, name=name)
            style = stylizer.encode_style(np.asarray(image))
            own = np.asarray(style.mean), np.asarray(style.std)
        moments.append([np.atleast_2d(leaf) for leaf in own])
    means, stds = (np.concatenate(leaves) for leaves in zip(*moments, strict=True))
    if place is not None:
        place.write(encode_moments(means, stds, stylizer.encoder_id))
    return means, stds


def _files(specs: list[str]) -> list[tuple[str, bytes]]:
    """Names and bytes of style pictures and style files."""
    files = []
    for spec in specs:
        place = locate(spec)
        name = place.path.rpartition("/")[2]
        if name.endswith(".safetensors"):
            files.append((name, place.read()))
            continue
        if place.kind() == "folder" and (
            found := [n for n in place.files() if n.endswith(".safetensors")]
        ):
            files += [(own, place.under(own).read()) for own in found]
            continue
        source = open_source(spec)
        files += [(r.key, r.image) for shard in source.shards() for r in source.read(shard)]
    if not files:
        raise DatasetError("no style in it", " ".join(specs))
    return files
