"""Large strokes in large pictures: painted from coarse to fine."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from adain_jax import Stylizer
from adain_jax.images import resizing
from adain_jax.images.resizing import resize
from adain_jax.inference.strokes import REPAINTING, pass_sizes


@pytest.fixture(scope="module")
def fast() -> Stylizer:
    return Stylizer.load()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def picture(rng, height, width):
    small = rng.random((height // 16 + 1, width // 16 + 1, 3), np.float32)
    image = resize(small, (height, width))
    return (np.clip(image + rng.normal(0, 0.05, image.shape), 0, 1) * 255).astype(np.uint8)


def by_pillow(pixels, size):
    """The whole picture at once, in floats."""
    channels = [
        Image.fromarray(pixels[..., c].astype(np.float32)).resize(
            size[::-1], Image.Resampling.LANCZOS
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def in_bytes(pixels):
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(37, 50), (91, 123), (240, 170)])
def test_resizing_in_strips_is_resizing(rng, size, monkeypatch):
    pixels = picture(rng, 91, 123)
    monkeypatch.setattr(resizing, "STRIP_PIXELS", 700)
    assert len(list(resizing.strips(size))) > 2
    whole = in_bytes(by_pillow(pixels, size)).astype(int)
    assert abs(resize(pixels, size) - whole).max() <= 1  # halves may be rounded up or down
    floats = (pixels / 255).astype(np.float32)
    whole = by_pillow(floats, size).clip(0, 1)
    np.testing.assert_allclose(resize(floats, size), whole, rtol=0, atol=1e-6)


def test_sizes_double_up_to_the_pictures_own():
    assert pass_sizes((3024, 4032), None) == [(3024, 4032)]
    assert pass_sizes((300, 400), 512) == [(300, 400)]  # nothing is enlarged
    assert pass_sizes((600, 700), 512) == [(600, 700)]
    assert pass_sizes((2048, 1024), 512) == [(1024, 512), (2048, 1024)]
    passes = pass_sizes((3024, 4032), 512)
    assert [passes[0], passes[-1], len(passes)] == [(512, 683), (3024, 4032), 4]
    steps = [b[0] / a[0] for a, b in pairwise(passes)]
    np.testing.assert_allclose(steps, (3024 / 512) ** (1 / 3), rtol=2e-3)


def test_full_strength_is_painted_again_from_pass_to_pass(fast, rng):
    photo, painting = picture(rng, 200, 264), picture(rng, 64, 64)
    style = fast.encode_style(painting)
    result = fast(photo, style, stroke_size=50)
    expected = fast(in_bytes(by_pillow(photo, (50, 66))), style)
    for size in ((100, 132), (200, 264)):
        expected = fast(in_bytes(by_pillow(expected, size)), style, REPAINTING)
    np.testing.assert_array_equal(result, expected)


def test_small_pictures_are_painted_as_always(fast, rng):
    photos = [picture(rng, 60, 81), picture(rng, 150, 100)]
    style = fast.encode_style(picture(rng, 64, 64))
    small, large = fast(photos, style, stroke_size=64)
    np.testing.assert_array_equal(small, fast(photos[0], style))
    assert (large.shape, large.dtype) == (photos[1].shape, np.uint8)
    floats = fast([(photo / 255).astype(np.float32) for photo in photos], style, stroke_size=64)
    assert floats[1].dtype == np.float32
    assert abs(floats[1] * 255 - large).mean() < 1


def test_what_is_not_painted_over_keeps_its_detail(fast, rng):
    """At strength 0 the result is as sharp as one painted at once, though the first pass was coarse."""
    photo = picture(rng, 256, 256)
    style = fast.encode_style(picture(rng, 64, 64))
    at_once, in_passes = (fast(photo, style, 0.0, stroke_size=s) for s in (None, 64))

    left = np.zeros((256, 256), np.float32)
    left[:, :128] = 1
    beside_mask = fast(photo, style, masks=[left], stroke_size=64)

    def likeness(result):
        detail = [
            x.astype(float) - resize(resize(x, (64, 64)), (256, 256)) for x in (result, photo)
        ]
        return np.corrcoef(*(d[:, 176:].ravel() for d in detail))[0, 1]

    assert min(likeness(in_passes), likeness(beside_mask)) > 0.9 * likeness(at_once)


def test_what_has_one_size_has_no_passes(fast, rng):
    photo = picture(rng, 100, 100)
    style = fast.encode_style(photo)
    with pytest.raises(ValueError, match="stroke_size must be at least 1, not 0"):
        fast(photo, style, stroke_size=0)
    for kwargs in ({"content_style": style}, {}):
        content = photo if kwargs else fast.encode_content(photo)
        with pytest.raises(ValueError, match="stroke_size needs pictures"):
            fast(content, style, stroke_size=64, **kwargs)
