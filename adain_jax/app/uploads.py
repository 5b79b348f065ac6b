"""Picture files in memory: what users upload, and the examples."""

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from adain_jax.files import digest
from adain_jax.images import (
    PictureError,
    encode_picture,
    load_image,
    picture_size,
    to_mask,
)
from adain_jax.images.dtypes import to_float

MAX_BYTES = 20_000_000
MAX_PIXELS = 1 << 26  # 8192 x 8192, checked before anything is decoded
MAX_SIDE = 1536  # pixels: longer pictures are shrunk before anything is computed
MAX_SIZE = 1024  # shorter side in pixels of the largest result
PREVIEW_SIZE = 512  # shorter side in pixels of previews


@dataclass(frozen=True)
class Upload:
    """A picture file in memory; files with the same bytes are equal.

    Attributes:
        name: the file's name, which is shown but never opened.
        data: the file's bytes; of larger pictures than are ever computed, those of a shrunk one.
        digest: a hash of the file's bytes.
        megapixels: of the file.
        preview, thumbnail: JPEGs of it, with shorter sides of about PREVIEW_SIZE and 96 pixels.
        example: whether it comes with the project.
    """

    name: str = field(compare=False)
    data: bytes = field(compare=False, repr=False)
    digest: str
    megapixels: float = field(compare=False)
    preview: bytes = field(compare=False, repr=False)
    thumbnail: bytes = field(compare=False, repr=False)
    example: bool = field(default=False, compare=False)

    @property
    def stem(self) -> str:
        """The name without its suffix, for people to read."""
        return Path(self.name).stem.replace("_", " ")

    def read(self, size: int) -> Float[np.ndarray, "h w 3"]:
        """The picture, float32 RGB in [0, 1], with a shorter side of `size` pixels.

        If its longer side would have more than MAX_SIDE pixels, it is shrunk to that.

        Raises:
            PictureError: it is damaged, or not a picture.
        """
        return to_float(np.asarray(_load(self.name, self.data, size)))

    def jpeg(self, size: int) -> bytes:
        """The picture as `read` gives it, as a JPEG file."""
        return self.preview if size <= PREVIEW_SIZE else _jpeg(_load(self.name, self.data, size))

    def read_mask(self, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """Its luminance in [0, 1], resized to `shape` (height, width), as `images.to_mask` says.

        Raises:
            PictureError: it is damaged, not a picture, or no mask.
        """
        return to_mask(_load(self.name, self.data, min(shape), keep_alpha=True), shape, self.name)


def decode_upload(name: str, data: bytes, *, example: bool = False, mask: bool = False) -> Upload:
    """Checks a file by decoding it, shrinks what is large, and makes its previews.

    Args:
        name: the file's name.
        data: its bytes.
        example: whether it comes with the project.
        mask: whether it is a mask, whose transparency counts.

    Raises:
        PictureError: it is too large, damaged, or not a picture.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(f"larger than {MAX_BYTES // 1_000_000} MB", name)
    height, width = picture_size(io.BytesIO(data), name=name, max_pixels=sys.maxsize)
    megapixels = width * height / 1e6
    if width * height > MAX_PIXELS:
        limit = f"the limit is {MAX_PIXELS / 1e6:.0f} megapixels"
        raise PictureError(f"{width} x {height} pixels, {megapixels:.0f} megapixels: {limit}", name)
    kept = data
    if min(width, height) > MAX_SIZE or max(width, height) > MAX_SIDE:
        image = _load(name, data, min(width, height, MAX_SIZE), keep_alpha=mask)
        kept = encode_picture(np.asarray(image), "PNG") if mask else _jpeg(image, quality=95)
    image = _load(name, kept, PREVIEW_SIZE)
    preview = _jpeg(image)
    image.thumbnail((192, 96) if image.width > image.height else (96, 192))
    return Upload(name, kept, digest(data), megapixels, preview, _jpeg(image), example)


def _load(name: str, data: bytes, size: int, *, keep_alpha: bool = False) -> Image.Image:
    file = io.BytesIO(data)
    image = load_image(file, size=size, max_pixels=MAX_PIXELS, name=name, keep_alpha=keep_alpha)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image


def _jpeg(image: Image.Image, quality: int = 80) -> bytes:
    return encode_picture(np.asarray(image), "JPEG", quality=quality)
