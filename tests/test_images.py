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
    PictureWarning,
    find_pictures,
    picture_size,
    read_mask,
    read_picture,
    read_pixels,
    save_picture,
)
from adain_jax.images.contact_sheet import contact_sheet
from adain_jax.images.folders import search

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


def turned(pixels, orientation):
    """Pixels (h, w, 3) as the EXIF orientation says."""
    pixels = {
        **{1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]},
        **{5: pixels, 6: pixels[::-1], 7: pixels[::-1, ::-1], 8: pixels[:, ::-1]},
    }[orientation]
    return pixels.transpose(1, 0, 2) if orientation > 4 else pixels


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg", "mpo", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(tmp_path, orientation, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation  # in AVIF files, Pillow writes it as the container's own
    blocks = RGB.repeat(8, 0).repeat(8, 1)  # which JPEG changes little
    options = {"lossless": True} if suffix == "webp" else {"quality": 100}
    if suffix in ("jpg", "mpo"):
        options["subsampling"] = 0
    image = Image.fromarray(blocks)
    path = save(image, tmp_path / f"a.{suffix}", exif=exif, **options)
    expected = turned(blocks, orientation)
    assert picture_size(path) == expected.shape[:2]
    exact = suffix in ("png", "tif", "webp")
    difference = np.abs(read_8_bit(path) - expected)
    assert difference.max() == 0 if exact else difference.mean() < 8  # of 85, if turned wrongly
    assert picture_size(path, size=24) == read_picture(path, size=24).shape[:2]


@pytest.mark.parametrize(("suffix", "counts"), [("jpg", True), ("tif", False), ("avif", False)])
def test_orientation_in_xmp_counts_where_the_format_has_none_of_its_own(tmp_path, suffix, counts):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    options = {"tiffinfo": {700: xmp}} if suffix == "tif" else {"xmp": xmp}
    path = save(Image.fromarray(RGB), tmp_path / f"a.{suffix}", **options)
    expected = (9, 6) if counts else (6, 9)
    assert picture_size(path) == read_picture(path).shape[:2] == expected


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


def tiff(path, *pages):
    """A TIFF of pages, each a dict of tags with numbers, and an array; one may be a subdirectory."""
    data, link = bytearray(b"II*\0\0\0\0\0"), 4
    for tags, pixels in pages:
        start = len(data)
        data += pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        height, width, channels = (*pixels.shape, 1)[:3]
        bits = [8 * pixels.itemsize] * channels
        layout = {
            256: [width],
            257: [height],
            258: bits,
            259: [1],
            262: [2 if channels == 3 else 1],
        }
        layout |= {273: [start], 277: [channels], 278: [height], 279: [pixels.nbytes], **tags}
        fields, rest = b"", b""
        behind = len(data) + 2 + 12 * len(layout) + 4
        for tag, values in sorted(layout.items()):
            packed = struct.pack(f"<{len(values)}I", *values)
            if len(packed) > 4:
                packed, rest = struct.pack("<I", behind + len(rest)), rest + packed
            fields += struct.pack("<HHI", tag, 4, len(values)) + packed
        struct.pack_into("<I", data, link, len(data))
        link = behind - 4
        data += struct.pack("<H", len(layout)) + fields + bytes(4) + rest
    path.write_bytes(data)
    return path


