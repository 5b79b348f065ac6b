"""Writing clips frame by frame: videos with their sound, GIFs, folders of numbered pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from adain_jax.files import atomic_folder, atomic_path
from adain_jax.images import PictureError, save_picture
from adain_jax.video.audio import Note, sound
from adain_jax.video.color import from_rgb
from adain_jax.video.formats import CONTAINERS
from adain_jax.video.reader import Clip, Frame, VideoError, resize

Write = Callable[[Frame], None]

_HUNDREDTH = Fraction(1, 100)


@contextmanager
def writing(
    path: Path, clip: Clip, *, frame_suffix: str = "", quality: int = 95, note: Note = print
) -> Iterator[Write]:
    """Yields a function that writes the next frame of a clip.

    The output appears at `path` when the context ends without an error; otherwise nothing is left
    of it. Frame rate, times, pixel aspect ratio, color space, loops and sound are taken from
    `clip`, as far as the format has them; pictures and GIFs, whose pixels are square, are widened or
    heightened instead. A GIF has at most 50 frames per second; further ones are
    dropped.

    Args:
        path: a .mp4, .m4v, .mov, .mkv, .webm or .gif file; a folder if there is a `frame_suffix`.
        clip: the clip that the frames are made from. The frames have its size, in pixels, and are
            uint8 (h, w, 3), RGB in 0..255.
        frame_suffix: write numbered pictures of this kind, such as ".png", into the folder `path`.
        quality: 1 to 100; ignored for GIF and lossless pictures.
        note: called with one line of text for everything that cannot be kept as it is.

    Raises:
        VideoError: the output cannot be written, no frame was written, clips are not written to
            files of this suffix, or the folder holds other files than frames.
        PictureError: a numbered picture cannot be written.
    """
    suffix = path.suffix.lower()
    if frame_suffix or suffix == ".gif":
        if clip.audio:
            note(f"{path}: without the sound of {clip.path}, there is no place for it")
        size = _size_of_square_pixels(clip)
        writer = (
            _writing_folder(path, frame_suffix, quality)
            if frame_suffix
            else _writing_gif(path, replace(clip, size=size))
        )
        with writer as write:
            yield lambda frame: write(replace(frame, pixels=resize(frame.pixels, size[::-1])))
    elif suffix in CONTAINERS:
        with _writing_video(path, clip, quality, note) as write:
            yield write
    else:
        raise VideoError(f"clips are written as {', '.join(sorted(CONTAINERS))}", path)


def _size_of_square_pixels(clip: Clip) -> tuple[int, int]:
    """Height and width of frames that look like the clip's where every pixel is a square."""
    height, width = clip.size
    if clip.pixel_aspect > 1:
        return height, round(width * clip.pixel_aspect)
    return round(height / clip.pixel_aspect), width


@contextmanager
def _writing_video(path: Path, clip: Clip, quality: int, note: Note) -> Iterator[Write]:
    height, width = clip.size
    suffix = path.suffix.lower()
    webm = suffix == ".webm"
    odd = height % 2 or width % 2
    with _created(path, CONTAINERS[suffix]) as output:
        # Equal qualities look about equally good, though CRF ends at 51 in H.264 and at 63 in VP9.
        crf = str(round(63 - 0.41 * quality if webm else 51 - 0.35 * quality))
        # Without B-frames, the file records the duration of every frame, including the last one.
        options = {"crf": crf, **({"row-mt": "1", "cpu-used": "4"} if webm else {"bf": "0"})}
        stream = output.add_stream("libvpx-vp9" if webm else "libx264", clip.rate, options)
        stream.width, stream.height = width, height
        # Half-size chroma in H.264 needs even sizes.
        stream.pix_fmt = format_ = "yuv444p" if odd and not webm else "yuv420p"
        if format_ == "yuv444p":
            note(f"{path}: {width} x {height} is odd: H.264 4:4:4, unknown to some players")
        codec = stream.codec_context
        codec.flags |= Flags.frame_duration
        codec.time_base = clip.time_base
        codec.sample_aspect_ratio = clip.pixel_aspect
        codec.colorspace = clip.color.matrix
        codec.color_primaries = clip.color.primaries
        codec.color_trc = clip.color.transfer
        codec.color_range = ColorRange.MPEG
        converter = VideoReformatter()
        with sound(clip, output, path, note) as write_sound:

            def write(frame: Frame) -> None:
                write_sound(frame.pts * clip.time_base)
                picture = from_rgb(frame.pixels, clip.color, format_, converter)
                picture.pts, picture.time_base = frame.pts, clip.time_base
                picture.duration = frame.duration
                output.mux(stream.encode(picture))

            yield write
            output.mux(stream.encode())
            write_sound(None)


