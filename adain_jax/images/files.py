"""Every way a picture gets in or out, and errors that say what is wrong with it.

Inside the project a picture is float32 (h, w, 3), RGB in [0, 1] with sRGB's transfer curve.
"""

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from adain_jax.files import atomic_path
from adain_jax.images import streaming

Picture = Float[np.ndarray, "h w c"]
Pixels = UInt8[np.ndarray, "h w c"]

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "jp2", "png", "webp", "avif", "gif"),
        *("bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "tga"),
    )
)
MAX_PIXELS = 1 << 28  # 16384 x 16384

# Only raster formats, each decoded by a library in this process: no EPS, which runs a program.
_FORMATS = ["JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000"]

# The limit is ours (`max_pixels`), checked before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
# Pillow remarks on odd metadata, of which every large collection is full.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class PictureError(Exception):
    """A picture that cannot be read or written: the message is "FILE: what is wrong"."""


def read_picture(
    path: str | Path,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Picture:
    """Reads a picture of any kind as float32 (h, w, 3) in [0, 1], upright, in sRGB.

    Greyscale, palette, 16-bit, CMYK and LAB pictures are converted, colour profiles applied,
    animations reduced to their first frame, transparent pixels laid on white.

    Args:
        path: a JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, PPM, TGA or JPEG 2000 file.
        size: length of the shorter side in pixels, the aspect kept; 0 leaves it as it is.
        crop: cut the central square out of it.
        max_pixels: refuse pictures of more pixels, stored or resized.
        keep_alpha: give (h, w, 4) if the picture has transparency; its colours are then those
            stored, white where it is fully transparent.

    Raises:
        PictureError: the file is missing, empty, damaged, too large, or no picture.
    """
    image = load_image(path, size=size, crop=crop, max_pixels=max_pixels, keep_alpha=keep_alpha)
    return np.asarray(image, np.float32) / np.float32(255)


def read_pixels(
    path: str | Path,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Pixels:
    """What `read_picture` reads, as uint8 (h, w, 3) or (h, w, 4).

    Large plain TIFF and PNG files that keep their size are read by strips, see
    `adain_jax.images.streaming`:
    the array then maps a temporary file.

    Raises:
        PictureError: as `read_picture`, and where the temporary folder is full.
    """
    with _named(path), open_image(path) as image:
        target = _target(image, size, path, max_pixels)
        kept = target == image.size and not crop and _orientation(image) == 1
        if kept and streaming.readable(image):
            return streaming.read(path, image)
        return np.asarray(_load(image, target, crop=crop, keep_alpha=keep_alpha))


def load_image(
    path: str | Path | BinaryIO,
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
    keep_alpha: bool = False,
) -> Image.Image:
    """What `read_picture` reads, as an 8-bit Pillow image in mode RGB or RGBA.

    `path` may also be an open file.
    """
    with _named(path), open_image(path) as image:
        target = _target(image, size, path, max_pixels)
        return _load(image, target, crop=crop, keep_alpha=keep_alpha)


def _load(
    image: Image.Image, target: tuple[int, int], *, crop: bool, keep_alpha: bool
) -> Image.Image:
    """An open image upright, in RGB or RGBA, of the size `target` (width, height) before `crop`."""
    if image.format in ("JPEG", "MPO") and target != _upright_size(image):
        shorter = min(target)  # the decoder halves as long as both sides stay above this
        image.draft(None, (shorter, shorter))
    image.load()
    image = _to_rgb(_upright(image), keep_alpha)
    if (image.width, image.height) != target:
        image = image.resize(target, Image.Resampling.LANCZOS)
    if crop:
        side = min(target)
        left, top = (target[0] - side) // 2, (target[1] - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image


def read_mask(
    path: str | Path,
    shape: tuple[int, int],
    *,
    size: int = 0,
    crop: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Float[np.ndarray, "h w"]:
    """A picture's luminance in [0, 1] as a mask of `shape` (height, width), white being 1.

    `size`, `crop` and `max_pixels` are those of the picture it masks.

    Raises:
        PictureError: as `read_picture`.
    """
    image = load_image(path, size=size, crop=crop, max_pixels=max_pixels).convert("L")
    image = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) / np.float32(255)


def picture_size(
    path: str | Path, *, size: int = 0, crop: bool = False, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """(height, width) of what `read_picture` would give, from the file's header alone.

    Raises:
        PictureError: as `read_picture`, as far as the header tells.
    """
    with _named(path), open_image(path) as image:
        width, height = _target(image, size, path, max_pixels)
    return (min(width, height),) * 2 if crop else (height, width)


def save_picture(picture: Picture | Pixels, path: str | Path, *, quality: int = 95) -> None:
    """Writes a picture (h, w, 3) or (h, w, 4), atomically.

    Args:
        picture: float in [0, 1], to be clipped and rounded to 8 bits, or uint8.
        path: the suffix chooses the format; formats without transparency get it laid on white.
        quality: of JPEG, WebP and AVIF, 1 to 100.

    Raises:
        PictureError: the suffix is not known, or the file cannot be written.
    """
    path = Path(path)
    format_ = writable_format(path)
    pixels = to_bytes(picture)
    try:
        with atomic_path(path) as temporary:
            if streaming.writable(pixels, format_):
                streaming.write(pixels, temporary, format_)
            else:
                _save(Image.fromarray(pixels), temporary, format_, quality)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or _line(error)
        raise PictureError(f"{path}: cannot be written ({reason})") from error


def to_bytes(picture: Picture | Pixels) -> Pixels:
    """A picture as uint8: floats are clipped to [0, 1] and rounded, bytes stay as they are."""
    if picture.dtype == np.uint8:
        return picture
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


_LOSSY = ("JPEG", "WEBP", "AVIF")


def _save(image: Image.Image, path: Path, format_: str, quality: int) -> None:
    if image.mode == "RGBA" and format_ in ("JPEG", "PPM", "BMP"):
        image = on_white(image)
    options = {"quality": quality, "subsampling": 0} if format_ == "JPEG" else {"quality": quality}
    image.save(path, format_, **(options if format_ in _LOSSY else {}))


def writable_format(path: Path) -> str:
    """Pillow's name of the format that a path's suffix asks for.

    Raises:
        PictureError: there is no such format.
    """
    format_ = Image.registered_extensions().get(path.suffix.lower(), "")
    if path.suffix.lower() not in SUFFIXES or format_ not in Image.SAVE:
        raise PictureError(
            f"{path}: cannot write {path.suffix or 'files without suffix'}; use .png"
        )
    return format_


def find_pictures(folder: str | Path) -> list[Path]:
    """All files below a folder with a picture's suffix, sorted; hidden ones are passed over.

    Raises:
        PictureError: it is not a folder.
    """
    if not Path(folder).is_dir():
        raise PictureError(f"{folder}: not a folder")
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)


def open_image(path: str | Path | BinaryIO) -> Image.Image:
    """An undecoded Pillow image of one of the safe formats.

    Raises:
        PictureError: the file is missing or no picture.
    """
    Image.init()
    try:
        image = Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        empty = isinstance(path, str | Path) and Path(path).stat().st_size == 0
        what = "the file is empty" if empty else "not a picture that can be read"
        raise PictureError(f"{path}: {what}") from None
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{path}: a folder, not a picture") from None
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror or error}") from error
    return image


@contextmanager
def _named(path: str | Path | BinaryIO) -> Iterator[None]:
    """Whatever goes wrong in reading a picture becomes a PictureError with its name."""
    try:
        yield
    except PictureError:
        raise
    except streaming.NoRoomError as error:
        raise PictureError(f"{path}: {error}") from error
    except Exception as error:  # decoders fail in their own ways on damaged files
        raise PictureError(f"{path}: damaged picture ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _target(
    image: Image.Image, size: int, path: str | Path | BinaryIO, max_pixels: int
) -> tuple[int, int]:
    """Width and height that an undecoded picture will have, upright and resized."""
    _limit(image.size, path, max_pixels)  # first: Pillow may have to decode it for the orientation
    return resized(_upright_size(image), size, path, max_pixels)


def _limit(size: tuple[int, int], path: str | Path | BinaryIO, max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise PictureError(
            f"{path}: {size[0]} x {size[1]} pixels are more than the limit of {max_pixels} "
            f"(--max-pixels raises it)"
        )


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    try:
        header_tells = isinstance(image, PngImageFile) and image.tile and not _tells_late(image)
        exif = Image.Image.getexif(image) if header_tells else image.getexif()
        value = exif.get(0x0112, 1)
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tells_late(image: PngImageFile) -> bool:
    """Whether a PNG has metadata behind its pixels; Pillow decodes every PNG to look for some."""
    file = image.fp
    assert file is not None
    here = file.tell()
    file.seek(8)
    kinds = []
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        kinds.append(kind)
        file.seek(length + 4, os.SEEK_CUR)
    file.seek(here)
    late = kinds[kinds.index(b"IDAT") :]
    return not {b"eXIf", b"iTXt", b"tEXt", b"zTXt"}.isdisjoint(late)


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if _orientation(image) > 1 else image


def resized(
    size: tuple[int, int], shorter: int, path: str | Path | BinaryIO, max_pixels: int
) -> tuple[int, int]:
    """Width and height with a shorter side of `shorter` (0: as they are).

    Raises:
        PictureError: either size has more than `max_pixels`.
    """
    _limit(size, path, max_pixels)
    if not shorter:
        return size
    scale = shorter / min(size)
    width, height = max(shorter, round(size[0] * scale)), max(shorter, round(size[1] * scale))
    _limit((width, height), path, max_pixels)
    return width, height


def _to_rgb(image: Image.Image, keep_alpha: bool) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        image = _to_8_bit(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        color = _to_srgb(image.convert("RGB"), profile)
        color.putalpha(image.getchannel("A"))
        return _white_where_clear(color) if keep_alpha else on_white(color)
    if image.mode == "P":
        image = image.convert("RGB")
    return _to_srgb(image, profile)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Greyscale of 16 bits, of 32 bits holding 16, or of floats in [0, 1] or [0, 255]."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    scale = 1 / 257
    if image.mode == "F":
        scale = 255 if values.max(initial=0) <= 1 else 1
    return Image.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
        return _convert_profile(image, ImageCms.ImageCmsProfile(source))
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            return _convert_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile, or one of another colour space: the plain colours will do
    return image.convert("RGB")


def _convert_profile(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert converted is not None  # only in-place conversions return None
    return converted


def on_white(image: Image.Image) -> Image.Image:
    """An RGBA image laid on white, as RGB."""
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _white_where_clear(image: Image.Image) -> Image.Image:
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0, :3] = 255
    return Image.fromarray(pixels)
