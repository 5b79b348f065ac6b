"""Picture files in memory: what users upload, and the examples."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from adain_jax.files import digest
from adain_jax.images import PictureError, encode_picture, load_image, to_mask
from adain_jax.images.dtypes import to_float

MAX_BYTES = 20_000_000
MAX_PIXELS = 1 << 26  # 8192 x 8192, checked before anything is decoded
MAX_SIDE = 1536  # pixels: longer pictures are shrunk before anything is computed


@dataclass(frozen=True)
class Upload:
    """A picture file in memory; files with the same bytes are equal.

    Attributes:
        name: the file's name, which is shown but never opened.
        data: the file's bytes.
        digest: a hash of these bytes.
        preview, thumbnail: JPEGs of it, with shorter sides of about 512 and 96 pixels.
        example: whether it comes with the project.
    """

    name: str = field(compare=False)
    data: bytes = field(compare=False, repr=False)
    digest: str
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

    def read_mask(self, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """Its luminance in [0, 1], resized to `shape` (height, width), as `images.to_mask` says.

        Raises:
            PictureError: it is damaged, not a picture, or no mask.
        """
        return to_mask(_load(self.name, self.data, min(shape), keep_alpha=True), shape, self.name)


def decode_upload(name: str, data: bytes, *, example: bool = False) -> Upload:
    """Checks a file by decoding it, and makes its previews.

    Raises:
        PictureError: it is too large, damaged, or not a picture.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(f"larger than {MAX_BYTES // 1_000_000} MB", name)
    image = _load(name, data, 512)
    preview = _jpeg(image)
    image.thumbnail((192, 96) if image.width > image.height else (96, 192))
    return Upload(name, data, digest(data), preview, _jpeg(image), example)


def _load(name: str, data: bytes, size: int, *, keep_alpha: bool = False) -> Image.Image:
    file = io.BytesIO(data)
    image = load_image(file, size=size, max_pixels=MAX_PIXELS, name=name, keep_alpha=keep_alpha)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image


def _jpeg(image: Image.Image) -> bytes:
    return encode_picture(np.asarray(image), "JPEG", quality=80)
