"""Reading pictures, with errors that say what is wrong with a file.

Inside the project a picture is float32 (h, w, 3), RGB in [0, 1] with sRGB's transfer curve.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from adain_jax.errors import AdainError, printable
from adain_jax.images import sample_values, streaming
from adain_jax.images.color_modes import to_rgb
from adain_jax.images.dtypes import Picture, Pixels, to_float
from adain_jax.images.errors import PictureError, PictureWarning, TooManyPixelsError
from adain_jax.images.formats import READABLE, what_is_wrong
from adain_jax.images.metadata import without_metadata
from adain_jax.images.orientation import is_stored_upright, orientation, upright, upright_size
from adain_jax.images.pillow_settings import reading_settings
from adain_jax.images.tiff_pages import choose_page

MAX_PIXELS = 1 << 28  # 16384 x 16384

Name = str | Path
T = TypeVar("T")


def read_picture(
    path: str | Path,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Picture:
    """Reads a picture of any kind as float32 (h, w, 3) in [0, 1], upright, in sRGB.

    Grayscale, palette, 16-bit, float, CMYK and LAB pictures are converted, color profiles are
    applied, animations are reduced to their first frame, and transparent pixels are laid on white.
    A `PictureWarning` says where only the first of a TIFF file's pages is read, and where 16-bit
    values are nearly black. Metadata may be damaged.

    Args:
        path: a JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, PPM, TGA or JPEG 2000 file.
        size: length of the shorter side in pixels, keeping the aspect ratio; 0 keeps the size.
        crop: cut out the central square.
        max_pixels: refuse pictures with more pixels, stored or resized.
        keep_alpha: return (h, w, 4) if the picture has transparency; its colors are then those
            stored, except that fully transparent pixels are white.

    Raises:
        PictureError: the file is missing, empty, damaged or not a picture; it has too many pixels
            (`TooManyPixelsError`); it is a raw photograph; or it is unclear which of its values is
            black and which is white.
    """
    image = load_image(path, size=size, crop=crop, max_pixels=max_pixels, keep_alpha=keep_alpha)
    return to_float(np.asarray(image))


def read_pixels(
    path: str | Path,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Pixels:
    """Reads a picture like `read_picture`, but as uint8 (h, w, 3) or (h, w, 4), in 0..255.

    Large plain TIFF and PNG files that keep their size are read in strips of rows, see
    `adain_jax.images.streaming`; the array then maps a temporary file. The arguments are those of
    `read_picture`.

    Raises:
        PictureError: as for `read_picture`, or the temporary folder is full.
    """

    def read(image: Image.Image) -> Pixels:
        target = _target_size(image, size, path, max_pixels)
        unchanged = target == image.size and not crop and is_stored_upright(image)
        if unchanged and image.tell() == 0 and streaming.can_read(image):
            return streaming.read(path, image)
        return np.asarray(_load(image, target, path, crop=crop, keep_alpha=keep_alpha))

    return _read(path, path, read)


def load_image(
    file: str | Path | BinaryIO,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
    name: Name | None = None,
) -> Image.Image:
    """Reads a picture like `read_picture`, but as an 8-bit Pillow image in mode RGB or RGBA.

    Args:
        file: a path, or an open file.
        size, crop, max_pixels, keep_alpha: as for `read_picture`.
        name: what errors call the file.

    Raises:
        PictureError: as for `read_picture`.
    """
    if name is None:
        name = file if isinstance(file, str | Path) else str(file)
    named = name

    def read(image: Image.Image) -> Image.Image:
        target = _target_size(image, size, named, max_pixels)
        return _load(image, target, named, crop=crop, keep_alpha=keep_alpha)

    return _read(file, named, read)


def convert_image(image: Image.Image, name: Name = "picture") -> Image.Image:
    """An 8-bit RGB image of any Pillow image: upright, in sRGB, on white, like `read_picture`.

    Args:
        image: open, decoded or made; it stays as it is, but that it may be decoded here.
        name: what errors call it.

    Raises:
        PictureError: it is damaged, or it is unclear which of its values is black and which is white.
    """
    with _naming(name), reading_settings():
        sample_values.check_signs(image)
        return _load(image, upright_size(image), name, crop=False, keep_alpha=False)


def read_mask(
    path: str | Path,
    shape: tuple[int, int],
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Float[np.ndarray, "h w"]:
    """Reads a picture as a mask, float32 in [0, 1], where white is 1: see `to_mask`.

    Args:
        path: a picture, as for `read_picture`.
        shape: height and width of the mask, in pixels.
        size, crop, max_pixels: as they were given for the picture that it masks.

    Raises:
        PictureError: as for `read_picture`; or it is so dark that it would mask next to nothing.
    """
    image = load_image(path, size=size, crop=crop, max_pixels=max_pixels, keep_alpha=True)
    return to_mask(image, shape, path)


def to_mask(image: Image.Image, shape: tuple[int, int], name: Name) -> Float[np.ndarray, "h w"]:
    """The luminance of an image, float32 in [0, 1], where white is 1.

    What is cut out on transparency is 0 outside. A black shape on transparency stands for itself: it
    is 1. Luminances of 0 and 1 of 255 are taken as the 0 and 1 of programs.

    Args:
        image: in mode RGB or RGBA.
        shape: height and width of the mask in pixels, to which it is resized.
        name: what errors call the image.

    Raises:
        PictureError: it is darker than a sixteenth of white everywhere.
    """
    luminance = image.convert("L")
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        shown = ImageChops.multiply(luminance, alpha)
        luminance = shown if shown.getbbox() else alpha
    brightest = np.asarray(luminance).max()
    if brightest == 1:
        luminance = luminance.point(lambda value: 255 * value)
    elif brightest < 16:
        raise PictureError(
            f"no mask: its brightest value is {brightest} of 255; white is where the style goes",
            name,
        )
    resized = luminance.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return to_float(np.asarray(resized))


def picture_size(
    file: str | Path | BinaryIO,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    name: Name | None = None,
) -> tuple[int, int]:
    """(height, width) of what `read_picture` would return, from the file's header alone.

    Raises:
        PictureError: as for `read_picture`, as far as the header tells.
    """
    if name is None:
        name = file if isinstance(file, str | Path) else str(file)
    width, height = _read(file, name, lambda image: _target_size(image, size, name, max_pixels))
    return (min(width, height),) * 2 if crop else (height, width)


def open_image(file: str | Path | BinaryIO, name: Name) -> Image.Image:
    """Opens a Pillow image in one of the safe formats, without decoding it.

    Decode it within `reading_settings`. Errors call the file `name`.

    Raises:
        PictureError: the file is missing, empty, or not a picture.
    """
    Image.init()
    try:
        if isinstance(file, str | Path) and not Path(file).is_dir() and not Path(file).is_file():
            Path(file).stat()
            raise PictureError("a pipe or a device, not a file", name)  # it might never end
        with reading_settings():
            return Image.open(file, formats=[one for one in READABLE if one in Image.OPEN])
    except UnidentifiedImageError:
        raise _DamagedError(what_is_wrong(file), name) from None
    except FileNotFoundError:
        raise PictureError("no such file", name) from None
    except IsADirectoryError:
        raise PictureError("a folder, not a picture", name) from None
    except OSError as error:
        if error.strerror:
            raise PictureError(error.strerror, name) from error
        raise _DamagedError(f"damaged picture ({error})", name) from error


def resized(size: tuple[int, int], shorter: int, name: Name, max_pixels: int) -> tuple[int, int]:
    """The (width, height) to which a picture is resized, keeping its aspect ratio.

    Args:
        size: its width and height in pixels.
        shorter: length of the shorter side after resizing, in pixels; 0 keeps `size`.
        name: what errors call the picture.
        max_pixels: the number of pixels allowed before and after resizing.

    Raises:
        TooManyPixelsError: one of the sizes has more than `max_pixels`.
    """
    _check_pixels(size, name, max_pixels)
    if not shorter:
        return size
    scale = shorter / min(size)
    width, height = max(shorter, round(size[0] * scale)), max(shorter, round(size[1] * scale))
    _check_pixels((width, height), name, max_pixels)
    return width, height


class _DamagedError(PictureError):
    """A picture that Pillow cannot read as it is."""


def _read(file: str | Path | BinaryIO, name: Name, function: Callable[[Image.Image], T]) -> T:
    """function(image) of an undecoded image; whatever goes wrong becomes a `PictureError`.

    Metadata cost no picture: where Pillow stumbles, it is given the picture without them. But its
    size must be the one that `picture_size` told before.
    """
    told = None

    def note_size(image: Image.Image) -> T:
        nonlocal told
        told = image.size
        return function(image)

    def check_size(image: Image.Image) -> T:
        if told not in (None, image.size):
            raise _DamagedError("its headers contradict each other", name)
        return function(image)

    try:
        return _read_as_it_is(file, name, note_size)
    except _DamagedError as error:
        bare = without_metadata(file)
        if bare is None:
            raise
        try:
            return _read_as_it_is(bare, name, check_size)
        except _DamagedError:
            raise error from None


def _read_as_it_is(
    file: str | Path | BinaryIO, name: Name, function: Callable[[Image.Image], T]
) -> T:
    with _naming(name), reading_settings(), open_image(file, name) as image:
        if isinstance(image, TiffImageFile):
            image.info.pop("xmp", None)  # Pillow would turn the picture as this says
            pages = choose_page(image)
            if pages > 1:
                message = f"{printable(name)}: only the first of its {pages} pages is read"
                warnings.warn(message, PictureWarning, stacklevel=2)
        sample_values.check_signs(image)
        return function(image)


@contextmanager
def _naming(name: Name) -> Iterator[None]:
    """Whatever goes wrong with an image becomes a `PictureError` that names it."""
    try:
        yield
    except AdainError as error:
        if error.path is not None:
            raise
        raise PictureError(error.reason, name) from error
    except PictureWarning:  # where the caller makes errors of warnings
        raise
    except Exception as error:  # decoders fail in their own ways on damaged files
        reason = f"damaged picture ({' '.join(str(error).split())})"
        raise _DamagedError(reason, name) from error


def _target_size(image: Image.Image, size: int, name: Name, max_pixels: int) -> tuple[int, int]:
    """Width and height that an undecoded picture will have, upright and resized."""
    _check_pixels(image.size, name, max_pixels)  # first: finding the orientation may decode it
    return resized(upright_size(image), size, name, max_pixels)


def _check_pixels(size: tuple[int, int], name: Name, max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        reason = f"{size[0]} x {size[1]} pixels are more than the limit of {max_pixels}"
        raise TooManyPixelsError(reason, name)


def _load(
    image: Image.Image, target: tuple[int, int], name: Name, *, crop: bool, keep_alpha: bool
) -> Image.Image:
    """An open image upright, in RGB or RGBA, of the size `target` (width, height) before `crop`."""
    turned = orientation(image)  # before it is decoded
    if image.format in ("JPEG", "MPO") and target != upright_size(image):
        shorter = min(target)  # the decoder halves as long as both sides stay above this
        image.draft(None, (shorter, shorter))
    image.load()
    dark = sample_values.darkness(image)
    image = to_rgb(upright(image, turned), keep_alpha)
    if dark:
        warnings.warn(f"{printable(name)}: {dark}", PictureWarning, stacklevel=2)
    if (image.width, image.height) != target:
        image = image.resize(target, Image.Resampling.LANCZOS)
    if crop:
        side = min(target)
        left, top = (target[0] - side) // 2, (target[1] - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image
