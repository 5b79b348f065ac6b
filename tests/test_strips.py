"""Large pictures by strips: what Pillow would give and write, in little memory."""

import io
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from adain_jax.cli import infer
from adain_jax.color import keep_chroma_of_bytes
from adain_jax.images import (
    PictureError,
    load_image,
    picture_size,
    read_pixels,
    save_picture,
    streaming,
)

pyvips = pytest.importorskip("pyvips", reason="the extra large is not installed")

rng = np.random.default_rng(0)
H, W = 600, 70  # more rows than two strips
RGB = np.cumsum(rng.integers(-3, 4, (H, W, 3)), 0).astype(np.uint8)
GRAY = RGB[..., 0].copy()


@pytest.fixture(autouse=True)
def large(monkeypatch):
    monkeypatch.setattr(streaming, "MIN_PIXELS", 0)


def by_pillow(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def assert_by_strips(path):
    pixels = read_pixels(path)
    assert isinstance(pixels, np.memmap)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, by_pillow(path))


def by_vips(pixels):
    vips = pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels), W, H, pixels.size // H // W, "uchar"
    )
    return vips.copy(interpretation="srgb" if pixels.ndim == 3 else "b-w")


@pytest.mark.filterwarnings("ignore:.*only the first of its 2 pages")
@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff(tmp_path, compression, pixels):
    path, image = tmp_path / "a.tif", Image.fromarray(pixels)
    for rows in (7, H):
        options = {"tiffinfo": {278: rows}, "compression": compression, "save_all": True}
        image.save(path, append_images=[image.rotate(180)], **options)  # the first page counts
        assert_by_strips(path)
        np.testing.assert_array_equal(by_pillow(path)[..., 0], pixels.reshape(H, W, -1)[..., 0])


@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits"])
def test_tiff_of_tiles(tmp_path, compression, pixels):
    for options in ({"bigtiff": True}, {"predictor": "horizontal"}, {"pyramid": True}):
        by_vips(pixels).tiffsave(
            str(tmp_path / "a.tif"),
            **{"tile": True, "tile_width": 32, "tile_height": 48, "compression": compression},
            **options,
        )
        assert_by_strips(tmp_path / "a.tif")


def png(pixels, interlaced=False, late=()):
    """A PNG file of 8 bits, its rows unfiltered, with chunks behind them."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, right in (passes if interlaced else [(0, 0, 1, 1)])
        for row in pixels[top::down, left::right]
    ]
    kind = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(rows))
    chunks = [(b"IHDR", header), (b"IDAT", data[:1000]), (b"IDAT", data[1000:]), *late]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )


@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png(tmp_path, pixels, interlaced):
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels, interlaced))
    np.testing.assert_array_equal(by_pillow(path)[..., 0], pixels.reshape(H, W, -1)[..., 0])
    assert_by_strips(path)


def test_a_file_with_gamma_and_text_and_filters_is_plain(tmp_path):
    path = tmp_path / "a.png"
    information = PngImagePlugin.PngInfo()
    information.add(b"gAMA", struct.pack(">I", 100000))
    information.add_text("Comment", "by the sea")
    Image.fromarray(RGB).save(path, pnginfo=information, dpi=(300, 300))
    assert_by_strips(path)


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    path, frames = tmp_path / "a.png", [Image.fromarray(x) for x in (RGB, RGB[::-1])]
    for default in (False, True):
        frames[0].save(path, save_all=True, append_images=frames[1:], default_image=default)
        assert_by_strips(path)


@pytest.mark.parametrize("name", ["a[page=1].tif", "ä ö.png", "b\udcff.png", "@x,y=z.tiff"])
def test_names_are_only_names(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as file:
        Image.fromarray(RGB).save(file, "PNG" if path.suffix == ".png" else "TIFF")
    assert_by_strips(path)
    save_picture(read_pixels(path), tmp_path / f"out {name}")
    assert_by_strips(tmp_path / f"out {name}")


def test_a_file_that_changed_is_read_anew(tmp_path):
    path = tmp_path / "a.tif"
    for pixels in (RGB, RGB[::-1], RGB[:, ::-1]):
        Image.fromarray(pixels).save(path, compression="tiff_lzw")
        np.testing.assert_array_equal(read_pixels(path), pixels)


def others():
    """Files that are not plain: name, image or bytes, options of Pillow's."""
    image = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 3
    late = png(RGB, late=[(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))])
    yield "palette.png", image.quantize(16), {}
    yield "alpha.png", image.convert("RGBA"), {}
    yield "alpha.tif", image.convert("RGBA"), {}
    yield "transparency.png", image, {"transparency": (0, 0, 0)}
    yield "profile.png", image, {"icc_profile": b"of some kind"}
    yield "profile.tif", image, {"icc_profile": b"of some kind"}
    yield "turned.png", image, {"exif": exif}
    yield "turned.tif", image, {"tiffinfo": {0x0112: 3}}
    yield "late.png", late, {}
    yield "bilevel.tif", image.convert("1"), {}
    yield "16bit.tif", Image.fromarray(GRAY.astype(np.uint16) * 257), {}
    yield "4bit.png", image.convert("L").quantize(4), {"bits": 4}
    yield "cmyk.tif", image.convert("CMYK"), {}
    yield "jpeg.tif", image, {"compression": "jpeg"}
    yield "inverted.tif", image.convert("L"), {"tiffinfo": {262: 0}}
    yield "a.bmp", image, {}
    yield "a.webp", image, {}


