"""Reading clips frame by frame, never more than one frame at a time."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from adain_jax.images import (
    MAX_PIXELS,
    SUFFIXES,
    PictureError,
    find_pictures,
    load_image,
    on_white,
    open_image,
    picture_size,
    reading_settings,
    resized,
)
from adain_jax.video.color import (
    Color,
    Pixels,
    display_matrix,
    to_rgb,
    turns_sideways,
    upright,
)

# Local files only, and only containers that hold their frames themselves: no playlists.
_SAFE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg",
}
_CUT_OFF = 0.5  # seconds by which a file may be shorter than it says
_MILLISECONDS = Fraction(1, 1000)


class VideoError(PictureError):
    """A clip that cannot be read or written: the message is "FILE: what is wrong"."""


@dataclass(frozen=True)
class Frame:
    """One frame of a clip.

    Attributes:
        pixels: uint8 (h, w, 3), RGB in 0..255, upright.
        pts: the time at which it is shown, in units of the clip's `time_base`.
        duration: how long it is shown, in the same units.
    """

    pixels: Pixels
    pts: int
    duration: int


@dataclass(frozen=True)
class Clip:
    """A clip that can be read any number of times.

    Attributes:
        path: the file or folder.
        size: height and width of its frames in pixels, upright and resized.
        count: the number of frames, for progress only.
        time_base: the unit of frame times, in seconds.
        rate: mean number of frames per second.
        color: how its colors are coded.
        frames: opens the clip and returns an iterator over its frames in order of time, which
            raises `VideoError` or `PictureError` if the clip cannot be read to its end.
        pixel_aspect: width of a pixel divided by its height.
        audio: whether the file has sound.
        start: the time in seconds, on the file's own clock, at which its sound or frames begin
            (broadcasts begin at any time); frame times are counted from there.
        loop: how often an animation is repeated; 0 is forever, None is not at all.
        last_duration: the duration of the last frame in units of `time_base`, if known in advance.
    """

    path: Path
    size: tuple[int, int]
    count: int
    time_base: Fraction
    rate: Fraction
    color: Color
    frames: Callable[[], Iterator[Frame]]
    pixel_aspect: Fraction = Fraction(1)
    audio: bool = False
    start: Fraction = Fraction(0)
    loop: int | None = 0
    last_duration: int | None = None


def open_clip(
    path: str | Path, *, size: int = 0, max_pixels: int = MAX_PIXELS, fps: float = 25
) -> Clip:
    """Opens a video, an animated GIF, WebP or PNG, or a folder of frames.

    Args:
        path: a file or a folder; the frames in a folder are ordered by name, frame2 before frame10.
        size: shorter side of the frames in pixels, keeping the aspect ratio; 0 keeps the size.
        max_pixels: refuse frames with more pixels, stored or resized.
        fps: frames per second of a folder, greater than 0.

    Raises:
        VideoError, PictureError: the file is missing, damaged, cut off, too large, or not a clip.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, size, max_pixels, fps)
    if path.suffix.lower() in SUFFIXES:
        return _open_animation(path, size, max_pixels)
    return _open_video(path, size, max_pixels)


