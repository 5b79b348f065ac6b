"""Every kind of picture, good and bad, against pixels computed by hand."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, features

from adain_jax.files import atomic_path
from adain_jax.images import (
    PictureError,
    find_pictures,
    picture_size,
    read_mask,
    read_picture,
    save_picture,
)
from adain_jax.images.contact_sheet import contact_sheet

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (6, 9, 3), np.uint8)
GRAY = RGB[..., 0]
ALPHA = rng.integers(0, 256, (6, 9, 1), np.uint8)


def read_8_bit(path, **options):
    pixels = read_picture(path, **options) * 255
    assert pixels.dtype == np.float32
    return pixels.round().astype(int)


def save(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "tga"])
def test_rgb_is_read_exactly(tmp_path, suffix):
    path = save(Image.fromarray(RGB), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_8_bit(path), RGB)
    assert picture_size(path) == (6, 9)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "gif", "jp2", "avif"])
def test_other_formats_are_read_as_pillow_decodes_them(tmp_path, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = save(Image.fromarray(RGB).resize((32, 24)), tmp_path / f"a.{suffix}")
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_8_bit(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(RGB), tmp_path / "a.png", exif=exif)
    upright = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: RGB[::-1].transpose(1, 0, 2),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: RGB[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    np.testing.assert_array_equal(read_8_bit(path), upright)
    assert picture_size(path) == upright.shape[:2]


def gray(values):
    return np.repeat(values[..., None], 3, axis=-1)


def test_greyscale_and_bilevel(tmp_path):
    np.testing.assert_array_equal(
        read_8_bit(save(Image.fromarray(GRAY), tmp_path / "l.png")), gray(GRAY)
    )
    bilevel = Image.fromarray(GRAY > 127)
    np.testing.assert_array_equal(
        read_8_bit(save(bilevel, tmp_path / "1.png")), gray(255 * (GRAY > 127))
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_greyscale_is_scaled_not_cut(tmp_path, suffix):
    values = rng.integers(0, 65536, (6, 9), np.uint16)
    path = save(Image.fromarray(values), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_8_bit(path), gray(np.rint(values / 257)))


def test_16_bit_rgb(tmp_path):
    values = rng.integers(0, 65536, (2, 3, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        png += struct.pack(">I", len(data)) + kind + data
        png += struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(png)
    assert np.abs(read_8_bit(path) - values / 257).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(tmp_path, top):
    values = (rng.random((6, 9)) * top).astype(np.float32)
    values[0, 0] = top
    path = save(Image.fromarray(values), tmp_path / "a.tif")
    np.testing.assert_allclose(read_8_bit(path), gray(values * 255 / top), atol=0.51)


def over_white(rgb, alpha):
    return np.rint(rgb * (alpha / 255) + 255 * (1 - alpha / 255))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_transparency_is_laid_on_white(tmp_path, suffix):
    image = Image.fromarray(np.concatenate([RGB, ALPHA], -1))
    path = save(image, tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    visible = ALPHA[..., 0] > 0  # WebP drops the colors of clear pixels
    difference = np.abs(read_8_bit(path) - over_white(RGB, ALPHA))
    assert difference[visible].max() <= 1
    kept = read_8_bit(path, keep_alpha=True)
    np.testing.assert_array_equal(kept[..., 3], ALPHA[..., 0])
    np.testing.assert_array_equal(kept[..., :3][visible], RGB[visible])
    assert (kept[..., :3][~visible] == 255).all()


def test_grey_with_alpha_and_palette_with_transparency(tmp_path):
    image = Image.fromarray(np.concatenate([GRAY[..., None], ALPHA], -1))
    path = save(image, tmp_path / "la.png")
    assert np.abs(read_8_bit(path) - over_white(gray(GRAY), ALPHA)).max() <= 1
    palette = Image.fromarray(GRAY // 86).copy()
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colors = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])[GRAY // 86]
    np.testing.assert_array_equal(read_8_bit(save(palette, tmp_path / "p.png")), colors)
    path = save(palette, tmp_path / "t.png", transparency=1)
    expected = np.where((GRAY // 86 == 1)[..., None], 255, colors)
    np.testing.assert_array_equal(read_8_bit(path), expected)


def test_cmyk_without_profile(tmp_path):
    cmyk = rng.integers(0, 256, (6, 9, 4), np.uint8)
    path = save(Image.frombytes("CMYK", (9, 6), cmyk.tobytes()), tmp_path / "a.tif")
    expected = (255 - cmyk[..., :3].astype(int)) * (255 - cmyk[..., 3:].astype(int)) / 255
    assert np.abs(read_8_bit(path) - expected).max() <= 1
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert read_8_bit(save(white, tmp_path / "a.jpg")).min() >= 254


def test_animations_give_their_first_frame(tmp_path):
    frames = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    for suffix in ("gif", "png", "webp"):
        path = tmp_path / f"a.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_8_bit(path), np.broadcast_to([255, 0, 0], (4, 5, 3)))


def linear_profile() -> bytes:
    """sRGB's profile with its three tone curves replaced by straight lines."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", data[128:132])
    for i in range(count):
        entry = 132 + 12 * i
        tag, offset, _ = struct.unpack(">4sII", data[entry : entry + 12])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 12] = b"curv" + bytes(8)
            struct.pack_into(">I", data, entry + 8, 12)
    return bytes(data)


