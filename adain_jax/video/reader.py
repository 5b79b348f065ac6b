"""Reading clips frame by frame, never more than one frame at a time."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
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
from adain_jax.video import hdr
from adain_jax.video.color import (
    Color,
    Pixels,
    display_matrix,
    to_rgb,
    turns_sideways,
    upright,
)
from adain_jax.video.timeline import JUMPING, Clock, Joints

# Local files only, and only containers that hold their frames themselves: no playlists.
_SAFE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg",
}
_CUT_OFF = 0.5  # seconds by which a file may be shorter than it says
_MILLISECONDS = Fraction(1, 1000)
_FIRST_ONES = 10  # frames that are looked at beforehand: interlaced clips may begin with others
_JOINED = ("video", "audio")  # other streams may have nothing in some part
_SLOWEST = Fraction(1, 100)  # frames per second; what is slower is an error
_SMALLEST_INTERLACED = 8  # pixels: FFmpeg's filter refuses less
_LONGEST_PIXEL = 4  # times its other side; what is longer is no camera's, but an error
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # in other formats, several pictures are no clip


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
        pixel_aspect: width of a pixel divided by its height, 1/4 to 4.
        audio: whether the file has sound.
        start: the time in seconds, on the file's own clock, at which its sound or frames begin
            (broadcasts begin at any time); frame times are counted from there.
        loop: how often an animation is repeated; 0 is forever, None is not at all.
        last_duration: the duration of the last frame in units of `time_base`, if known in advance.
        offsets: what is added to the times of the file's parts, see `adain_jax.video.timeline.Clock`.
        notes: one line of text for everything that is not kept as it is in the file.
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
    offsets: Sequence[Fraction] = (Fraction(0),)
    notes: Sequence[str] = ()


def open_clip(
    path: str | Path, *, size: int = 0, max_pixels: int = MAX_PIXELS, fps: float = 25
) -> Clip:
    """Opens a video, an animated GIF, WebP or PNG, or a folder of frames.

    Args:
        path: a file or a folder; the frames in a folder are ordered by name, frame2 before frame10.
        size: shorter side of the frames in pixels, keeping the aspect ratio, each side even; 0
            keeps the size.
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
            and `ValueError`, raised while the file is open, become `VideoError` too: nothing but
            reading may be done meanwhile.
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
    notes = []
    with opened(path) as container:
        count, offsets, damaged = _survey(container, path)
        if damaged:
            notes.append(f"{path}: damaged packets: {damaged}; recordings of broadcasts have such")
    with opened(path) as container:
        stream = _video_stream(container, path)
        stored = (stream.codec_context.width, stream.codec_context.height)
        resized(stored, size, path, max_pixels)  # before anything is decoded
        decoded = _decode(container, stream, path)
        first = next(decoded, None)
        if first is None:
            raise VideoError("no frames", path)
        soon = islice(decoded, _FIRST_ONES)
        interlaced = first.interlaced_frame or any(frame.interlaced_frame for frame in soon)
        interlaced = interlaced and min(stored) >= _SMALLEST_INTERLACED
        matrix = display_matrix(first)
        shown = (first.width, first.height)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if not 1 / _LONGEST_PIXEL <= aspect <= _LONGEST_PIXEL:
            aspect = Fraction(1)
        if turns_sideways(matrix):
            shown, aspect = shown[::-1], 1 / aspect
        width, height = _target(shown, size, path, max_pixels)
        color = Color.of_frame(first)
        time_base = stream.time_base or Fraction(1, 90000)
        rates = (stream.average_rate, stream.guessed_rate, Fraction(25))
        rate = next(one for one in rates if one and one >= _SLOWEST)
        audio = bool(container.streams.audio)
        start = max(Fraction(container.start_time or 0, av.time_base), Fraction(0))
    if interlaced:
        notes.append(f"{path}: interlaced, and is deinterlaced")
    if color.is_hdr:
        notes.append(f"{path}: HDR ({hdr.NAMES[color.transfer]}), tone-mapped to BT.709 in 8 bits")

    def frames() -> Iterator[Frame]:
        converter, clock = VideoReformatter(), Clock(offsets)
        usual = max(1, round(1 / (rate * time_base)))
        last = None
        with opened(path) as container:
            stream = _video_stream(container, path)
            decoded = _decode(container, stream, path)
            for frame in _deinterlaced(decoded, stream) if interlaced else decoded:
                unit = frame.time_base or time_base
                if frame.pts is None:
                    pts = last.pts + last.duration if last else 0
                else:
                    pts = round((clock(frame.pts * unit) - start) / time_base)
                if last:  # encoders accept increasing times only
                    pts = max(pts, last.pts + 1)
                duration = round((frame.duration or 0) * unit / time_base) or usual
                pixels = upright(to_rgb(frame, color, converter), matrix)
                last = Frame(resize(pixels, (width, height)), pts, duration)
                yield last

    return Clip(
        path,
        (height, width),
        count,
        time_base,
        rate,
        Color.of_pictures(height, width) if color.is_hdr else color,
        frames,
        pixel_aspect=aspect,
        audio=audio,
        start=start,
        offsets=offsets,
        notes=notes,
    )


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context:
            return stream
    raise VideoError("no video in this file", path)