# Videos


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Opens a local video file.

    Raises:
        VideoError: the file is missing, damaged, or not a video that can be read. FFmpeg's errors
            and `ValueError`, raised while the file is open, become `VideoError` too.
    """
    what = "not a video that can be read"
    try:
        with av.open(f"file:{path}", options=_SAFE, metadata_errors="replace") as container:
            what = "damaged video"
            yield container
    except (av.error.FileNotFoundError, av.error.PermissionError) as error:
        raise VideoError(error.strerror or str(error), path) from error
    except (av.FFmpegError, ValueError) as error:
        detail = error.strerror if isinstance(error, av.FFmpegError) else str(error)
        raise VideoError(f"{what} ({detail})", path) from error


def _open_video(path: Path, size: int, max_pixels: int) -> Clip:
    with opened(path) as container:
        count = _count_frames(container, path)
    with opened(path) as container:
        stream = _video_stream(container, path)
        stored = (stream.codec_context.width, stream.codec_context.height)
        resized(stored, size, path, max_pixels)  # before anything is decoded
        first = next(_decode(container, stream), None)
        if first is None:
            raise VideoError("no frames", path)
        matrix = display_matrix(first)
        shown = (first.width, first.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if turns_sideways(matrix):
            shown, aspect = shown[::-1], 1 / aspect
        width, height = resized(shown, size, path, max_pixels)
        color = Color.of_frame(first)
        time_base = stream.time_base or Fraction(1, 90000)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        audio = bool(container.streams.audio)
        start = max(Fraction(container.start_time or 0, av.time_base), Fraction(0))

    def frames() -> Iterator[Frame]:
        converter = VideoReformatter()
        usual, zero = max(1, round(1 / (rate * time_base))), round(start / time_base)
        last = None
        with opened(path) as container:
            for frame in _decode(container, _video_stream(container, path)):
                if (frame.width, frame.height) != (first.width, first.height):
                    raise VideoError("the frames change their size", path)
                if frame.pts is None:
                    pts = last.pts + last.duration if last else 0
                else:
                    pts = frame.pts - zero
                if last:  # encoders accept increasing times only
                    pts = max(pts, last.pts + 1)
                pixels = upright(to_rgb(frame, color, converter), matrix)
                last = Frame(_resize(pixels, (width, height)), pts, frame.duration or usual)
                yield last

    return Clip(
        path,
        (height, width),
        count,
        time_base,
        rate,
        color,
        frames,
        pixel_aspect=aspect,
        audio=audio,
        start=start,
    )


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context:
            return stream
    raise VideoError("no video in this file", path)


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    stream.thread_type = "AUTO"
    yield from container.decode(stream)


def _count_frames(container: InputContainer, path: Path) -> int:
    """Reads the whole file undecoded, so that a truncated one fails at once, not after hours."""
    stream = _video_stream(container, path)
    count, end = 0, 0.0
    for packet in container.demux():
        if packet.is_corrupt:
            raise VideoError(f"damaged or cut off after {end:.1f} s", path)
        if packet.pts is not None and packet.time_base:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        count += packet.stream is stream and packet.size > 0 and not packet.is_discard
    start, promised = ((x or 0) / av.time_base for x in (container.start_time, container.duration))
    if end - min(start, 0) < promised - _CUT_OFF:
        raise VideoError(f"cut off after {end:.1f} of {promised:.1f} s", path)
    return count


# Animations and folders


def _open_animation(path: Path, size: int, max_pixels: int) -> Clip:
    def images() -> Iterator[tuple[Image.Image, int]]:
        """Each picture with its duration in milliseconds."""
        try:
            with open_image(path, path) as image:
                with reading_settings():
                    count = getattr(image, "n_frames", 1)
                for index in range(count):
                    with reading_settings():
                        image.seek(index)
                        image.load()
                    duration = round(image.info.get("duration", 0))
                    yield image, duration if duration > 10 else 100  # as browsers do
        except PictureError:
            raise
        except Exception as error:  # decoders fail in their own ways on damaged files
            raise VideoError(f"damaged picture ({error})", path) from error

    with reading_settings(), open_image(path, path) as image:
        if image.format != "GIF" and not getattr(image, "is_animated", False):
            raise VideoError("a still picture, not a clip", path)
        target = resized(image.size, size, path, max_pixels)
    loops, durations = zip(
        *((i.info.get("loop"), duration) for i, duration in images()), strict=True
    )

    def frames() -> Iterator[Frame]:
        pts = 0
        for image, duration in images():
            pixels = np.asarray(on_white(image.convert("RGBA")))
            yield Frame(_resize(pixels, target), pts, duration)
            pts += duration

    return Clip(
        path,
        (target[1], target[0]),
        len(durations),
        _MILLISECONDS,
        1000 * Fraction(len(durations), sum(durations)),
        Color.of_pictures(target[1], target[0]),
        frames,
        loop=loops[-1],
        last_duration=durations[-1],
    )


def _open_folder(path: Path, size: int, max_pixels: int, fps: float) -> Clip:
    paths = sorted(find_pictures(path), key=_natural)
    if not paths:
        raise VideoError("no picture in this folder", path)
    reading: dict[str, Any] = {"size": size, "max_pixels": max_pixels}
    height, width = picture_size(paths[0], **reading)
    for other in paths[1:]:
        if picture_size(other, **reading) != (height, width):
            raise VideoError(f"not {width} x {height} pixels, as {paths[0].name} is", other)
    rate = Fraction(fps).limit_denominator(1001)

    def frames() -> Iterator[Frame]:
        for index, picture in enumerate(paths):
            pixels = np.asarray(load_image(picture, **reading))
            if pixels.shape[:2] != (height, width):
                raise VideoError("changed while it was used", picture)
            yield Frame(pixels, index, 1)

    color = Color.of_pictures(height, width)
    return Clip(path, (height, width), len(paths), 1 / rate, rate, color, frames, last_duration=1)


def _natural(path: Path) -> list[tuple[int, str]]:
    """A sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def _resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
