"""Measures what `--stabilize` does to flicker and to sharpness, and what it costs.

    python -m benchmarks.video [--clips "zoom in" ...] [--styles waves mosaic points] [--model fast]

Clips are made from example pictures by known motions, with the noise of a camera. For the plain run
and the stabilized one:

- flicker: mean absolute difference of a result and the one before, warped by the true motion, in
  levels of 255, where both show the same;
- sharpness: mean difference of neighboring pixels in the second half of the results, relative to the
  plain run's;
- speed: frames per second relative to the plain run's, median of turns that alternate, of the
  computation alone, without decoding and encoding, after a first run that compiles.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from adain_jax import Stylizer
from adain_jax.images import read_picture
from adain_jax.style import Style
from adain_jax.video import Stabilizer

EXAMPLES = Path(__file__).parent.parent / "examples"
FPS = 25
NOISE = 0.01  # standard deviation, of colors in [0, 1]
EDGE = 6  # pixels along borders and occlusions that are not compared
TURNS = 3

Frames = list[np.ndarray]
Camera = Callable[[int], np.ndarray]
"""The affine map (3, 3) from pixels (x, y, 1) of frame i to pixels of the picture, both counted from
the middle."""


def pan(right: float, down: float) -> Camera:
    return lambda i: np.array([[1, 0, right * (i - 12)], [0, 1, down * (i - 12)], [0, 0, 1.0]])


def zoom(start: float, factor: float) -> Camera:
    """The first frame shows `start` pixels of the picture per pixel, each next one `factor` fewer."""
    return lambda i: np.diag([start * factor**-i, start * factor**-i, 1])


def turn(degrees: float) -> Camera:
    def camera(i: int) -> np.ndarray:
        cos, sin = np.cos(np.radians(degrees * i)), np.sin(np.radians(degrees * i))
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])

    return camera


class Layer(NamedTuple):
    """A picture and how it moves; `size` is the radius, in sides of the frame, of the disk cut out."""

    picture: str
    camera: Camera
    size: float = np.inf


SCENES = {
    "still": [Layer("astronaut", pan(0, 0))],
    "pan, whole pixels": [Layer("astronaut", pan(3, 0))],
    "pan, parts of pixels": [Layer("rocket", pan(2.4, 0.7))],
    "zoom in": [Layer("astronaut", zoom(1.25, 1.01))],
    "zoom out": [Layer("rocket", zoom(0.95, 0.99))],
    "rotation": [Layer("astronaut", turn(0.7))],
    "object before still": [Layer("coffee", pan(0, 0)), Layer("cat", pan(-3, -1), 0.2)],
}
CUT = "cut between pans"


class Clip(NamedTuple):
    """Frames uint8 (n, h, w, 3); for each pair of neighbors, where the later one's pixels (x, y) were
    in the former, float32 (h, w, 2), and whether they were visible there, bool (h, w)."""

    frames: np.ndarray
    before: list[np.ndarray]
    visible: list[np.ndarray]


def make_clip(name: str, count: int, side: int) -> Clip:
    if name == CUT:
        first, second = (make_clip(part, count // 2, side) for part in list(SCENES)[1:3])
        never = np.zeros((side, side), bool)
        return Clip(
            np.concatenate([first.frames, second.frames]),
            [*first.before, second.before[0], *second.before],
            [*first.visible, never, *second.visible],
        )
    layers = SCENES[name]
    pictures = [
        read_picture(EXAMPLES / f"content/{x.picture}.jpg", size=side * 3 // 2) for x in layers
    ]
    middle = (side - 1) / 2
    grid = np.stack(np.meshgrid(*[np.arange(side) - middle] * 2), -1)
    rng = np.random.default_rng(0)

    def covered(layer: int, i: int, pixels: np.ndarray) -> np.ndarray:
        radii = np.linalg.norm(_move(layers[layer].camera(i), pixels), axis=-1)
        return np.clip(layers[layer].size * side - radii, 0, 1)

    frames, before, visible = [], [], []
    for i in range(count):
        frame = np.zeros((side, side, 3), np.float32)
        there, front = grid, np.zeros((side, side), int)
        for k, (picture, layer) in enumerate(zip(pictures, layers, strict=True)):
            share = covered(k, i, grid)[..., None]
            size = np.array(picture.shape[1::-1])
            shown = _sample(picture, _move(layer.camera(i), grid) + (size - 1) / 2)
            frame += share * (shown - frame)
            if i:
                step = np.linalg.inv(layer.camera(i - 1)) @ layer.camera(i)
                there = np.where(share > 0.5, _move(step, grid), there)
            front = np.where(share[..., 0] > 0.5, k, front)
        noisy = frame + NOISE * rng.standard_normal(frame.shape)
        frames.append((np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8))
        if i:
            front_before = np.zeros((side, side), int)
            for k in range(len(layers)):
                front_before = np.where(covered(k, i - 1, there) > 0.5, k, front_before)
            differs = (front != front_before) | (abs(there) > middle).any(-1)
            near = cv2.dilate(differs.astype(np.uint8), np.ones((2 * EDGE + 1,) * 2, np.uint8))
            before.append((there + middle).astype(np.float32))
            visible.append(near == 0)
    return Clip(np.stack(frames), before, visible)


def _move(affine: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return pixels @ affine[:2, :2].T + affine[:2, 2]


def _sample(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    return cv2.remap(
        picture.astype(np.float32),
        positions.astype(np.float32),
        None,
        cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_REFLECT,
    )


def flicker(frames: Frames, clip: Clip) -> float:
    """Mean absolute difference of neighbors where the motion is undone, in levels of 255."""
    differences = [
        np.abs(after - _sample(former, before))[visible].mean()
        for former, after, before, visible in zip(
            frames, frames[1:], clip.before, clip.visible, strict=False
        )
        if visible.any()
    ]
    return float(np.mean(differences))


def sharpness(frames: Frames) -> float:
    later = np.stack(frames[len(frames) // 2 :]).astype(np.float32)
    return float(sum(np.abs(np.diff(later, axis=axis)).mean() for axis in (1, 2)))


def each_alone(stylizer: Stylizer, contents: np.ndarray, style: Style) -> Frames:
    return list(stylizer(contents, style))


def stabilized(stylizer: Stylizer, contents: np.ndarray, style: Style) -> Frames:
    """Batch by batch, as `infer.py --stabilize` does it."""
    stabilizer, size = Stabilizer(stylizer), stylizer.pictures_at_once
    results: Frames = []
    for i in range(0, len(contents), size):
        batch = contents[i : i + size]
        results += stabilizer(batch, style, seconds=[(i + k) / FPS for k in range(len(batch))])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    clips = [*SCENES, CUT]
    parser.add_argument("--clips", nargs="+", default=clips, choices=clips, metavar="CLIP")
    parser.add_argument("--styles", nargs="+", default=["waves", "mosaic", "points"])
    parser.add_argument("--model", default="fast", choices=["fast", "vgg19"])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    stylizer = Stylizer.load(options.model)
    print(
        f"{'':24}{'flicker: content':>16}{'plain':>8}{'stabilized':>12}{'sharpness':>11}{'speed':>7}"
    )
    for name in options.clips:
        clip = make_clip(name, options.frames, options.side)
        rows = []
        for painting in options.styles:
            picture = read_picture(EXAMPLES / f"style/{painting}.jpg", size=options.side)
            style = stylizer.encode_style(picture)
            seconds = np.empty((TURNS + 1, 2))
            for turn_ in range(TURNS + 1):
                for i, run in enumerate((each_alone, stabilized)):
                    start = time.perf_counter()
                    results = run(stylizer, clip.frames, style)
                    seconds[turn_, i] = time.perf_counter() - start
                    if i == 0:
                        plain = results
            ratio = np.median(seconds[1:, 0] / seconds[1:, 1])
            steady = results
            rows.append(
                [
                    *(flicker(frames, clip) for frames in (list(clip.frames), plain, steady)),
                    sharpness(steady) / sharpness(plain),
                    ratio,
                ]
            )
        figures = np.mean(rows, 0)
        print("{:24}{:16.2f}{:8.2f}{:12.2f}{:11.2f}{:7.2f}".format(name, *figures), flush=True)


if __name__ == "__main__":
    main()