@pytest.mark.parametrize(
    ("name", "image", "options"), [*others()], ids=[name for name, *_ in others()]
)
def test_everything_else_is_pillow_s(tmp_path, monkeypatch, name, image, options):
    path = tmp_path / name
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image.save(path, **options)
    pixels = read_pixels(path)
    assert not isinstance(pixels, np.memmap)
    monkeypatch.setattr(streaming, "MIN_PIXELS", 1 << 26)
    np.testing.assert_array_equal(pixels, read_pixels(path))
    if name in ("turned.png", "turned.tif", "late.png"):
        np.testing.assert_array_equal(pixels, RGB[::-1, ::-1])


def test_small_resized_and_cropped_pictures_are_pillow_s(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    assert isinstance(read_pixels(path, size=W), np.memmap)  # which is its size
    assert not isinstance(read_pixels(path, size=W - 1), np.memmap)
    assert not isinstance(read_pixels(path, crop=True), np.memmap)
    monkeypatch.setattr(streaming, "MIN_PIXELS", H * W)
    assert not isinstance(read_pixels(path), np.memmap)


def test_without_pyvips_all_is_pillow_s(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    pixels = read_pixels(tmp_path / "a.png")
    monkeypatch.setattr(streaming, "_vips", lambda: None)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), RGB)
    assert not isinstance(read_pixels(tmp_path / "a.png"), np.memmap)
    save_picture(pixels, tmp_path / "b.png")
    np.testing.assert_array_equal(by_pillow(tmp_path / "b.png"), RGB)


