"""Less flicker: strokes that move with the scene, a grid that follows the camera, smooth statistics.

Three things make a stylized video flicker, and each has its remedy here.

- The network works on a grid of 8 pixels, and its strokes stick to the grid, thus to the screen,
  while the picture moves; noise alone can change them too. Remedy: what is shown are former results,
  carried along with the scene, wherever the scene shows what it showed before. As advected textures
  (Neyret 2003), strokes live for a second: a new result fades in as the former one fades out, so that
  they neither grow with a zoom nor wear out. Averages of many results would smear strokes along the
  motion; of two, with the contrast restored that averaging costs, they look painted.
- Where strokes must be new, as in what comes into view, they are to fit those beside. Remedy: the
  grid follows the camera, by whole pixels.
- AdaIN normalizes each frame with the frame's own statistics, so an object that enters at one side
  changes the colors everywhere. Remedy: an exponential moving average smooths the statistics over
  time.

Nothing is carried over a cut.
"""

import math

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8

from adain_jax.inference.stylizer import Stylizer
from adain_jax.style import Style
from adain_jax.video.motion import Motion, find_motion, move

SMOOTHING = 0.5  # time constant of the moving average of statistics, in seconds
MEASURED = 0.25  # seconds from one measurement of statistics to the next
FADING = 0.5  # seconds in which a new result replaces the former one
GRID = 8  # pixels per feature at the networks' coarsest scale
DETAIL = (3, 15)  # pixels; strokes are details finer than the first, and those up to the second
MOST = 2  # by which contrast is raised, or lowered

Picture = Float[np.ndarray, "h w 3"]


class Stabilizer:
    """Stylizes the frames of one clip, in order, with less flicker than frame by frame.

    Args:
        stylizer: a loaded model.
    """

    def __init__(self, stylizer: Stylizer):
        self._stylizer = stylizer
        self._content: np.ndarray | None = None
        self._offset = np.zeros(2)  # of the grid to the picture, in pixels
        self._measured: Style
        self._measured_at = -math.inf
        self._average: Style
        self._averaged_at = 0.0
        self._former: Picture
        self._new: Picture
        self._new_since = 0.0

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
        motions, origins = [], []
        for before, content in zip([self._content, *contents[:-1]], contents, strict=True):
            motion = None if before is None else find_motion(before, content)
            self._offset = np.zeros(2) if motion is None else self._offset + motion.shift
            motions.append(motion)
            origins.append(np.rint(self._offset).astype(int) % GRID)
        on_grid = np.stack([_pad(*pair) for pair in zip(contents, origins, strict=True)])
        own = self._smooth_statistics(on_grid, seconds, motions)
        stylized = self._stylizer(on_grid, style, alpha, content_style=own)
        height, width = contents.shape[1:3]
        results = []
        for padded, (y, x), motion, now in zip(stylized, origins, motions, seconds, strict=True):
            own_result = padded[y : y + height, x : x + width].astype(np.float32)
            shown = self._carry(own_result, motion, now)
            results.append(np.clip(np.rint(shown), 0, 255).astype(np.uint8))
        self._content = contents[-1]
        return results

    def _smooth_statistics(
        self, pictures: np.ndarray, seconds: list[float], motions: list[Motion | None]
    ) -> Style:
        """Smoothed statistics (n, c) of the contents."""
        due = []
        for i, (now, motion) in enumerate(zip(seconds, motions, strict=True)):
            if motion is None or now >= self._measured_at + MEASURED:
                self._measured_at = now
                due.append(i)
        measured = self._stylizer.encode_style(pictures[due]) if due else None
        averages = []
        for i, (now, motion) in enumerate(zip(seconds, motions, strict=True)):
            if measured is not None and i in due:
                self._measured = measured[due.index(i)]
            if motion is None:
                self._average = self._measured
            else:
                kept = math.exp(-max(0.0, now - self._averaged_at) / SMOOTHING)
                self._average = jax.tree.map(
                    lambda old, new, kept=kept: kept * old + (1 - kept) * new,
                    self._average,
                    self._measured,
                )
            self._averaged_at = now
            averages.append(self._average)
        return Style.stack(averages)

    def _carry(self, own: Picture, motion: Motion | None, now: float) -> Picture:
        """What is shown of a frame, from its own result and those carried along, in 0..255."""
        if motion is None:
            self._former = self._new = own
            self._new_since = now
            return own
        found = motion.found[..., None]
        self._former, self._new = (
            own + found * (move(result, motion.origin) - own)
            for result in (self._former, self._new)
        )
        if now - self._new_since >= FADING:
            self._former, self._new = self._new, own
            self._new_since = now
        faded = np.float32((now - self._new_since) / FADING)
        return _match_contrast(self._former + faded * (self._new - self._former), own)


def _pad(picture: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Pads each axis by GRID - 1 mirrored pixels, `origin` of them at the top and left."""
    sides = [(int(before), GRID - 1 - int(before)) for before in origin]
    return np.pad(picture, (*sides, (0, 0)), mode="symmetric")


def _match_contrast(picture: Picture, like: Picture) -> Picture:
    """Gives the details of a picture, by their size, the local contrast that `like` has."""
    matched = np.zeros_like(picture)
    for size in DETAIL:
        coarse, coarse_like = (cv2.blur(x, (size, size)) for x in (picture, like))
        detail = picture - coarse
        gain = np.sqrt(_energy(like - coarse_like) / _energy(detail)).clip(1 / MOST, MOST)
        matched += detail * cv2.resize(gain, detail.shape[1::-1])[..., None]
        picture, like = coarse, coarse_like
    return matched + picture


def _energy(detail: Picture) -> Float[np.ndarray, "_ _"]:
    """Mean square, at an eighth of the size."""
    height, width = (-(-length // 8) for length in detail.shape[:2])
    squares = cv2.resize(np.square(detail), (width, height), interpolation=cv2.INTER_AREA)
    return cv2.blur(squares.mean(-1), (5, 5)) + 1
