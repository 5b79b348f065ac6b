"""Less flicker: smooth content statistics, a grid that follows the camera, blended results.

Three things make a stylized video flicker, and each has its remedy here.

- AdaIN normalizes each frame with the frame's own statistics, so an object that enters at one side
  changes the colors everywhere. Remedy: an exponential moving average smooths the statistics over
  time.
- The network works on a grid of 8 pixels, and its strokes stick to the grid while the picture
  moves. Remedy: the grid follows the picture, by the single shift that fits best (phase
  correlation).
- Noise alone can make the network paint different strokes. Remedy: where a pixel shows what it
  showed before, in the same place or moved with the picture, the previous result is blended in. The
  more the pixel has changed, the smaller the share of the previous result.

Nothing is carried over a cut.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from adain_jax.images.dtypes import from_float, to_float
from adain_jax.inference.stylizer import Stylizer
from adain_jax.style import Style

SMOOTHING = 0.5  # time constant of the moving average of statistics, in seconds
KEPT = 0.8  # share of the previous result where nothing changed
TOLERANCE = 0.04  # difference of colors in [0, 1] that reduces this share to 1/e of it
CUT = 0.15  # mean difference of two frames above which there is a cut between them
CLEARLY = 0.7  # the picture counts as moved if that leaves less than this share of the difference
MARGIN = 0.01  # the moved picture is preferred even if it differs by up to this much more
GRID = 8  # pixels per feature at the networks' coarsest scale
WINDOW = 17  # pixels over which differences are averaged

Picture = Float[Array, "h w 3"]
Bytes = UInt8[Array, "h w 3"]


class Stabilizer:
    """Stylizes the frames of one clip, in order, with less flicker than frame by frame.

    Args:
        stylizer: a loaded model.
    """

    def __init__(self, stylizer: Stylizer):
        self._stylizer = stylizer
        self._average: Style | None = None
        self._seconds = 0.0
        self._content: np.ndarray | None = None
        self._result: Array | None = None
        self._origin = np.zeros(2, int)

    def __call__(
        self,
        contents: UInt8[np.ndarray, "n h w 3"],
        style: Style,
        alpha: float = 1.0,
        *,
        seconds: list[float],
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Stylizes the next n frames.

        Args:
            contents: uint8 (n, h, w, 3), RGB in 0..255; h and w are the same in every call.
            style: one style for all frames, leaves (c,), or one per frame, leaves (n, c).
            alpha: strength, see `Stylizer`.
            seconds: the time in seconds at which each frame is shown.

        Returns:
            n pictures, uint8 (h, w, 3), RGB in 0..255.

        Raises:
            ValueError: the numbers of frames, styles and times do not fit together.
        """
        motions, cuts, origins = [], [], []
        for before, content in zip([self._content, *contents[:-1]], contents, strict=True):
            shift, share, difference = _compare(content if before is None else before, content)
            cut = before is None or float(difference) > CUT
            self._origin = np.zeros(2, int) if cut else (self._origin - np.asarray(shift)) % GRID
            motions.append((shift, share))
            cuts.append(cut)
            origins.append(self._origin)
        on_grid = np.stack([_pad(*pair) for pair in zip(contents, origins, strict=True)])
        own = self._smooth(self._stylizer.encode_style(on_grid), seconds, cuts)
        stylized = self._stylizer(on_grid, style, alpha, content_style=own)
        height, width = contents.shape[1:3]
        results = []
        for motion, cut, (y, x), padded in zip(motions, cuts, origins, stylized, strict=True):
            result = padded[y : y + height, x : x + width]
            self._result = to_float(result) if cut else _blend(self._result, result, *motion)
            results.append(np.asarray(from_float(self._result, np.uint8)))
        self._content = contents[-1]
        return results

    def _smooth(self, own: Style, seconds: list[float], cuts: list[bool]) -> Style:
        averages = []
        for i, (now, cut) in enumerate(zip(seconds, cuts, strict=True)):
            if self._average is None or cut:
                self._average = own[i]
            else:
                kept = math.exp(-max(0.0, now - self._seconds) / SMOOTHING)
                self._average = jax.tree.map(
                    lambda old, new, kept=kept: kept * old + (1 - kept) * new,
                    self._average,
                    own[i],
                )
            self._seconds = now
            averages.append(self._average)
        return Style.stack(averages)


def _pad(picture: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Pads each axis by GRID - 1 mirrored pixels, `origin` of them at the top and left."""
    sides = [(int(before), GRID - 1 - int(before)) for before in origin]
    return np.pad(picture, (*sides, (0, 0)), mode="symmetric")


@jax.jit
def _compare(before: Bytes, after: Bytes) -> tuple[Array, Array, Array]:
    """Compares two successive frames.

    Returns:
        The shift of the picture in pixels (down, right); each pixel's share of the previous result,
        (h, w), positive where it is taken from the moved picture and negative where it is taken
        from the same place; and the mean difference of the frames.
    """
    before, after = to_float(before), to_float(after)
    shift = _shift(before.mean(-1), after.mean(-1))
    still = _difference(before, after)
    covered, moved = _covered(after, shift), _difference(_move(before, shift), after)
    better = (moved * covered).sum() < CLEARLY * (still * covered).sum()
    # Plain areas fit either way, and move with the rest.
    with_camera = better & covered & (moved < still + MARGIN)
    nearest = jnp.where(with_camera, moved, still)
    share = KEPT * jnp.exp(-jnp.square(nearest / TOLERANCE))
    # The sign tells the moved picture (positive) from the still one (negative).
    return jnp.where(better, shift, 0), jnp.where(with_camera, share, -share), nearest.mean()


@jax.jit
def _blend(previous: Picture, result: Bytes, shift: Array, share: Array) -> Picture:
    carried = jnp.where(share[..., None] > 0, _move(previous, shift), previous)
    kept = jnp.abs(share)[..., None]
    return kept * carried + (1 - kept) * to_float(result)


def _shift(before: Float[Array, "h w"], after: Float[Array, "h w"]) -> Array:
    """How many pixels (down, right) the picture has moved, by phase correlation."""
    h, w = before.shape
    window = jnp.hanning(h)[:, None] * jnp.hanning(w)
    spectra = [jnp.fft.rfft2((x - x.mean()) * window) for x in (before, after)]
    cross = jnp.conj(spectra[0]) * spectra[1]
    peaks = jnp.fft.irfft2(cross / (jnp.abs(cross) + 1e-9), (h, w))
    y, x = jnp.unravel_index(jnp.argmax(peaks), (h, w))
    return jnp.stack([jnp.where(y > h // 2, y - h, y), jnp.where(x > w // 2, x - w, x)])


def _move(picture: Array, shift: Array) -> Array:
    return jnp.roll(picture, shift, (0, 1))


def _covered(picture: Picture, shift: Array) -> Array:
    """Which pixels (h, w) show something that was in the picture before it moved."""
    inside = []
    for length, by in zip(picture.shape[:2], shift, strict=True):
        source = jnp.arange(length) - by
        inside.append((source >= 0) & (source < length))
    return inside[0][:, None] & inside[1]


def _difference(a: Picture, b: Picture) -> Float[Array, "h w"]:
    """Mean difference over colors and neighbors."""
    difference = jnp.abs(a - b).mean(-1)
    for window in ((WINDOW, 1), (1, WINDOW)):
        sums = jax.lax.reduce_window(difference, 0.0, jax.lax.add, window, (1, 1), "SAME")
        difference = sums / WINDOW
    return difference