@contextmanager
def file_size(limit):
    """No file may grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Hostile and damaged files


def test_only_the_loaders_of_png_and_tiff_are_called(tmp_path, monkeypatch):
    used, call = [], pyvips.Operation.call
    monkeypatch.setattr(
        pyvips.Operation, "call", lambda name, *a, **k: used.append(name) or call(name, *a, **k)
    )
    for name in ("a.png", "a.tif"):
        Image.fromarray(RGB).save(tmp_path / name)
        read_pixels(tmp_path / name)
    assert used == ["pngload", "tiffload"]
    (tmp_path / "vips.png").write_bytes(b"\x08\xf2\xa6\xb6" + bytes(100))  # a format of libvips
    (tmp_path / "vips.tif").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    for name in ("vips.png", "vips.tif"):
        with pytest.raises(PictureError, match=f"{name}: not a picture"):
            read_pixels(tmp_path / name)
    assert len(used) == 2


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_damaged_files_are_named(tmp_path, suffix):
    path, options = tmp_path / f"a.{suffix}", {"tif": {"compression": "tiff_adobe_deflate"}}
    noise = Image.fromarray(rng.integers(0, 256, (H, W, 3), np.uint8))
    noise.save(path, **options.get(suffix, {}))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:50_000] + bytes(2000) + whole[52_000:]):
        path.write_bytes(damaged)
        with pytest.raises(PictureError, match=f"a.{suffix}: (damaged|not a) picture") as caught:
            read_pixels(path)
        assert "\n" not in str(caught.value)


@given(st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_what_pillow_gives_or_a_picture_error(tmp_path, data):
    suffix = data.draw(st.sampled_from(["png", "tif"]))
    buffer = io.BytesIO()
    compression = {"compression": "tiff_lzw"} if suffix == "tif" else {}
    Image.fromarray(RGB[:9]).save(buffer, {"tif": "TIFF", "png": "PNG"}[suffix], **compression)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        pixels = read_pixels(path, max_pixels=1 << 20)
    except PictureError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        np.testing.assert_array_equal(pixels, load_image(path))


def test_the_limit_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "read", None)
    for name in ("a.png", "a.tif"):
        Image.fromarray(RGB).save(tmp_path / name)
        for look in (read_pixels, picture_size):
            with pytest.raises(PictureError, match=f"{name}: {W} x {H} pixels are more than"):
                look(tmp_path / name, max_pixels=H * W - 1)


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    message = f"a.png: no room for 0 MB of pixels in {tmp_path} \\(.*\\); TMPDIR names another$"
    with file_size(RGB.nbytes - 1), pytest.raises(PictureError, match=message):
        read_pixels(tmp_path / "a.png")
    pixels = read_pixels(tmp_path / "a.png")
    with file_size(RGB.nbytes - 1), pytest.raises(streaming.NoRoomError, match=str(tmp_path)):
        streaming.empty_like(pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# Writing


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png", ".jpg", ".bmp"])
def test_a_mapped_picture_is_written_as_an_array_is(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / "a.tif")
    pixels = read_pixels(tmp_path / "a.tif")
    for name, picture in (("mapped", pixels), ("array", RGB)):
        save_picture(picture, (tmp_path / name).with_suffix(suffix))
    with (
        Image.open((tmp_path / "mapped").with_suffix(suffix)) as mapped,
        Image.open((tmp_path / "array").with_suffix(suffix)) as array,
    ):
        assert (mapped.format, mapped.mode) == (array.format, array.mode)
        assert mapped.info.get("compression") == array.info.get("compression")
        np.testing.assert_array_equal(np.asarray(mapped), np.asarray(array))
    sizes = [(tmp_path / name).with_suffix(suffix).stat().st_size for name in ("mapped", "array")]
    assert sizes[0] < 1.1 * sizes[1]
    assert len(list(tmp_path.iterdir())) == 3


def test_arrays_like_mapped_ones_are_mapped_too(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    pixels = read_pixels(tmp_path / "a.png")
    for like in (pixels, np.asarray(pixels), pixels[..., :3], pixels[10:20]):
        assert isinstance(streaming.empty_like(like), np.memmap)
        assert streaming.empty_like(like).shape == like.shape
    for other in (RGB, pixels + 1, pixels.astype(np.float32), np.empty_like(pixels)):
        assert not isinstance(streaming.empty_like(np.asarray(other)), np.memmap)
    kept = keep_chroma_of_bytes(pixels, np.asarray(pixels[::-1]))
    assert isinstance(kept, np.memmap)
    np.testing.assert_array_equal(kept, keep_chroma_of_bytes(RGB, RGB[::-1]))


def test_a_write_that_fails_is_named_and_leaves_nothing(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    pixels = read_pixels(tmp_path / "a.png")
    for name in ("missing/b.png", "missing/b.tif"):
        with pytest.raises(PictureError, match=f"{name}: cannot be written") as caught:
            save_picture(pixels, tmp_path / name)
        assert "\n" not in str(caught.value)
    for name in ("b.png", "b.tif"):
        with file_size(10_000), pytest.raises(PictureError, match=f"{name}: cannot be written"):
            save_picture(pixels, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# All of it


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs infer.py here: the files that it wrote below a folder, by name."""
    monkeypatch.chdir(tmp_path)
    colors = rng.integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(colors).resize((150, 220), Image.Resampling.BICUBIC).save("content.tif")
    Image.fromarray(colors[::-1]).resize((140, 160), Image.Resampling.BICUBIC).save("style.png")

    def command(folder, *options):
        arguments = ["--content", "content.tif", "--style", "style.png", "--output", folder]
        arguments += ["--content-size", "0", "--style-size", "0", "--tile", "128"]
        with pytest.raises(SystemExit) as exit_:
            infer.main([*arguments, "--no-compilation-cache", *options])
        assert exit_.value.code == 0
        return {path.name: np.asarray(load_image(path)) for path in Path(folder).iterdir()}

    return command


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("TIFF", ("--preserve-color", "luminance", "--grid")),
        ("PNG", ("--preserve-color", "coral", "--alpha", "0.5", "--format", "png")),
    ],
)
def test_results_are_those_without_strips(run, monkeypatch, format_, options):
    written, save = [], streaming.write
    monkeypatch.setattr(streaming, "write", lambda *a: written.append(a[2]) or save(*a))
    ours = run("strips", *options)
    assert written == [format_]
    monkeypatch.setattr(streaming, "MIN_PIXELS", 1 << 26)
    expected = run("whole", *options)
    assert written == [format_]
    assert list(ours) == list(expected)
    for name, picture in expected.items():
        np.testing.assert_array_equal(ours[name], picture)


READ = """
import sys, threading
from pathlib import Path
from adain_jax.images import streaming
from adain_jax.images import read_pixels, save_picture

def anonymous():  # MiB of memory that no file stands behind
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) // 1024

streaming.MIN_PIXELS = int(sys.argv[2])
before, peak, done = anonymous(), 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

watcher = threading.Thread(target=watch)
watcher.start()
picture = read_pixels(sys.argv[1])
save_picture(picture, Path(sys.argv[1]).with_name("copy.tif"))
done.set()
watcher.join()
print(max(peak, anonymous()) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells anonymous memory")
def test_memory_never_holds_the_picture(tmp_path):
    side = 6000
    ramp = pyvips.Image.xyz(side, side).cast("uchar", shift=False)
    colors = ramp.bandjoin(ramp[0]).copy(interpretation="srgb")
    colors.tiffsave(str(tmp_path / "a.tif"), compression="deflate")

    def peak(threshold):
        command = [sys.executable, "-c", READ, str(tmp_path / "a.tif"), str(threshold)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    whole = side * side * 3 >> 20  # MiB
    assert peak(threshold=0) < whole / 3
    assert peak(threshold=1 << 26) > whole