def test_values_of_16_bits_and_less_are_read_as_the_file_declares(tmp_path):
    values = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)
    pairs = values.reshape(-1, 2).astype(np.uint32)
    packed = ((pairs[:, 0] << 12) | pairs[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    path = tiff(tmp_path / "12.tif", ({258: [12], 256: [8]}, packed.reshape(8, 12)))
    np.testing.assert_allclose(read_8_bit(path), gray(values / 4095 * 255), atol=0.51)
    white_is_zero = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    path = tiff(tmp_path / "16.tif", ({262: [0]}, white_is_zero))
    np.testing.assert_allclose(read_8_bit(path), gray(255 - white_is_zero / 257), atol=0.51)
    floats = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    path = tiff(tmp_path / "f.tif", ({262: [0], 339: [3]}, floats))
    np.testing.assert_allclose(read_8_bit(path), gray(255 - floats * 255), atol=0.51)


@pytest.mark.parametrize(
    ("kind", "low", "high", "message"),
    [
        (np.int8, -100, 100, "signed 8-bit values"),
        (np.int16, -3000, 3000, "its values, -3000 to 3000, should lie in 0 to 65535"),
        (np.int32, 0, 10**6, r"its values, 0 to 1e\+06, should lie in 0 to 65535"),
        (np.uint32, 0, 2**32 - 1, "its values, .* should lie in 0 to 65535"),
        (np.float32, -1, 1, "its values, -1 to 1, should lie in 0 to 1 or 0 to 255"),
        (np.float32, 0, 6, "its values, 0 to 6, should lie in"),
        (np.float32, 0, 65535, "its values, 0 to 65535, should lie in"),
        (np.float32, 0, np.inf, "its values, .* should lie in"),
        (np.float64, 0, 1, "not a picture that can be read, but a damaged or unusual TIFF"),
        (np.float16, 0, 1, "not a picture that can be read, but a damaged or unusual TIFF"),
    ],
)
def test_values_without_a_clear_black_and_white_are_refused(tmp_path, kind, low, high, message):
    values = np.full((4, 6), low, kind)
    values[2:] = high
    format_ = {"i": 2, "u": 1, "f": 3}[np.dtype(kind).kind]
    path = tiff(tmp_path / "a.tif", ({339: [format_]}, values))
    with pytest.raises(PictureError, match=rf"a\.tif: {message}"):
        read_picture(path)


def test_floats_a_little_outside_are_cut_off(tmp_path):
    values = np.array([[-0.1, 0, 0.5, 1, 1.2, np.nan]], np.float32)
    path = save(Image.fromarray(values), tmp_path / "a.tif")
    np.testing.assert_array_equal(read_8_bit(path)[..., 0], [[0, 0, 128, 255, 255, 0]])


def test_floats_of_three_channels_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", ({339: [3, 3, 3]}, RGB.astype(np.float32) / 255))
    with pytest.raises(
        PictureError, match="not a picture that can be read, but a damaged or unusual TIFF"
    ):
        read_picture(path)


def test_16_bits_of_which_few_are_used_are_told(tmp_path):
    path = save(Image.fromarray(GRAY.astype(np.uint16)), tmp_path / "a.png")
    largest = GRAY.max()
    with pytest.warns(PictureWarning, match=rf"a\.png: nearly black.* {largest} of 65535"):
        read_picture(path)


SENSOR = np.zeros((60, 80), np.uint16)


def test_a_raw_photograph_is_refused_not_its_preview_read(tmp_path):
    path = tiff(tmp_path / "a.dng", ({254: [1], 330: [0]}, RGB), ({262: [32803]}, SENSOR))
    with pytest.raises(PictureError, match="a raw photograph, of which only a preview of 9 x 6"):
        read_picture(path)
    data = bytearray(path.read_bytes())  # the same as a subdirectory
    link = data.index(struct.pack("<HHI", 330, 4, 1)) + 8
    chained = data.index(struct.pack("<HHI", 279, 4, 1)) + 12
    data[link : link + 4] = data[chained : chained + 4]
    data[chained : chained + 4] = bytes(4)
    path.write_bytes(data)
    for read in (read_picture, picture_size):
        with pytest.raises(
            PictureError, match="a raw photograph, of which only a preview of 9 x 6"
        ):
            read(path)


def test_of_the_pages_of_a_tiff_the_first_that_is_no_preview_is_read(tmp_path):
    small = RGB[::2, ::2]
    path = tiff(tmp_path / "a.tif", ({254: [1]}, small), ({}, RGB), ({254: [1]}, small))
    np.testing.assert_array_equal(read_8_bit(path), RGB)
    np.testing.assert_array_equal(read_pixels(path), RGB)
    assert picture_size(path) == (6, 9)
    path = tiff(tmp_path / "b.tif", ({254: [1]}, small))
    with pytest.raises(PictureError, match="only a preview of 5 x 3 pixels"):
        read_picture(path)


@pytest.mark.filterwarnings("error")
def test_more_pages_of_a_tiff_are_told(tmp_path):
    path = tiff(tmp_path / "a.tif", ({254: [2]}, RGB), ({254: [2]}, RGB), ({254: [1]}, RGB))
    with pytest.raises(PictureWarning, match=r"a\.tif: only the first of its 2 pages is read"):
        read_picture(path)
    with Image.open(tiff(tmp_path / "b.tif", ({}, RGB))) as one:  # one whose next page is itself
        assert one.n_frames == 1
    data = bytearray((tmp_path / "b.tif").read_bytes())
    data[-4 - 12 : -12] = data[4:8]
    (tmp_path / "b.tif").write_bytes(data)
    np.testing.assert_array_equal(read_8_bit(tmp_path / "b.tif"), RGB)


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


@pytest.mark.parametrize("suffix", ["tga", "tif", "bmp"])
def test_alpha_that_is_empty_everywhere_is_ignored(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    image = Image.fromarray(np.concatenate([RGB, np.zeros_like(ALPHA)], -1))
    image.save(path)
    np.testing.assert_array_equal(read_8_bit(path), RGB)
    np.testing.assert_array_equal(read_8_bit(path, keep_alpha=True), RGB)


def test_what_is_empty_everywhere_is_white(tmp_path):
    path = save(Image.new("RGBA", (9, 6)), tmp_path / "a.png")
    assert (read_8_bit(path) == 255).all()


def test_grey_with_premultiplied_alpha(tmp_path):
    alpha = np.maximum(ALPHA, 128)
    pixels = np.concatenate([GRAY[..., None] // 2, alpha], -1)
    path = tiff(tmp_path / "a.tif", ({277: [2], 338: [1]}, pixels))
    expected = pixels[..., :1].astype(int) + 255 - alpha
    assert np.abs(read_8_bit(path) - expected).max() <= 2


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


def exif_block(*entries, tail=b""):
    """A little-endian EXIF block of (tag, type, count, four bytes); `tail` is at 14 + 12 n."""
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4) + tail


TURN = (0x0112, 3, 1, b"\6\0")  # orientation 6
ODD_EXIF = {
    "a text as a fraction": exif_block(TURN, (0x011A, 2, 4, b"72x")),
    "a text as a unit": exif_block(
        *(TURN, (0x011A, 5, 1, struct.pack("<I", 50)), (0x0128, 2, 4, b"abc")),
        tail=struct.pack("<II", 72, 1),
    ),
    "a place behind the end": exif_block(TURN, (0x8769, 4, 1, b"\xf0\xff\xff\xff")),
    "a loop": exif_block(TURN, (0x8825, 4, 1, b"\x08")),
    "an unknown type": exif_block(TURN, (0x011A, 77, 4, b"72x")),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("block", ODD_EXIF.values(), ids=ODD_EXIF)
def test_odd_exif_beside_the_orientation_costs_nothing(tmp_path, block, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"a.{suffix}"
    try:
        Image.fromarray(RGB).save(path, exif=b"Exif\0\0" + block)
        expected = (9, 6)
    except Exception:  # Pillow does not write it into AVIF, whose orientation is elsewhere
        even = exif_block((0x010E, 2, 4, b"abc")).ljust(len(block), b"\0")
        Image.fromarray(RGB).save(path, exif=b"Exif\0\0" + even)
        path.write_bytes(path.read_bytes().replace(even, block))
        expected = (6, 9)
    assert picture_size(path) == read_picture(path).shape[:2] == expected


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(path, *, early=b"", late=b""):
    """RGB as a PNG with more chunks before and behind its pixels."""
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    data = file.getvalue()
    pixels, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    path.write_bytes(data[:pixels] + early + data[pixels:end] + late + data[end:])
    return path


LONG_TEXT = b"a\0\0" + zlib.compress(
    b"word " * 4_000_000
)  # more than Pillow allows, and than we do
ODD_CHUNKS = {
    "a long text": png_chunk(b"zTXt", LONG_TEXT),
    "a long international text": png_chunk(b"iTXt", b"a\0\1\0\0" + LONG_TEXT[2:]),
    "texts of 70 MB": png_chunk(b"tEXt", b"a\0" + bytes(35_000_000)) * 2,
    "an unknown compression": png_chunk(b"zTXt", b"a\0\7abc"),
    "a profile's, too": png_chunk(b"iCCP", b"a\0\7abc"),
    "an empty profile": png_chunk(b"iCCP", b""),
    "a wrong checksum": png_chunk(b"tEXt", b"a\0b")[:-4] + bytes(4),
    "half a gamma": png_chunk(b"gAMA", b"\0"),
    "half a resolution": png_chunk(b"pHYs", b"\0"),
    "half an animation": png_chunk(b"acTL", b"\0"),
    "frames out of order": png_chunk(b"acTL", struct.pack(">II", 2, 0))
    + png_chunk(b"fcTL", struct.pack(">5I2H2B", 5, 9, 6, 0, 0, 1, 1, 0, 0)),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("chunk", ODD_CHUNKS.values(), ids=ODD_CHUNKS)
def test_odd_chunks_of_a_png_cost_nothing(tmp_path, chunk, late):
    turn = png_chunk(b"eXIf", exif_block(TURN))
    more = {"late": turn + chunk} if late else {"early": turn + chunk}
    path = png_with(tmp_path / "a.png", **more)
    np.testing.assert_array_equal(read_8_bit(path), turned(RGB, 6))
    assert picture_size(path) == (9, 6)


def test_a_large_profile_of_a_png_is_applied(tmp_path):
    profile = bytearray(linear_profile().ljust(2_000_000, b"\0"))
    struct.pack_into(">I", profile, 0, len(profile))
    chunk = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(profile)))
    path = save(Image.fromarray(RGB), tmp_path / "small.png", icc_profile=linear_profile())
    large = png_with(tmp_path / "large.png", early=chunk)
    np.testing.assert_array_equal(read_8_bit(large), read_8_bit(path))


def segment(marker, data):
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


ODD_SEGMENTS = {
    "half a profile": segment(0xE2, b"ICC_PROFILE\0"),
    "half a mark of Adobe's": segment(0xEE, b"Adobe"),
    "half a mark of JFIF": segment(0xE0, b"JFIF\0"),
    "half a list of pictures": segment(0xE2, b"MPF\0abcdefgh"),
    "half a block of Photoshop's": segment(0xED, b"Photoshop 3.0\0008BIM\4\4\0\0\xff\xff\xff\xff"),
    "a long comment": segment(0xFE, bytes(60_000)) * 40,
}


@pytest.mark.parametrize("odd", ODD_SEGMENTS.values(), ids=ODD_SEGMENTS)
def test_odd_segments_of_a_jpeg_cost_nothing(tmp_path, odd):
    exif = b"Exif\0\0" + exif_block(TURN)
    path = save(Image.fromarray(RGB), tmp_path / "a.jpg", exif=exif, icc_profile=linear_profile())
    expected, data = read_8_bit(path), path.read_bytes()
    path.write_bytes(data[:2] + odd + data[2:])
    np.testing.assert_array_equal(read_8_bit(path), expected)
    assert picture_size(path) == (9, 6)


@pytest.mark.parametrize("exif", [b"EXIF\xff\xff\xff\x7fabc", b"EXIF\x20\0\0\0abc"])
def test_metadata_of_a_webp_that_are_cut_off_cost_nothing(tmp_path, exif):
    path = save(Image.fromarray(RGB), tmp_path / "a.webp", lossless=True, xmp=b"<x/>")
    data = bytearray(path.read_bytes() + exif)
    data[20] |= 8  # there is EXIF
    struct.pack_into("<I", data, 4, len(data) - 8)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_8_bit(path), RGB)


def test_metadata_of_a_jpeg_2000_that_are_cut_off_cost_nothing(tmp_path):
    path = save(Image.fromarray(RGB), tmp_path / "a.jp2")
    data = path.read_bytes()
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, start)
    box = b"\0\0\0\x12res \0\0\0\x0arescab"
    header = struct.pack(">I", length + len(box)) + data[start + 4 : start + length] + box
    path.write_bytes(data[:start] + header + data[start + length :])
    np.testing.assert_array_equal(read_8_bit(path), RGB)


def test_a_picture_has_the_size_that_was_told_or_is_refused(tmp_path):
    path = save(Image.fromarray(RGB), tmp_path / "a.jp2")
    data = path.read_bytes()
    start = data.index(b"ihdr") + 4
    (height,) = struct.unpack_from(">I", data, start)
    path.write_bytes(data[:start] + struct.pack(">I", height + 200) + data[start + 4 :])
    assert picture_size(path)[0] == height + 200
    with pytest.raises(PictureError, match=r"a\.jp2: damaged picture"):
        read_picture(path)


def test_damage_to_the_picture_itself_is_not_hidden(tmp_path):
    path = png_with(tmp_path / "a.png", late=ODD_CHUNKS["a long text"])
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(PictureError, match=r"a\.png: "):
        read_picture(path)


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


Y, X = np.mgrid[:40, :60]
DISC = (Y - 20) ** 2 + (X - 30) ** 2 < 15**2
CUT_OUT = np.dstack([np.broadcast_to(DISC[..., None] * np.uint8(255), (40, 60, 3))] * 2)[..., :4]
MASKS = {
    "white, cut out of transparent black": CUT_OUT,
    "white on transparent white": np.where(np.arange(4) < 3, np.uint8(255), CUT_OUT),
    "black, cut out": np.where(np.arange(4) < 3, np.uint8(0), CUT_OUT),
    "opaque": np.where(np.arange(4) < 3, CUT_OUT, np.uint8(255)),
    "alpha empty everywhere": np.where(np.arange(4) < 3, CUT_OUT, np.uint8(0)),
    "bilevel": DISC,
    "zeros and ones": DISC.astype(np.uint8),
    "16 bits": DISC * np.uint16(65535),
    "floats to 1": DISC.astype(np.float32),
    "floats to 255": DISC.astype(np.float32) * 255,
}


@pytest.mark.parametrize("pixels", MASKS.values(), ids=MASKS)
def test_masks_of_many_kinds(tmp_path, pixels):
    path = save(Image.fromarray(pixels), tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(path, (40, 60)), DISC)


@pytest.mark.parametrize("brightest", [0, 3])
def test_a_mask_that_masks_nothing_is_refused(tmp_path, brightest):
    path = save(Image.fromarray(DISC * np.uint8(brightest)), tmp_path / "a.png")
    with pytest.raises(
        PictureError, match=rf"a\.png: no mask: its brightest .* {brightest} of 255"
    ):
        read_mask(path, (40, 60))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a raw photograph"),
        (b"\0\0\0\x18ftypisom\0\0\0\1", "a video"),
        (b"\xff\x0a\0\0", "a JPEG XL picture"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"<!doctype html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "heic"])
def test_what_is_no_picture_for_us_is_called_by_its_name(tmp_path, start, message, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(start + bytes(2000))
    with pytest.raises(PictureError, match=rf"not a picture that can be read, but {message}"):
        read_picture(path)


def test_finding_pictures(tmp_path):
    for name in ("b.PNG", "a.jpg", "sub/deep/c.webp", "note.txt", ".hidden.png", ".git/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert found == ["a.jpg", "b.PNG", "sub/deep/c.webp"]
    assert search(tmp_path).others == [tmp_path / "note.txt"]
    with pytest.raises(PictureError, match="not a folder"):
        find_pictures(tmp_path / "a.jpg")


@pytest.mark.parametrize("cell", [4, 30])
def test_labels_of_contact_sheets_are_shortened_to_any_width(cell):
    sheet = contact_sheet(
        {(0, 0): np.zeros((8, 8, 3), np.uint8)}, ["a row"], ["a column"], cell=cell
    )
    assert sheet.shape == (cell + 56, cell + 12, 3)


def test_linked_folders_are_searched_once(tmp_path):
    for name in ("elsewhere/a.png", "content/real/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    content = tmp_path / "content"
    for name, target in {"one": "elsewhere", "two": "elsewhere", "again": "content/real"}.items():
        (content / name).symlink_to(tmp_path / target)
    for name in ("up", "real/up", "z.png"):
        (content / name).symlink_to(tmp_path)
    (content / "broken").symlink_to(tmp_path / "missing")
    found = [path.relative_to(content).as_posix() for path in find_pictures(content)]
    assert found == ["one/a.png", "real/b.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    save(Image.fromarray(RGB), tmp_path / "a.png")
    found = search(tmp_path)
    assert found.pictures == [tmp_path / "a.png"]
    assert "closed: Permission denied" in str(found.unreadable[0])
    with pytest.raises(PictureError, match="closed: Permission denied"):
        find_pictures(tmp_path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(PictureError, match="a pipe or a device, not a file"):
        read_picture(tmp_path / "a.png")


def test_errors_are_one_line_whatever_the_name(tmp_path):
    for name in ("a\nb.png", "\x1b[2J.png", os.fsdecode(b"\xff.png")):
        with pytest.raises(PictureError) as caught:
            read_picture(tmp_path / name)
        message = str(caught.value)
        assert message.endswith("no such file")
        assert message.isprintable()


@pytest.mark.parametrize(
    ("suffix", "longest"),
    [("webp", 16383), ("jpg", 65500), ("gif", 65535), ("tga", 65535), ("avif", 32768), ("png", 0)],
)
def test_sides_that_a_format_does_not_allow_are_refused(tmp_path, suffix, longest):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"a.{suffix}"
    pixels = np.zeros((1, longest or 70_000, 3), np.uint8)
    save_picture(pixels, path)
    assert picture_size(path) == pixels.shape[:2]
    if longest:
        with pytest.raises(PictureError, match=f"{longest + 1} x 1 pixels .* at most {longest}"):
            save_picture(np.zeros((1, longest + 1, 3), np.uint8), path)


def test_floats_of_0_to_255_are_not_saved_as_white(tmp_path):
    with pytest.raises(ValueError, match=r"divide what lies in 0\.\.255 by 255"):
        save_picture(RGB.astype(np.float32), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
