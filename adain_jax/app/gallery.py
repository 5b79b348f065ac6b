"""Pictures to pick from: the examples and, for as long as a page is open, its user's own."""

import hashlib
import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from adain_jax.images import PictureError, find_pictures, load_image

MAX_BYTES = 20_000_000
MAX_PIXELS = 1 << 26  # 8192 x 8192, checked before anything is decoded
LONGEST = 1536  # of the longer side, in pixels, of anything that is computed
OWN = 6  # of a user's own pictures, so many are kept

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Upload:
    """A picture file in memory; two of the same bytes are the same.

    Attributes:
        name: of the file; only ever shown, never opened.
        data: the file.
        digest: names its bytes.
        preview, thumbnail: JPEGs of it, with shorter sides of about 512 and 96 pixels.
        example: comes with the project.
    """

    name: str = field(compare=False)
    data: bytes = field(compare=False, repr=False)
    digest: str
    preview: bytes = field(compare=False, repr=False)
    thumbnail: bytes = field(compare=False, repr=False)
    example: bool = field(default=False, compare=False)

    @property
    def stem(self) -> str:
        """The name without suffix, for people to read."""
        return Path(self.name).stem.replace("_", " ")

    def read(self, size: int) -> Float[np.ndarray, "h w 3"]:
        """The picture, float32 RGB in [0, 1], with a shorter side of `size` pixels.

        One with a longer side of more than LONGEST pixels is shrunk to that.

        Raises:
            PictureError: it is damaged, or no picture.
        """
        return np.asarray(_open(self.name, self.data, size), np.float32) / np.float32(255)

    def read_mask(self, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """Its luminance in [0, 1] at a size of `shape` (height, width), white being 1.

        Raises:
            PictureError: as `read`.
        """
        image = _open(self.name, self.data, min(shape)).convert("L")
        image = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32) / np.float32(255)


class _File(io.BytesIO):
    """Bytes that errors call by the name of their file."""

    def __init__(self, name: str, data: bytes):
        super().__init__(data)
        self.name = name

    def __str__(self) -> str:
        return self.name


def receive(name: str, data: bytes, *, example: bool = False) -> Upload:
    """Takes in a file.

    Raises:
        PictureError: it is too large, damaged or no picture; decoding it is the test.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(f"{name}: larger than {MAX_BYTES // 1_000_000} MB")
    try:
        image = _open(name, data, 512)
    except PictureError as error:
        raise PictureError(str(error).removesuffix(" (--max-pixels raises it)")) from error
    preview = _jpeg(image)
    image.thumbnail((192, 96) if image.width > image.height else (96, 192))
    digest = hashlib.sha256(data).hexdigest()[:16]
    return Upload(name, data, digest, preview, _jpeg(image), example)


def _open(name: str, data: bytes, size: int) -> Image.Image:
    image = load_image(_File(name, data), size=size, max_pixels=MAX_PIXELS)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return image


def _jpeg(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return data.getvalue()


@dataclass
class Shelf:
    """Pictures to pick from, and those picked, in the order in which they were.

    Attributes:
        examples: pictures that come with the project.
        own: the last few that the user brought.
        picked: at least one.
        received: how often the user brought some, good or bad.
        problems: what was wrong with those brought last.
    """

    examples: list[Upload]
    picked: list[Upload]
    own: list[Upload] = field(default_factory=list)
    received: int = 0
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def of(kind: str, first: str) -> "Shelf":
        """The examples of a kind, "content" or "style", with the one called `first` picked."""
        examples = _examples(kind)
        return Shelf(examples, [one for one in examples if one.stem == first])

    @property
    def pictures(self) -> list[Upload]:
        """All, the newest of the user's own first."""
        return [*self.own, *self.examples]

    def add(self, upload: Upload, at_most: int = 1) -> None:
        """Puts a user's own picture in front, and picks it as well as others or alone."""
        self.own = [upload, *(one for one in self.own if one != upload)][:OWN]
        self.picked = [one for one in self.picked if one in self.pictures and one != upload]
        self.picked = [*self.picked, upload][-at_most:]

    def pick(self, digest: str, at_most: int = 1) -> None:
        """Picks one alone; where several may be picked, picks one more or lets go of it."""
        chosen = [one for one in self.pictures if one.digest == digest]
        if at_most == 1:
            self.picked = chosen or self.picked
        elif chosen and chosen[0] not in self.picked:
            self.picked = [*self.picked, *chosen][-at_most:]
        elif len(self.picked) > 1:
            self.picked = [one for one in self.picked if one.digest != digest]
        self.problems = []


@cache
def _examples(kind: str) -> list[Upload]:
    return [
        receive(path.name, path.read_bytes(), example=True)
        for path in find_pictures(EXAMPLES / kind)
    ]
