"""Stylizing a clip: decoding, computing and encoding at the same time, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice, repeat

import numpy as np

from adain_jax.inference.inputs import make_request
from adain_jax.inference.stream import prefetch, write_behind
from adain_jax.inference.stylizer import Stylizer
from adain_jax.style import Style
from adain_jax.video.color import Pixels
from adain_jax.video.reader import Clip, Frame
from adain_jax.video.writer import Write


def stylize_clip(
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
    """Stylizes every frame of a clip, in batches of `stylizer.pictures_at_once`.

    Only a few batches are in memory at a time, however long the clip is.

    Args:
        clip: from `open_clip`.
        write: from `writing`.
        stylizer: a loaded model.
        style: returns the style for a time in seconds, counted from the clip's first frame.
        alpha: strength, see `Stylizer`.
        stabilize: reduce flicker, see `Stabilizer`.
        finish: makes the final frame from a content and its result, all uint8 (h, w, 3) in 0..255.
        advance: called with the number of frames that have been written since its last call.

    Raises:
        VideoError, PictureError: the clip cannot be read, or the result cannot be written.
    """
    batch = stylizer.pictures_at_once
    frames = _decode_ahead(clip, depth=2 * batch)
    compute = _stabilized if stabilize else _stylized
    results = (
        replace(frame, pixels=finish(frame.pixels, result) if finish else result)
        for frame, result in compute(stylizer, _with_seconds(frames, clip), style, alpha)
    )
    # One thread, because the encoder needs its frames in order. `closing` ends it before the caller
    # closes the file.
    with closing(
        write_behind(write, results, nbytes=_frame_bytes, depth=batch, threads=1)
    ) as written:
        for _, future in written:
            future.result()
            advance(1)


def _decode_ahead(clip: Clip, depth: int) -> Iterator[Frame]:
    """The frames of a clip, decoded in a thread of their own."""
    frames = iter(clip.frames())
    for _, future in prefetch(lambda _: next(frames, None), repeat(None), depth=depth, threads=1):
        frame = future.result()
        if frame is None:
            return
        yield frame


def _with_seconds(frames: Iterable[Frame], clip: Clip) -> Iterator[tuple[Frame, float]]:
    """Frames with the time since the first one."""
    start = None
    for frame in frames:
        start = frame.pts if start is None else start
        yield frame, float((frame.pts - start) * clip.time_base)


def _stylized(
    stylizer: Stylizer,
    frames: Iterable[tuple[Frame, float]],
    style: Callable[[float], Style],
    alpha: float,
) -> Iterator[tuple[Frame, Pixels]]:
    requests = (
        make_request(frame, frame.pixels, style(seconds), alpha) for frame, seconds in frames
    )
    for request, result in stylizer.stream(requests):
        yield request.key, result


def _stabilized(
    stylizer: Stylizer,
    frames: Iterable[tuple[Frame, float]],
    style: Callable[[float], Style],
    alpha: float,
) -> Iterator[tuple[Frame, Pixels]]:
    from adain_jax.video.stabilizer import Stabilizer  # not at the top: it needs OpenCV

    stabilizer = Stabilizer(stylizer)
    frames = iter(frames)
    while batch := list(islice(frames, stylizer.pictures_at_once)):
        seconds = [second for _, second in batch]
        contents = np.stack([frame.pixels for frame, _ in batch])
        styles = Style.stack([style(second) for second in seconds])
        results = stabilizer(contents, styles, alpha, seconds=seconds)
        yield from ((frame, result) for (frame, _), result in zip(batch, results, strict=True))


def _frame_bytes(frame: Frame) -> int:
    return frame.pixels.nbytes