def _decode(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[av.VideoFrame]:
    stream.thread_type = "AUTO"
    size = None
    for frame in container.decode(stream):
        size = size or (frame.width, frame.height)
        if (frame.width, frame.height) != size:
            raise VideoError("the frames change their size", path)
        yield frame


def _deinterlaced(frames: Iterable[av.VideoFrame], stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Makes one frame of each that is interlaced; the others stay as they are."""
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    for frame in chain(frames, [None]):
        graph.vpush(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                yield graph.vpull()


def _survey(container: InputContainer, path: Path) -> tuple[int, list[Fraction], int]:
    """Reads the whole file undecoded, so that a truncated one fails at once, not after hours.

    Returns:
        The number of frames; the offsets of the file's parts, see `Clock`; and how many packets are
        damaged, where that is usual.
    """
    stream = _video_stream(container, path)
    is_broadcast = not JUMPING.isdisjoint(container.format.name.split(","))
    joints, count, damaged, end = Joints(), 0, 0, 0.0
    for packet in container.demux():
        if packet.is_corrupt and not is_broadcast:
            raise VideoError(f"damaged or cut off after {end:.1f} s", path)
        damaged += packet.is_corrupt
        if packet.pts is not None and packet.time_base:
            shown, duration = (x * packet.time_base for x in (packet.pts, packet.duration or 0))
            end = max(end, float(shown + duration))
            if is_broadcast and packet.dts is not None and packet.stream.type in _JOINED:
                joints.add(packet.stream.index, packet.dts * packet.time_base, shown, duration)
        count += packet.stream is stream and packet.size > 0 and not packet.is_discard
    start, promised = ((x or 0) / av.time_base for x in (container.start_time, container.duration))
    if end - min(start, 0) < promised - _CUT_OFF:
        raise VideoError(f"cut off after {end:.1f} of {promised:.1f} s", path)
    return count, joints.offsets(), damaged


# Animations and folders


def _open_animation(path: Path, size: int, max_pixels: int) -> Clip:
    def images() -> Iterator[tuple[Image.Image, int]]:
        """Each picture with its duration in milliseconds."""
        with _pictures_of(path) as image:
            for index in range(getattr(image, "n_frames", 1)):
                with reading_settings():
                    image.seek(index)
                    image.load()
                duration = round(image.info.get("duration", 0))
                yield image, duration if duration > 10 else 100  # as browsers do

    with reading_settings(), _pictures_of(path) as image:
        if image.format not in _ANIMATED or not (
            image.format == "GIF" or getattr(image, "is_animated", False)
        ):
            raise VideoError("a still picture, not a clip", path)
        target = _target(image.size, size, path, max_pixels)
    loops, durations = zip(
        *((i.info.get("loop"), duration) for i, duration in images()), strict=True
    )

    def frames() -> Iterator[Frame]:
        pts = 0
        for image, duration in images():
            pixels = np.asarray(on_white(image.convert("RGBA")))
            yield Frame(resize(pixels, target), pts, duration)
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


@contextmanager
def _pictures_of(path: Path) -> Iterator[Image.Image]:
    """An open animation; whatever goes wrong in reading it becomes a `VideoError`."""
    try:
        with open_image(path, path) as image:
            yield image
    except PictureError:
        raise
    except Exception as error:  # decoders fail in their own ways on damaged files
        raise VideoError(f"damaged picture ({' '.join(str(error).split())})", path) from error


def _open_folder(path: Path, size: int, max_pixels: int, fps: float) -> Clip:
    paths = sorted(find_pictures(path), key=_natural)
    if not paths:
        raise VideoError("no picture in this folder", path)
    reading: dict[str, Any] = {"size": size, "max_pixels": max_pixels}
    first = picture_size(paths[0], **reading)
    for other in paths[1:]:
        if picture_size(other, **reading) != first:
            raise VideoError(f"not {first[1]} x {first[0]} pixels, as {paths[0].name} is", other)
    height, width = (_even(side) for side in first) if size else first
    rate = Fraction(fps).limit_denominator(1001)

    def frames() -> Iterator[Frame]:
        for index, picture in enumerate(paths):
            pixels = np.asarray(load_image(picture, **reading))
            if pixels.shape[:2] != first:
                raise VideoError("changed while it was used", picture)
            yield Frame(pixels[:height, :width], index, 1)

    color = Color.of_pictures(height, width)
    return Clip(path, (height, width), len(paths), 1 / rate, rate, color, frames, last_duration=1)


def _natural(path: Path) -> list[tuple[int, str]]:
    """A sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def _target(shown: tuple[int, int], shorter: int, path: Path, max_pixels: int) -> tuple[int, int]:
    """Like `resized`, but even where the size is ours to choose: players want half-size chroma."""
    width, height = resized(shown, shorter, path, max_pixels)
    return (_even(width), _even(height)) if shorter else (width, height)


def _even(side: int) -> int:
    return side - side % 2 or side


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resizes a frame, uint8 (h, w, 3), to a width and a height."""
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