def test_a_color_profile_is_applied_and_a_broken_one_ignored(tmp_path):
    path = save(Image.fromarray(RGB), tmp_path / "a.png", icc_profile=linear_profile())
    linear = RGB / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(read_8_bit(path) - 255 * srgb).max() <= 2
    path = save(Image.fromarray(RGB), tmp_path / "b.png", icc_profile=b"no profile")
    np.testing.assert_array_equal(read_8_bit(path), RGB)


def test_lab(tmp_path):
    white = Image.new("LAB", (4, 4), (255, 128, 128))
    assert read_8_bit(save(white, tmp_path / "a.tif")).min() >= 253


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F"]),
    w=st.integers(1, 40),
    h=st.integers(1, 40),
    size=st.sampled_from([0, 1, 7, 64]),
    crop=st.booleans(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_size_is_known_before_and_kept(tmp_path, mode, w, h, size, crop):
    image = Image.new(mode, (w, h))
    path = save(image, tmp_path / "a.tif")
    picture = read_picture(path, size=size, crop=crop)
    assert picture.shape == (*picture_size(path, size=size, crop=crop), 3)
    shorter = size or min(w, h)
    assert min(picture.shape[:2]) == shorter
    if crop:
        assert picture.shape[:2] == (shorter, shorter)
    else:
        longer = max(w, h) * shorter / min(w, h)
        assert abs(max(picture.shape[:2]) - longer) <= 0.5
    assert picture.dtype == np.float32
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("size", [64, 100, 128, 300, 700])
def test_jpeg_draft_decoding_keeps_size_and_content(tmp_path, size):
    ramp = np.linspace(0, 255, 600).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (400, 600, 3))
    path = save(Image.fromarray(np.ascontiguousarray(pixels)), tmp_path / "a.jpg", quality=95)
    picture = read_8_bit(path, size=size)
    assert picture.shape == (size, round(600 * size / 400), 3)
    expected = np.linspace(0, 255, picture.shape[1])
    assert np.abs(picture[size // 2, :, 1] - expected).max() <= 4


def test_crop_is_central(tmp_path):
    path = save(Image.fromarray(RGB), tmp_path / "a.png")
    np.testing.assert_array_equal(read_8_bit(path, crop=True), RGB[:, 1:7])


def bad_files(folder: Path) -> dict[str, str]:
    """Names of bad files and what should be said of them."""
    good = io.BytesIO()
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    noise.save(good, "JPEG")
    (folder / "truncated.jpg").write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
    noise.save(folder / "whole.png")
    (folder / "truncated.png").write_bytes((folder / "whole.png").read_bytes()[:5000])
    (folder / "whole.png").unlink()
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("this is no picture")
    (folder / "folder.jpg").mkdir()
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    (folder / "bomb.png").write_bytes(png + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    (folder / "postscript.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    return {
        "truncated.jpg": "damaged picture",
        "truncated.png": "damaged picture",
        "empty.jpg": "the file is empty",
        "text.png": "not a picture",
        "folder.jpg": "a folder",
        "bomb.png": "60000 x 60000 pixels are more than the limit",
        "postscript.eps": "not a picture",
        "missing.jpg": "no such file",
    }


def test_bad_files_are_named_with_what_is_wrong(tmp_path):
    for name, message in bad_files(tmp_path).items():
        with pytest.raises(PictureError, match=f"{name}: {message}"):
            read_picture(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path):
    path = save(Image.fromarray(RGB), tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(PictureError, match=r"a\.png: Permission denied"):
        read_picture(path)


def test_the_header_alone_tells_a_png_s_size(tmp_path, monkeypatch):
    path = save(Image.fromarray(RGB), tmp_path / "a.png")
    decoded = []
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: decoded.append(self))
    assert picture_size(path) == (6, 9)
    with pytest.raises(PictureError, match="9 x 6 pixels are more than the limit of 53"):
        read_picture(path, max_pixels=53)
    assert not decoded


def test_orientation_behind_the_pixels_of_a_png(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    path = save(Image.fromarray(RGB), tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:-12] + chunk + path.read_bytes()[-12:])
    np.testing.assert_array_equal(read_8_bit(path), RGB[::-1].transpose(1, 0, 2))
    assert picture_size(path) == (9, 6)
    with pytest.raises(PictureError, match="9 x 6 pixels are more than the limit of 53"):
        picture_size(path, max_pixels=53)


def test_a_thin_picture_cannot_be_blown_up_beyond_the_limit(tmp_path):
    path = save(Image.new("L", (20000, 1)), tmp_path / "a.png")
    with pytest.raises(PictureError, match="more than the limit"):
        read_picture(path, size=512)


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_a_picture_or_a_picture_error(tmp_path, data):
    suffix = data.draw(st.sampled_from(["png", "jpg", "gif", "tif", "webp", "bmp"]))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        picture = read_picture(path, max_pixels=1 << 20)
    except PictureError as error:
        assert str(path) in str(error)
    else:
        assert picture.ndim == 3


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp"])
def test_saving_rounds_and_clips(tmp_path, suffix):
    values = np.array([[[-1, 0.0019, 0.0021], [0.4999, 0.5, 2]]], np.float32)
    save_picture(values, tmp_path / f"a.{suffix}")
    expected = [[[0, 0, 1], [127, 128, 255]]]
    np.testing.assert_array_equal(read_8_bit(tmp_path / f"a.{suffix}"), expected)


def test_saving_transparency(tmp_path):
    pixels = np.concatenate([RGB, ALPHA], -1)
    picture = pixels.astype(np.float32) / 255
    save_picture(picture, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    save_picture(picture, tmp_path / "a.bmp")
    assert np.abs(read_8_bit(tmp_path / "a.bmp") - over_white(RGB, ALPHA)).max() <= 1


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.txt", "missing/a.png"])
def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, name):
    with pytest.raises(PictureError, match="cannot"):
        save_picture(RGB / np.float32(255), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_masks_have_the_pictures_size(tmp_path):
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 255
    path = save(Image.fromarray(half), tmp_path / "a.png")
    mask = read_mask(path, (20, 30), size=20)
    assert mask.shape == (20, 30)
    np.testing.assert_array_equal(mask[:, [0, 10, 20, 29]], np.broadcast_to([0, 0, 1, 1], (20, 4)))


def test_finding_pictures(tmp_path):
    for name in ("b.PNG", "a.jpg", "sub/deep/c.webp", "note.txt", ".hidden.png", ".git/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert found == ["a.jpg", "b.PNG", "sub/deep/c.webp"]
    with pytest.raises(PictureError, match="not a folder"):
        find_pictures(tmp_path / "a.jpg")


@pytest.mark.parametrize("cell", [4, 30])
def test_labels_of_contact_sheets_are_shortened_to_any_width(cell):
    sheet = contact_sheet(
        {(0, 0): np.zeros((8, 8, 3), np.uint8)}, ["a row"], ["a column"], cell=cell
    )
    assert sheet.shape == (cell + 56, cell + 12, 3)