@contextmanager
def _writing_gif(path: Path, clip: Clip) -> Iterator[Write]:
    height, width = clip.size
    options = {"loop": str(-1 if clip.loop is None else clip.loop)}
    if clip.last_duration is not None:
        options["final_delay"] = str(round(clip.last_duration * clip.time_base / _HUNDREDTH))
    with _created(path, CONTAINERS[".gif"], options) as output:
        stream = output.add_stream("gif", clip.rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = _HUNDREDTH
        # A palette for every frame, and a dither that stays in place from frame to frame.
        graph = Graph()
        source = graph.add_buffer(
            width=width, height=height, format=VideoFormat("rgb24"), time_base=_HUNDREDTH
        )
        split = graph.add("split")
        palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=3")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        earliest: int | None = None

        def write(frame: Frame) -> None:
            nonlocal earliest
            pts = round(frame.pts * clip.time_base / _HUNDREDTH)
            if earliest is not None and pts < earliest:
                return
            earliest = pts + 2  # players slow down faster GIFs
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame.pixels))
            picture.pts, picture.time_base = pts, _HUNDREDTH
            graph.push(picture)
            colored = graph.pull()
            assert isinstance(colored, VideoFrame)
            output.mux(stream.encode(colored))

        yield write
        output.mux(stream.encode())


@contextmanager
def _writing_folder(path: Path, suffix: str, quality: int) -> Iterator[Write]:
    count = 0
    try:
        with atomic_folder(path) as folder:
            _check_holds_frames_only(path)

            def write(frame: Frame) -> None:
                nonlocal count
                count += 1
                name = _frame_name(count, suffix)
                try:
                    save_picture(frame.pixels, folder / name, quality=quality)
                except PictureError as error:
                    raise PictureError(error.reason, path / name) from error

            yield write
            if not count:
                raise VideoError("cannot be written (no frames)", path)
    except OSError as error:
        raise VideoError(f"cannot be written ({error.strerror})", path) from error


def _check_holds_frames_only(path: Path) -> None:
    """Whatever is not numbered from 1, as frames are written, is somebody's own."""
    if path.exists() and not path.is_dir():
        raise VideoError("is a file, and no folder of frames", path)
    found = {each.name: each for each in path.glob("*")}
    suffix = next((each.suffix for each in found.values()), "")
    frames = {_frame_name(number, suffix) for number in range(1, len(found) + 1)}
    if found.keys() != frames or any(each.is_dir() for each in found.values()):
        raise VideoError("holds other files than frames; move them or it away", path)


def _frame_name(number: int, suffix: str) -> str:
    return f"{number:06}{suffix}"


@contextmanager
def _created(
    path: Path, format_: str, options: dict[str, str] | None = None
) -> Iterator[OutputContainer]:
    """Opens a new file, which appears at `path` once it is complete."""
    try:
        with atomic_path(path) as temporary:
            with av.open(f"file:{temporary}", "w", format=format_, options=options) as output:
                yield output
            if not temporary.stat().st_size:
                raise ValueError("no frames")
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"cannot be written ({error.strerror})", path) from error
    except ValueError as error:  # PyAV's own checks
        raise VideoError(f"cannot be written ({error})", path) from error
