"""What a user asks for, and the result."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from adain_jax.app.regions import BrushedRegions, MaskedRegions
from adain_jax.app.uploads import Upload
from adain_jax.models import Model

Color = Literal["none", "coral", "luminance"]

SIZES = (256, 512, 768, 1024)  # shorter sides of results in pixels
STYLE_SIZE = 512  # shorter side of style pictures in pixels, as by default in infer.py
MAX_STYLES = 4


@dataclass(frozen=True)
class RenderRequest:
    """Everything that a result depends on.

    Attributes:
        content: the photograph.
        styles: one, or several to mix or to put into regions.
        regions: where each style goes; without regions, several styles are mixed.
        style_weights: the weight of each style in the mix; equal by default.
        alpha: strength, 0 to 1.
        color: whose colors the result has: the style's ("none"), or the photograph's, preserved by
            the method "coral" or "luminance".
        size: shorter side of the result, in pixels.
        model: "fast" or "vgg19".
    """

    content: Upload
    styles: tuple[Upload, ...]
    regions: BrushedRegions | MaskedRegions | None = None
    style_weights: tuple[float, ...] = ()
    alpha: float = 1
    color: Color = "none"
    size: int = 512
    model: Model = "fast"

    @property
    def private(self) -> bool:
        """Whether it contains anything of the user's own: pictures or regions."""
        return bool(self.regions) or not all(one.example for one in (self.content, *self.styles))


@dataclass(frozen=True)
class RenderResult:
    """A result, 8-bit RGB, and the seconds that it took to compute."""

    pixels: UInt8[np.ndarray, "h w 3"]
    seconds: float
