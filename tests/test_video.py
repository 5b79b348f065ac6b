"""Clips: what goes in comes out, however odd; what is bad leaves nothing; flicker is less."""

import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adain_jax import Stylizer, mix
from adain_jax.cli import infer
from adain_jax.images import PictureError, read_picture
from adain_jax.style import Style

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'adain-jax[video]'")

from adain_jax.video import (  # noqa: E402
    Clip,
    Frame,
    Stabilizer,
    VideoError,
    hdr,
    open_clip,
    stylize_clip,
    writing,
)
from adain_jax.video.color import Color  # noqa: E402
from adain_jax.video.timeline import Joints  # noqa: E402

ROOT = Path(__file__).parent.parent
STYLES = ROOT / "examples" / "style"
HEIGHT, WIDTH = 64, 96
PATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
PATCHES += [(200, 150, 30), (255, 255, 255), (0, 0, 0), (90, 20, 160)]
# Shares of red and blue in luminance, by ITU-T H.273's number of the matrix.
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
UNSPECIFIED = 2


def patches(height=HEIGHT, width=WIDTH):
    """Eight plain patches, in two rows."""
    picture = np.zeros((height, width, 3), np.uint8)
    for i, color in enumerate(PATCHES):
        rows = slice(i // 4 * height // 2, (i // 4 + 1) * height // 2)
        picture[rows, i % 4 * width // 4 : (i % 4 + 1) * width // 4] = color
    return picture


def middles(picture):
    """The values in the middle of each patch."""
    height, width = picture.shape[:2]
    at = [(i // 4 * height // 2 + height // 4, i % 4 * width // 4 + width // 8) for i in range(8)]
    return np.array([picture[y, x] for y, x in at]).astype(int)


def yuv(picture, matrix=6, full=False):
    """A YUV 4:2:0 frame by the formulas of the standard."""
    kr, kb = LUMA[matrix]
    red, green, blue = np.moveaxis(picture / 255.0, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = [luma, (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)]
    scale, offset = ((255, 255), (0, 128)) if full else ((219, 224), (16, 128))
    planes = [planes[0] * scale[0] + offset[0], *(p[::2, ::2] * scale[1] + 128 for p in planes[1:])]
    stacked = np.concatenate([plane.ravel() for plane in planes])
    array = np.clip(np.round(stacked), 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(array.reshape(-1, picture.shape[1]), "yuv420p")


def make_clip(
    path,
    pictures,
    *,
    times=None,
    codec="libx264",
    matrix=6,
    tag=None,
    full=False,
    rotation=None,
    sound=None,
    options=None,
):
    """A real clip; `times` in milliseconds, one more than frames, 100 per frame by default."""
    times = times or [100 * i for i in range(len(pictures) + 1)]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=10, options={"crf": "8", "bf": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        stream.codec_context.colorspace = matrix if tag is None else tag
        stream.codec_context.color_range = 2 if full else 1
        if rotation:
            stream.set_display_rotation(**rotation)
        if sound:
            track = container.add_stream(sound, rate=48000)
            track.layout = "mono"
            tone = np.sin(np.arange(48 * times[-1]) / 20).astype(np.float32)[None] / 4
            resampler = av.AudioResampler(track.format, track.layout, 48000, frame_size=1024)
            wave = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            wave.rate = 48000
            for piece in [*resampler.resample(wave), *resampler.resample(None)]:
                container.mux(track.encode(piece))
            container.mux(track.encode())
        for i, picture in enumerate(pictures):
            frame = yuv(picture, matrix, full)
            frame.pts, frame.duration = times[i], times[i + 1] - times[i]
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def pan(n=6, step=(0, 5), noise=0.0, name="astronaut"):
    """Frames that move over an example picture by a known number of pixels, uint8."""
    picture = read_picture(ROOT / f"examples/content/{name}.jpg", size=160)
    rng = np.random.default_rng(0)
    frames = []
    for i in range(n):
        y, x = i * step[0], i * step[1]
        frame = picture[y : y + HEIGHT, x : x + WIDTH]
        frame = frame + noise * rng.standard_normal(frame.shape)
        frames.append((np.clip(frame, 0, 1) * 255 + 0.5).astype(np.uint8))
    assert all(frame.shape == (HEIGHT, WIDTH, 3) for frame in frames)
    return frames


def copy(source, target, **options):
    """Reads a clip and writes it again."""
    notes = []
    clip = open_clip(source)
    with writing(Path(target), clip, note=notes.append, **options) as write:
        for frame in clip.frames():
            write(frame)
    return notes


def seconds(path):
    """(start, duration) of every frame, by the container."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [(float(f.pts * f.time_base), float(f.duration * f.time_base)) for f in frames]


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture(scope="session")
def stylizer():
    return Stylizer.load()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs infer.py in this process: (exit code, standard output, standard error)."""

    def command(*arguments):
        with pytest.raises(SystemExit) as exit_:
            infer.main(["--style-size=64", "--no-compilation-cache", *map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return command


WAVES = ("--style", STYLES / "waves.jpg")


# Color, size, time, rotation, sound


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(
    ("matrix", "tag", "full"),
    [(1, 1, False), (6, 6, False), (9, 9, False), (6, UNSPECIFIED, False), (6, 6, True)],
)
def test_colors_are_read_right_kept_and_tagged(tmp_path, matrix, tag, full, suffix):
    source = make_clip(tmp_path / "a.mp4", [patches()] * 2, matrix=matrix, tag=tag, full=full)
    (first, _) = open_clip(source).frames()
    assert abs(middles(first.pixels) - PATCHES).max() <= 2
    copy(source, tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (matrix, 1)
    (first, _) = open_clip(tmp_path / f"b{suffix}").frames()
    assert abs(middles(first.pixels) - PATCHES).max() <= 3


def test_large_pictures_are_assumed_bt709_and_rgb_video_is_read_as_it_is(tmp_path):
    assert Color.of_pictures(720, 960).matrix == 1
    assert Color.of_pictures(576, 720).matrix == 6
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(patches())))
        container.mux(stream.encode())
    (frame,) = open_clip(tmp_path / "a.mkv").frames()
    np.testing.assert_array_equal(frame.pixels, patches())


def to_signal(light, transfer):
    """The signal in 0..1 of gray light in cd/m2, by BT.2100's own equations."""
    if transfer == 16:
        power = (np.asarray(light) / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    scene = (np.asarray(light) / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped_to_srgb(tmp_path, transfer):
    """Up to 80 cd/m2 as bright as it is, where sRGB's white is 203; highlights are kept apart."""
    light = np.array([0, 1, 10, 26, 50, 80, 203, 300, 500, 1000])
    luma = np.round(64 + 876 * to_signal(light, transfer)).astype(np.uint16)
    picture = np.full((96, 160), 512, np.uint16)
    picture[:64] = np.repeat(luma, 16)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream(
            "libx265", rate=10, options={"x265-params": "lossless=1:log-level=0"}
        )
        stream.height, stream.width, stream.pix_fmt = 64, 160, "yuv420p10le"
        codec = stream.codec_context
        codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range = (
            9,
            transfer,
            9,
            1,
        )
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p10le")
        container.mux([*stream.encode(frame), *stream.encode()])
    clip = open_clip(tmp_path / "a.mkv")
    (note,) = clip.notes
    assert "HDR (PQ)" in note if transfer == 16 else "HDR (HLG)" in note
    assert (clip.color.primaries, clip.color.transfer) == (1, 13)
    (frame,) = clip.frames()
    gray = frame.pixels[32, 8::16].astype(int)
    assert (np.ptp(gray, axis=1) <= 1).all()
    relative = light[:6] / 203
    expected = np.where(
        relative < 0.0031308, 12.92 * relative, 1.055 * relative ** (1 / 2.4) - 0.055
    )
    assert abs(gray[:6, 0] - 255 * expected).max() <= 2
    assert gray[-1, 0] == 255
    assert (np.diff(gray[:, 0]) > 0).all()


def test_bright_colors_keep_their_hue():
    """Red, green and blue are compressed alike, and primaries are BT.2020's: BT.2087's matrix."""
    light = np.array([[110, 80, 70], [400, 400, 400]])
    signal = np.round(65535 * to_signal(light, 16)).astype(np.uint16)[None]
    ((red, gray),) = hdr.to_srgb(signal, 16, 1) / 255
    linear = ((red + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(linear / linear[0], light[0] / 110, rtol=0.02)
    ((same, gray),) = hdr.to_srgb(signal, 16, 9) / 255
    linear = ((same + 0.055) / 1.055) ** 2.4
    back = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]] @ linear
    np.testing.assert_allclose(back / back[0], light[0] / 110, rtol=0.02)
    assert np.ptp(gray) < 0.01


def test_interlaced_clips_are_deinterlaced_with_a_word(tmp_path):
    """Without the combs that two moments in the rows of one frame make of what moves."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        options = {"x264-params": "interlaced=1:tff=1", "bf": "0", "crf": "8"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for i in range(8):
            picture = np.full((64, 96, 3), 40, np.uint8)
            for field in (0, 1):
                x = 8 * i + 4 * field
                picture[field::2, x : x + 16] = 230
            container.mux(stream.encode(yuv(picture)))
        container.mux(stream.encode())
    clip = open_clip(tmp_path / "a.mp4")
    assert [note.partition(": ")[2] for note in clip.notes] == ["interlaced, and is deinterlaced"]
    frames = list(clip.frames())
    assert [frame.pts * clip.time_base for frame in frames] == [Fraction(i, 25) for i in range(8)]
    assert [frame.duration * clip.time_base for frame in frames] == [Fraction(1, 25)] * 8
    for frame in frames:
        rows = frame.pixels[8:-8, :, 1].astype(int)
        assert abs(np.diff(rows, axis=0)).mean() < 4  # 16 in the frames as they are stored
        assert rows.max() > 200


@pytest.mark.parametrize("size", [50, 51])
def test_sizes_that_are_ours_to_choose_are_even(tmp_path, size):
    (tmp_path / "frames").mkdir()
    pixels = patches(64, 86)
    Image.fromarray(pixels).save(tmp_path / "frames/1.png")
    Image.fromarray(pixels).save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (86, 64))]
    )
    make_clip(tmp_path / "a.mp4", [pixels] * 2)
    for name in ("frames", "a.gif", "a.mp4"):
        clip = open_clip(tmp_path / name, size=size)
        assert clip.size == (50, 66 if size == 50 else 68)
        assert {frame.pixels.shape for frame in clip.frames()} == {(*clip.size, 3)}
        with writing(tmp_path / "b.mp4", clip) as write:
            write(next(clip.frames()))
        with av.open(str(tmp_path / "b.mp4")) as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(3, 4)])
def test_pixels_that_are_not_square_become_so_where_no_others_exist(tmp_path, aspect):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        container.mux([*stream.encode(yuv(patches())), *stream.encode()])
    expected = (HEIGHT, 140) if aspect > 1 else (85, WIDTH)
    for name, suffix in (("b", ".png"), ("b.gif", "")):
        copy(source, tmp_path / name, frame_suffix=suffix)
        assert open_clip(tmp_path / name).size == expected
    frame = next(open_clip(tmp_path / "b").frames())
    assert abs(middles(frame.pixels) - middles(patches())).max() <= 3
    copy(source, tmp_path / "b.mp4")
    assert open_clip(tmp_path / "b.mp4").pixel_aspect == aspect


@given(st.integers(17, 60), st.integers(17, 60), st.sampled_from([".mp4", ".webm", ".gif"]))
@settings(max_examples=25, deadline=None)
def test_any_size_is_kept(tmp_path_factory, height, width, suffix):
    path = tmp_path_factory.mktemp("sizes") / f"a{suffix}"
    pixels = np.full((height, width, 3), (200, 80, 40), np.uint8)
    color = Color.of_pictures(height, width)
    frames = [Frame(pixels, i, 1) for i in range(2)]
    clip = Clip(Path(), (height, width), 2, Fraction(1, 10), Fraction(10), color, lambda: frames)
    notes = []
    with writing(path, clip, note=notes.append) as write:
        for frame in frames:
            write(frame)
    odd = suffix == ".mp4" and (height % 2 or width % 2)
    assert [note.partition(": ")[2] for note in notes] == (
        [f"{width} x {height} is odd: H.264 4:4:4, unknown to some players"] if odd else []
    )
    again = open_clip(path)
    assert again.size == (height, width)
    for frame in again.frames():
        assert abs(frame.pixels.astype(int) - pixels).max() <= 8


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_variable_times_are_kept_to_the_last_frame(tmp_path, suffix):
    times = [0, 100, 150, 400, 410, 1000, 1700]
    source = make_clip(tmp_path / "a.mkv", pan(6), times=times)
    copy(source, tmp_path / f"b{suffix}")
    written = seconds(tmp_path / f"b{suffix}")
    assert [start for start, _ in written] == pytest.approx([t / 1000 for t in times[:-1]])
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        assert container.duration / av.time_base == pytest.approx(1.7, abs=0.02)


@pytest.mark.parametrize(
    ("rotation", "turned"),
    [
        ({"degrees": 90}, lambda x: np.rot90(x)),
        ({"degrees": 180}, lambda x: np.rot90(x, 2)),
        ({"degrees": -90}, lambda x: np.rot90(x, -1)),
        ({"degrees": 0, "hflip": True}, np.fliplr),
        ({"degrees": 0, "vflip": True}, np.flipud),
    ],
)
def test_rotated_clips_come_out_upright(tmp_path, rotation, turned):
    source = make_clip(tmp_path / "a.mp4", [patches()] * 2, rotation=rotation)
    expected = turned(patches())
    clip = open_clip(source)
    assert clip.size == expected.shape[:2]
    copy(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0
    for path in (source, tmp_path / "b.mp4"):
        frame = next(open_clip(path).frames())
        assert np.median(abs(frame.pixels.astype(int) - expected)) <= 3


def sound_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [p for p in container.demux(stream) if p.size]
        return stream.codec_context.name, packets


def test_sound_is_copied_or_encoded_anew_with_a_word(tmp_path):
    source = make_clip(tmp_path / "a.mp4", pan(), sound="aac")
    name, packets = sound_of(source)
    for suffix in (".mp4", ".mkv"):
        assert copy(source, tmp_path / f"b{suffix}") == []
        copied_name, copied = sound_of(tmp_path / f"b{suffix}")
        assert copied_name == name
        assert [bytes(p) for p in copied] == [bytes(p) for p in packets]
        starts = [[float(p.pts * p.time_base) for p in ps] for ps in (copied, packets)]
        np.testing.assert_allclose(*starts, atol=0.03)
    target = tmp_path / "b.webm"
    assert copy(source, target) == [f"{target}: sound encoded anew, aac as opus"]
    with av.open(str(target)) as container:
        decoded = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(decoded) / 48000 == pytest.approx(0.6, abs=0.05)
    assert np.sqrt(np.mean(np.square(decoded))) == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
    target = tmp_path / "b.gif"
    assert copy(source, target) == [
        f"{target}: without the sound of {source}, there is no place for it"
    ]


@pytest.mark.parametrize(
    ("layout", "rate", "used"),
    [("5.1(side)", 48000, "5.1"), ("hexagonal", 48000, "stereo"), ("stereo", 44100, "stereo")],
)
def test_sound_that_an_encoder_refuses_is_mixed_down_with_a_word(tmp_path, layout, rate, used):
    source, target = tmp_path / "a.mkv", tmp_path / "b.webm"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        track = container.add_stream("flac", rate=rate)
        track.layout = layout
        wave = np.sin(np.arange(rate // 2) / 20) * 8000
        wave = np.repeat(wave.astype(np.int16), track.layout.nb_channels)[None]
        wave = av.AudioFrame.from_ndarray(wave, "s16", layout)
        wave.sample_rate = rate
        resampler = av.AudioResampler("s16", track.layout, rate, frame_size=4608)
        for piece in [*resampler.resample(wave), *resampler.resample(None)]:
            container.mux(track.encode(piece))
        container.mux([packet for packet in track.encode() if packet.size])
        container.mux([*stream.encode(yuv(patches())), *stream.encode()])
    mixed = f", mixed from {layout} to {used}" if used != layout else ""
    assert copy(source, target) == [f"{target}: sound encoded anew, flac as opus{mixed}"]
    with av.open(str(target)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].layout.name == used
    assert sum(frame.samples for frame in frames) / 48000 == pytest.approx(0.5, abs=0.05)


def test_what_the_output_refuses_is_not_blamed_on_the_source(tmp_path):
    clip = open_clip(make_clip(tmp_path / "a.mp4", pan(), sound="aac"))

    def run_out_of_room():
        with writing(tmp_path / "b.mp4", clip) as write:
            write(next(clip.frames()))
            raise av.error.OSError(28, "No space left on device")

    with pytest.raises(VideoError, match=r"b\.mp4: cannot be written \(No space left on device\)"):
        run_out_of_room()
    assert names(tmp_path) == ["a.mp4"]


def joined(path, parts, *, sound, renumbered):
    """The bytes of several transport streams, one behind the other, as some recorders leave them."""
    data = bytearray()
    for part in range(parts):
        data += make_clip(path.with_stem(f"part{part}"), pan(10), sound=sound).read_bytes()
    counters = {}
    for at in range(0, len(data), 188) if renumbered else ():  # packets, each with its counter
        channel = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        counters[channel] = (counters.get(channel, -1) + bool(data[at + 3] & 0x10)) % 16
        data[at + 3] = data[at + 3] & 0xF0 | counters[channel]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sound", [None, "mp2"])
@pytest.mark.parametrize("renumbered", [False, True])
def test_joined_transport_streams_go_on_over_the_joint(tmp_path, sound, renumbered):
    source = joined(tmp_path / "a.ts", 3, sound=sound, renumbered=renumbered)
    target = tmp_path / "b.mp4"
    copy(source, target)
    starts = np.array([start for start, _ in seconds(target)])
    assert len(starts) == 30
    assert (abs(np.diff(starts) - 0.1) < 0.06).all()  # sound may be a little longer than pictures
    damaged = [note for note in open_clip(source).notes if "damaged packets: " in note]
    assert len(damaged) == (0 if renumbered else 1)
    if sound:
        times = np.array([float(p.pts * p.time_base) for p in sound_of(target)[1]])
        assert (np.diff(times) > 0).all()
        # Each part's sound begins where its pictures do.
        for number in (10, 20):
            assert abs(times - starts[number]).min() < 0.05
        assert times[-1] == pytest.approx(starts[-1] + 0.1, abs=0.1)


def test_one_damaged_time_is_no_joint():
    joints = Joints()
    for stream in (0, 1):
        for i in range(10):
            time = Fraction(i, 10) + 5000 * (stream == i == 1)
            joints.add(stream, time, time, Fraction(1, 10))
    assert joints.offsets() == [0]


def test_sound_whose_times_go_back_a_little_is_kept(tmp_path):
    """As where a broadcast was disturbed: the packets are in order, their times are not."""
    source = make_clip(tmp_path / "a.ts", pan(), sound="mp2")
    data = bytearray(source.read_bytes())
    marks = [i for i in range(len(data)) if data[i : i + 4] == b"\0\0\1\xc0"]
    later = marks[len(marks) // 2]
    data[later + 12] ^= 0x20  # 46 ms, in the time in a header
    source.write_bytes(data)
    stored = [packet.dts for packet in sound_of(source)[1]]
    assert sorted(stored) != stored
    for suffix in (".mp4", ".mkv"):
        copy(source, tmp_path / f"b{suffix}")
        copied = sound_of(tmp_path / f"b{suffix}")[1]
        assert [bytes(p) for p in copied] == [bytes(p) for p in sound_of(source)[1]]


def test_clocks_that_begin_anywhere_begin_at_zero(tmp_path):
    """As a broadcast's do: sound and frames move together."""
    options = {"output_ts_offset": "1000"}
    source = make_clip(tmp_path / "a.ts", pan(), sound="mp2", options=options)
    assert seconds(source)[0][0] >= 1000
    for suffix in (".mp4", ".webm"):
        target = tmp_path / f"b{suffix}"
        copy(source, target)
        starts = []
        for path in (source, target):
            with av.open(str(path)) as container:
                firsts = [next(container.decode(video=0))]
            with av.open(str(path)) as container:
                firsts.append(next(container.decode(audio=0)))
            starts.append([float(frame.time) for frame in firsts])
        assert min(starts[1]) == pytest.approx(0, abs=0.03)
        np.testing.assert_allclose(np.diff(starts[1]), np.diff(starts[0]), atol=0.03)


# GIFs and folders


def write_gif(path, durations=(100, 50, 300), loop=None, transparent=False):
    images = []
    for i in range(len(durations)):
        pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        pixels[..., :3], pixels[..., 3] = (40 * i, 90, 200), 255
        if transparent:
            pixels[: HEIGHT // 2, :, 3] = 0
        images.append(Image.fromarray(pixels))
    more = {} if loop is None else {"loop": loop}
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=list(durations), disposal=2, **more
    )
    return path


@pytest.mark.parametrize("loop", [None, 0, 3])
def test_gif_timing_and_loop_are_kept(tmp_path, loop):
    copy(write_gif(tmp_path / "a.gif", loop=loop), tmp_path / "b.gif")
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info.get("loop") == loop
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [100, 50, 300]


def test_transparent_gifs_are_laid_on_white_and_hasty_ones_slowed_down_as_in_browsers(tmp_path):
    clip = open_clip(write_gif(tmp_path / "a.gif", (0, 10, 20), transparent=True))
    frames = list(clip.frames())
    assert [frame.duration for frame in frames] == [100, 100, 20]
    for i, frame in enumerate(frames):
        assert (frame.pixels[: HEIGHT // 2] == 255).all()
        assert abs(frame.pixels[-1, -1].astype(int) - (40 * i, 90, 200)).max() <= 8


def test_folders_are_read_in_natural_order_and_written_numbered(folder, run, stylizer):
    Path("frames").mkdir()
    pictures = pan(11)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(f"frames/f{i}.png")
    clip = open_clip("frames", fps=29.97)
    assert (clip.count, clip.rate) == (11, Fraction(2997, 100))
    for frame, picture in zip(clip.frames(), pictures, strict=True):
        np.testing.assert_array_equal(frame.pixels, picture)
    assert run("--content", "frames", *WAVES, "--output", "out.mp4", "--fps", "20")[0] == 0
    assert seconds("out.mp4") == [(pytest.approx(i / 20), pytest.approx(0.05)) for i in range(11)]
    both = ("--content", "frames", *WAVES, "--output", "out", "--fps", "20")
    assert run(*both)[0] == 0
    written = sorted(Path("out/frames_stylized_waves").iterdir())
    assert [path.name for path in written] == [f"{i:06}.png" for i in range(1, 12)]
    style = stylizer.encode_style(read_picture(STYLES / "waves.jpg", size=64))
    for path, picture in zip(written, pictures, strict=True):
        expected = stylizer(picture / np.float32(255), style)
        np.testing.assert_allclose(read_picture(path), expected, atol=0.51 / 255)
    assert run(*both)[0] == 1
    assert run(*both, "--overwrite")[0] == 0
    Path("out/frames_stylized_waves/mine.txt").touch()
    assert "holds other files" in run(*both, "--overwrite")[2]
    assert Path("out/frames_stylized_waves/mine.txt").exists()


def test_only_folders_of_frames_are_replaced_and_frames_are_whole_throughout(folder, monkeypatch):
    """A photograph named after its day is no frame of ours, though its name is a number too."""
    make_clip("a.mp4", pan(2))
    for stranger in ("20240101.jpg", "000002.png", "000001.png/x.png"):
        Path("out", stranger).parent.mkdir(parents=True)
        Path("out", stranger).touch()
        with pytest.raises(VideoError, match="holds other files than frames"):
            copy("a.mp4", "out", frame_suffix=".png")
        assert Path("out", stranger).exists()
        shutil.rmtree("out")
    Path("out").touch()
    with pytest.raises(VideoError, match="is a file"):
        copy("a.mp4", "out", frame_suffix=".png")
    Path("out").unlink()
    copy("a.mp4", "out", frame_suffix=".png")
    before = Path("out/000001.png").read_bytes()
    with monkeypatch.context() as patch:  # the last step fails
        rename = Path.rename

        def fail(path, target):
            if target == Path("out") and not path.name.endswith(".old"):
                raise OSError(28, "No space left on device")
            return rename(path, target)

        patch.setattr(Path, "rename", fail)
        with pytest.raises(VideoError, match=r"out: cannot be written \(No space left"):
            copy("a.mp4", "out", frame_suffix=".jpg")
    assert names("out") == ["000001.png", "000002.png"]
    assert Path("out/000001.png").read_bytes() == before
    copy("a.mp4", "out", frame_suffix=".jpg")
    assert names("out") == ["000001.jpg", "000002.jpg"]
    assert names() == ["a.mp4", "out"]


def test_a_frame_that_cannot_be_written_is_named_by_its_final_place(folder, monkeypatch):
    def fill(*_, **__):
        raise OSError(28, "No space left on device")

    make_clip("a.mp4", pan(2))
    monkeypatch.setattr(Image.Image, "save", fill)
    with pytest.raises(PictureError, match=r"^out/000001.png: cannot be written \(No space left"):
        copy("a.mp4", "out", frame_suffix=".png")
    assert names() == ["a.mp4"]


@pytest.mark.parametrize("name", ["out", "b.mp4", "b.gif", "b.avi"])
def test_nothing_is_written_without_frames_or_in_unknown_formats(folder, name):
    clip = open_clip(make_clip("a.mp4", pan(2)))
    with (
        pytest.raises(VideoError, match="clips are written as" if name == "b.avi" else "cannot be"),
        writing(Path(name), clip, frame_suffix=".png" if name == "out" else ""),
    ):
        pass
    assert names() == ["a.mp4"]


def test_several_pages_or_views_are_no_clip(tmp_path):
    pages = [Image.fromarray(patches()), Image.new("RGB", (WIDTH, HEIGHT))]
    for name in ("a.tif", "a.mpo"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(VideoError, match="a still picture, not a clip"):
            open_clip(tmp_path / name)


# The command


def test_several_styles_give_one_clip_each(folder, run):
    make_clip("a.mp4", pan(), sound="aac")
    styles = ("--style", STYLES / "waves.jpg", STYLES / "mosaic.jpg")
    code, out, err = run("--content", "a.mp4", *styles, "--output", "out", "--report", "r.json")
    assert (code, err) == (0, "")
    assert out.startswith("out: 2 results in")
    assert "frames/s" in out
    assert names("out") == ["a_stylized_mosaic.mp4", "a_stylized_waves.mp4"]
    for name in names("out"):
        assert seconds(f"out/{name}") == seconds("a.mp4")
        assert sound_of(f"out/{name}")[0] == "aac"
        assert open_clip(f"out/{name}").size == (HEIGHT, WIDTH)
    resized = ("--content-size", "32", "--stabilize", "--preserve-color", "luminance")
    assert run("--content", "a.mp4", *WAVES, *resized, "--output", "small.gif")[0] == 0
    assert open_clip("small.gif").size == (32, 48)


def test_a_gif_is_a_clip_where_the_result_is_one(folder, run):
    write_gif(folder / "a.gif", loop=0)
    for arguments in (("--output", "b.gif"), ("--output", "out", "--format", "gif")):
        assert run("--content", "a.gif", *WAVES, *arguments)[0] == 0
    assert open_clip("b.gif").count == open_clip("out/a_stylized_waves.gif").count == 3
    assert run("--content", "a.gif", *WAVES, "--output", "out")[0] == 0
    with Image.open("out/a_stylized_waves.png") as image:
        assert image.size == (768, 512)


def test_styles_fade_into_each_other(folder, run, stylizer):
    make_clip("a.mp4", [pan(1)[0]] * 5)
    paintings = [STYLES / "waves.jpg", STYLES / "mosaic.jpg"]
    arguments = ("--content", "a.mp4", "--style", *paintings, "--style-schedule", "0.1", "0.3")
    assert run(*arguments, "--format", "png", "--output", "out")[0] == 0
    styles = [stylizer.encode_style(read_picture(name, size=64)) for name in paintings]
    for number, frame in enumerate(open_clip("a.mp4").frames()):
        share = (0, 0, 0.5, 1, 1)[number]
        expected = stylizer(frame.pixels / np.float32(255), mix(styles, [1 - share, share]))
        written = read_picture(f"out/a_stylized_fade_waves_mosaic/{number + 1:06}.png")
        np.testing.assert_allclose(written, expected, atol=0.6 / 255)


def test_bad_usage_is_told(folder, run):
    make_clip("a.mp4", pan(2))
    content = ("--content", "a.mp4", *WAVES)
    for arguments, message in [
        (("--output", "b.avi"), "clips are written as"),
        (("--output", "b.jpg"), "clips are written as"),
        (("--output", "b.mp4", "--fps", "5"), "--fps is for a folder"),
        (("--output", "b.mp4", "--style-schedule", "0", "1"), "--style-schedule: 2 given for 1"),
        (("--output", "b.mp4", "--crop"), "--crop is for pictures"),
        (("--output", "b.mp4", "--preserve-color", "coral"), "coral is for pictures"),
    ]:
        code, _, err = run(*content, *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
    assert names() == ["a.mp4"]


def test_without_pyav_the_extra_is_named(folder, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = run("--content", "a.mp4", *WAVES, "--output", "b.mp4")
    assert (code, err) == (2, "error: videos need PyAV: pip install 'adain-jax[video]'\n")


# Bad input


def bad_clips():
    """Writes bad files into the working folder and says what is wrong with each."""
    make_clip("whole.mkv", pan(5) * 4)
    make_clip("front.mp4", pan(5) * 4, options={"movflags": "faststart"})
    for name in ("whole.mkv", "front.mp4"):
        data = Path(name).read_bytes()
        Path(f"cut_{name}").write_bytes(data[: len(data) * 2 // 3])
    make_clip("back.mp4", pan(4))  # its index is at the end
    Path("back.mp4").write_bytes(Path("back.mp4").read_bytes()[:2000])
    Path("text.mp4").write_text("no video at all")
    Path("empty.mp4").touch()
    Path("list.mp4").write_text("ffconcat version 1.0\nfile whole.mkv\n")
    Path("list2.mp4").write_text("#EXTM3U\n#EXTINF:5,\nhttp://localhost/a.ts\n#EXT-X-ENDLIST\n")
    with av.open("sound.mp4", "w") as container:
        track = container.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        silence.rate = 48000
        container.mux(track.encode(silence))
        container.mux(track.encode())
    Image.fromarray(patches()).save("still.png")
    Path("nothing").mkdir()
    Path("mixed").mkdir()
    for name, side in (("a", 64), ("b", 66)):
        Image.fromarray(patches(side, 64)).save(f"mixed/{name}.png")
    write_gif("cut.gif")
    Path("cut.gif").write_bytes(Path("cut.gif").read_bytes()[:-60])
    return {
        "cut_whole.mkv": "cut off",
        "cut_front.mp4": "cut off",
        "back.mp4": "not a video that can be read",
        "text.mp4": "not a video that can be read",
        "empty.mp4": "not a video that can be read",
        "list.mp4": "not a video that can be read",
        "list2.mp4": "not a video that can be read",
        "sound.mp4": "no video in this file",
        "still.png": "a still picture",
        "nothing": "no picture in this folder",
        "mixed": "not 64 x 64 pixels",
        "cut.gif": "damaged picture",
        "missing.mp4": "No such file",
    }


def test_bad_clips_fail_with_one_line_and_the_rest_is_done(folder, run):
    bad = bad_clips()
    contents = [*bad, "whole.mkv"]
    code, out, err = run("--content", *contents, *WAVES, "--output", "out", "--format", "mp4")
    assert code == 1
    assert out.startswith("out/whole_stylized_waves.mp4: 1 result in ")
    assert f"{len(bad)} results failed, {len(bad)} inputs cannot be used" in out
    lines = err.splitlines()
    assert len(lines) == len(bad)
    for name, reason in bad.items():
        (line,) = [line for line in lines if str(Path(name)) in line.split(": ")[1]]
        assert reason in line
    assert names("out") == ["whole_stylized_waves.mp4"]


def test_size_limits_and_places_that_cannot_be_written(folder, run):
    make_clip("a.mp4", pan(2))
    with pytest.raises(Exception, match="more than the limit of 5000"):
        open_clip("a.mp4", max_pixels=5000)
    Path("file").touch()
    code, _, err = run("--content", "a.mp4", *WAVES, "--output", "file/b.mp4")
    assert (code, err.count("\n")) == (1, 1)
    Path("taken.mp4").mkdir()
    Path("taken.mp4/x").touch()
    with pytest.raises(VideoError, match="cannot be written"):
        copy("a.mp4", "taken.mp4")
    assert names() == ["a.mp4", "file", "taken.mp4"]


@pytest.mark.parametrize("name", ["b.mp4", "b.gif", "b"])
def test_what_breaks_off_leaves_nothing(folder, stylizer, name):
    def frames():
        for i, pixels in enumerate(pan(6)):
            if i == 4:
                raise VideoError("a.mp4: broken")
            yield Frame(pixels, i, 1)

    color = Color.of_pictures(HEIGHT, WIDTH)
    clip = Clip(Path("a"), (HEIGHT, WIDTH), 6, Fraction(1, 10), Fraction(10), color, frames)
    style = stylizer.encode_style(patches() / np.float32(255))
    suffix = "" if "." in name else ".png"
    with (
        pytest.raises(VideoError, match="broken"),
        writing(Path(name), clip, frame_suffix=suffix) as write,
    ):
        stylize_clip(clip, write, stylizer, lambda second: style)
    assert names() == []


def test_few_frames_are_in_memory_at_a_time(stylizer):
    read, written, most = 0, 0, 0
    batched = Stylizer.load(batch_size=2, devices=jax.local_devices()[:1])

    def frames():
        nonlocal read
        for i in range(30):
            read += 1
            yield Frame(patches(), i, 1)

    def write(frame):
        nonlocal written, most
        most = max(most, read - written)
        assert frame.pts == written
        written += 1

    color = Color.of_pictures(HEIGHT, WIDTH)
    clip = Clip(Path("a"), (HEIGHT, WIDTH), 30, Fraction(1, 10), Fraction(10), color, frames)
    style = batched.encode_style(patches() / np.float32(255))
    stylize_clip(clip, write, batched, lambda second: style)
    assert written == 30
    assert most <= 2 * (2 + 1 + 2 + 1)  # batches ahead, computed, waiting and being written


def test_sigterm_leaves_nothing(folder):
    make_clip("a.mp4", pan(10) * 100)
    command = [sys.executable, ROOT / "infer.py", "--content", "a.mp4", *WAVES]
    process = subprocess.Popen([*command, "--output", "out/b.mp4"], env={**os.environ})
    try:
        wait_until(lambda: any(Path().glob("out/.b*.mp4")), process, 60)  # being written
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert names("out") == []


# Stabilising


def flicker(frames, step):
    """Mean difference of consecutive frames, once the known motion is undone."""
    (dy, dx), (h, w) = step, frames[0].shape[:2]
    inner = [(a[dy:, dx:], b[: h - dy, : w - dx]) for a, b in pairwise(frames)]
    return np.mean([abs(a - b).mean() for a, b in inner])


@pytest.mark.parametrize(("step", "noise"), [((2, 5), 0.0), ((0, 0), 0.01)])
def test_stabilised_clips_flicker_less(stylizer, step, noise):
    contents = np.stack(pan(8, step, noise))
    style = stylizer.encode_style(read_picture(STYLES / "waves.jpg", size=64))
    stabilizer = Stabilizer(stylizer)
    times = [i / 25 for i in range(8)]
    # In two batches, as a clip comes.
    steady = [
        frame
        for part in (slice(0, 5), slice(5, 8))
        for frame in stabilizer(contents[part], style, seconds=times[part])
    ]
    steady, plain = (np.stack(frames).astype(int) for frames in (steady, stylizer(contents, style)))
    assert flicker(steady, step) < flicker(plain, step) / 3
    # It is still the same picture in the same style, and as contrasty.
    assert np.std(steady[-1]) > 0.8 * np.std(plain[-1])


def test_strokes_move_with_a_zoom(stylizer):
    path = ROOT / "examples/content/astronaut.jpg"
    photo = Image.open(path).crop((0, 0, 400, 400)).resize((192, 192), Image.Resampling.LANCZOS)
    side, sides = 128, [192 / 1.012**i for i in range(12)]
    boxes = [((192 - x) / 2, (192 - x) / 2, (192 + x) / 2, (192 + x) / 2) for x in sides]
    frames = [photo.resize((side, side), Image.Resampling.BICUBIC, box) for box in boxes]
    contents = np.stack([np.asarray(frame) for frame in frames])
    style = stylizer.encode_style(read_picture(STYLES / "waves.jpg", size=64))
    steady = Stabilizer(stylizer)(contents, style, seconds=[i / 25 for i in range(len(frames))])
    plain = list(stylizer(contents, style))

    def zoom_flicker(frames):
        """Differences once the zoom, by 1.2 % a frame, is undone."""
        inner = side * (1 - 1 / 1.012) / 2
        box = (inner, inner, side - inner, side - inner)
        moved = [
            Image.fromarray(a).resize((side, side), Image.Resampling.BICUBIC, box) for a in frames
        ]
        pairs = zip(moved, frames[1:], strict=False)
        return np.mean([abs(np.asarray(a).astype(int) - b).mean() for a, b in pairs])

    assert zoom_flicker(steady) < min(6, zoom_flicker(plain) / 3)
    sharpness = [
        np.abs(np.diff(np.stack(x)[6:].astype(int), axis=2)).mean() for x in (steady, plain)
    ]
    assert sharpness[0] > 0.9 * sharpness[1]


def test_without_opencv_the_option_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SystemExit, match="2"):
        infer.main(["-c", "a.mp4", "-s", "b.jpg", "-o", str(tmp_path / "c.mp4"), "--stabilize"])
    assert "--stabilize needs OpenCV: pip install 'adain-jax[video]'" in capsys.readouterr().err


def test_nothing_is_carried_over_a_cut(stylizer):
    before, after = np.stack(pan(2)), np.stack(pan(1, name="rocket"))
    style = stylizer.encode_style(read_picture(STYLES / "waves.jpg", size=64))
    times = [0, 0.04, 0.08]
    cut = Stabilizer(stylizer)(np.concatenate([before, after]), style, seconds=times)[-1]
    alone = Stabilizer(stylizer)(after, style, seconds=[0])[0]
    np.testing.assert_allclose(cut.astype(int), alone, atol=1)


def test_contents_can_be_normalised_with_given_statistics(stylizer):
    content, other = (picture / np.float32(255) for picture in (pan(1)[0], patches()))
    style = stylizer.encode_style(read_picture(STYLES / "waves.jpg", size=64))
    own = stylizer.encode_style(content)
    plain = stylizer(content, style)
    np.testing.assert_allclose(stylizer(content, style, content_style=own), plain, atol=1e-4)
    foreign = stylizer.encode_style(other)
    pair = Style.stack([own, foreign])
    results = stylizer(np.stack([content, content]), style, content_style=pair)
    np.testing.assert_allclose(results[0], plain, atol=1e-4)
    assert abs(results[1] - plain).mean() > 0.01
