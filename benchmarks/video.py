"""Measures what `--stabilize` does to flicker, and what it costs.

    python -m benchmarks.video [--styles waves mosaic points] [--frames 24] [--side 256]

Clips are made by panning over example pictures by a known number of whole pixels per frame, with
and without the noise of a camera. Consecutive results can therefore be aligned exactly; their mean
absolute difference, in levels of 255, is the flicker. Such panning is the best case: if a picture
rotates, zooms or moves in parts, only the parts that stay in place are stabilized. Times are for
the computation alone, without decoding and encoding, after a first run that compiles.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from adain_jax import Stylizer
from adain_jax.images import read_picture
from adain_jax.style import Style
from adain_jax.video import Stabilizer

EXAMPLES = Path(__file__).parent.parent / "examples"
FPS = 25
# Picture, pixels down and right per frame, standard deviation of the noise.
CLIPS = [
    ("astronaut", (0, 0), 0.01),
    ("astronaut", (0, 3), 0.0),
    ("astronaut", (0, 3), 0.01),
    ("rocket", (1, 5), 0.01),
]

Frames = list[np.ndarray]


def pan(name: str, frames: int, side: int, step: tuple[int, int], noise: float) -> np.ndarray:
    """Frames, uint8 (n, side, side, 3), that pan over an example picture."""
    reach = side + (frames - 1) * max(step)
    picture = read_picture(EXAMPLES / f"content/{name}.jpg", size=reach)
    rng = np.random.default_rng(0)
    windows = [picture[i * step[0] :, i * step[1] :][:side, :side] for i in range(frames)]
    noisy = [window + noise * rng.standard_normal(window.shape) for window in windows]
    return (np.clip(np.stack(noisy), 0, 1) * 255 + 0.5).astype(np.uint8)


def flicker(frames: Frames, step: tuple[int, int]) -> float:
    """Mean absolute difference of consecutive frames where they overlap, in levels of 255."""
    (dy, dx), (height, width) = step, frames[0].shape[:2]
    pairs = [(a[dy:, dx:], b[: height - dy, : width - dx]) for a, b in pairwise(frames)]
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


def timed(function: Callable[[], Frames]) -> tuple[Frames, float]:
    function()
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def each_alone(stylizer: Stylizer, contents: np.ndarray, style: Style) -> Frames:
    return list(stylizer(contents, style))


def stabilized(stylizer: Stylizer, contents: np.ndarray, style: Style) -> Frames:
    """Batch by batch, as `infer.py --stabilize` does it."""
    stabilizer, size = Stabilizer(stylizer), stylizer.batch_size
    results: Frames = []
    for i in range(0, len(contents), size):
        batch = contents[i : i + size]
        results += stabilizer(batch, style, seconds=[(i + k) / FPS for k in range(len(batch))])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--styles", nargs="+", default=["waves", "mosaic", "points"])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    stylizer = Stylizer.load()
    print(f"{'clip':40}{'style':12}{'flicker: content':>17}{'plain':>8}{'stabilised':>12}", end="")
    print(f"{'frames/s: plain':>18}{'stabilised':>12}")
    totals = []
    for name, step, noise in CLIPS:
        contents = pan(name, options.frames, options.side, step, noise)
        clip = f"{name}, {step} px/frame" + (f", noise {noise}" if noise else "")
        for painting in options.styles:
            picture = read_picture(EXAMPLES / f"style/{painting}.jpg", size=options.side)
            style = stylizer.encode_style(picture)
            plain, plain_s = timed(partial(each_alone, stylizer, contents, style))
            steady, steady_s = timed(partial(stabilized, stylizer, contents, style))
            row = [flicker(frames, step) for frames in (list(contents), plain, steady)]
            totals.append(row)
            print(f"{clip:40}{painting:12}{row[0]:17.2f}{row[1]:8.2f}{row[2]:12.2f}", end="")
            speeds = (options.frames / seconds for seconds in (plain_s, steady_s))
            print("{:18.2f}{:12.2f}".format(*speeds), flush=True)
    print(f"{'mean':52}" + "{:17.2f}{:8.2f}{:12.2f}".format(*np.mean(totals, 0)))


if __name__ == "__main__":
    main()
