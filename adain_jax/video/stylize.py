"""Stylising a clip: decoding, computing and encoding at the same time, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TypeVar

import numpy as np

from adain_jax.inference.stylizer import Stylizer
from adain_jax.style import Style
from adain_jax.video.color import Pixels
from adain_jax.video.reader import Clip, Frame
from adain_jax.video.stabilizer import Stabilizer
from adain_jax.video.writer import Write

T = TypeVar("T")

AHEAD = 2  # batches decoded in advance, and as many waiting to be encoded


def stylise_clip(
    clip: Clip,
    write: Write,
    stylizer: Stylizer,
    style: Callable[[float], Style],
    *,
    alpha: float = 1.0,
    stabilize: bool = False,
    finish: Callable[[Pixels, Pixels], Pixels] | None = None,
    advance: Callable[[int], object] = lambda frames: None,
) -> None:
    """Stylises every frame of a clip, in batches of `stylizer.batch_size`.

    Only a few batches are in memory at a time, however long the clip is.

    Args:
        clip: from `open_clip`.
        write: from `writing`.
        stylizer: a loaded model.
        style: the style to have at a second of the clip, counted from its first frame.
        alpha: strength, as `Stylizer` has it.
        stabilize: reduce flicker, see `Stabilizer`.
        finish: makes the final picture of a content and its result, all uint8 (h, w, 3).
        advance: told how many more frames have been stylised.

    Raises:
        VideoError: the clip cannot be read, or the result not written.
    """
    stabilizer = Stabilizer(stylizer) if stabilize else None
    start = None
    with ThreadPoolExecutor(1) as decoder, ThreadPoolExecutor(1) as encoder:
        writing: deque[Future[None]] = deque()
        for batch in _ahead(decoder, _batches(clip.frames(), stylizer.batch_size)):
            start = batch[0].pts if start is None else start
            seconds = [float((frame.pts - start) * clip.time_base) for frame in batch]
            # A short last batch is filled up: another size would be another program to compile.
            rows = [min(i, len(batch) - 1) for i in range(stylizer.batch_size)]
            contents = np.stack([batch[i].pixels for i in rows])
            styles = Style.stack([style(seconds[i]) for i in rows])
            if stabilizer:
                times = [seconds[i] for i in rows]
                results = stabilizer(contents, styles, alpha, seconds=times)
            else:
                results = stylizer(contents, styles, alpha)
            if finish:
                results = [finish(*pair) for pair in zip(contents, results, strict=True)]
            done = [replace(f, pixels=result) for f, result in zip(batch, results, strict=False)]
            writing.append(encoder.submit(_write_all, write, done))
            if len(writing) > AHEAD:
                writing.popleft().result()
            advance(len(batch))
        for future in writing:
            future.result()


def _write_all(write: Write, frames: list[Frame]) -> None:
    for frame in frames:
        write(frame)


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(islice(frames, size)):
        yield batch


def _ahead(pool: ThreadPoolExecutor, items: Iterator[T]) -> Iterator[T]:
    """The items, made in a thread of their own, at most AHEAD of them in advance."""
    waiting = deque(pool.submit(next, items, None) for _ in range(AHEAD))
    while (item := waiting.popleft().result()) is not None:
        waiting.append(pool.submit(next, items, None))
        yield item
