"""The measures beyond the losses see what the eye sees, on pictures that are made for it."""

import numpy as np
import pytest

from adain_jax.measures import color_distance, lab, repetition, seams

SIDE = 160
y, x = np.mgrid[:SIDE, :SIDE]
GRAY = np.full((SIDE, SIDE), 0.5)


def picture(gray):
    return np.repeat(np.clip(gray, 0, 1)[..., None], 3, -1)


def blobs(seed, size):
    """Irregular strokes of about this size in pixels, of deviation 1."""
    noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency * size) ** 2))).real
    return smooth / smooth.std()


def test_repetition_is_even_embossing_and_neither_grain_nor_strokes():
    emboss = np.sin(2 * np.pi * x / 8) * np.sin(2 * np.pi * y / 8) / 255
    index = {
        name: repetition(picture(GRAY), picture(GRAY + painted))
        for name, painted in {
            "flat": 0,
            "shaded": 0.3 * x / SIDE,
            "grain": np.random.default_rng(0).normal(0, 8 / 255, GRAY.shape),
            "strokes": 8 / 255 * blobs(1, 4),
            "embossed": 8 * emboss,
            "embossed on strokes": 16 * emboss + 8 / 255 * blobs(1, 4),
        }.items()
    }
    assert max(index["flat"], index["shaded"]) < 1e-4
    assert index["embossed"] == pytest.approx(4, rel=0.05)  # its deviation
    assert max(index["grain"], index["strokes"]) < 0.5 * index["embossed"]
    assert index["embossed on strokes"] == pytest.approx(8, rel=0.15)


def test_repetition_is_looked_for_where_the_content_is_flat():
    content = picture(np.where(x < SIDE // 2, 0.5, 0.5 + 0.1 * blobs(2, 2)))
    emboss = 8 / 255 * np.sin(2 * np.pi * x / 8) * np.sin(2 * np.pi * y / 8)
    on_flat, on_texture = (
        repetition(content, picture(GRAY + np.where(side, emboss, 0)))
        for side in (x < SIDE // 2, x >= SIDE // 2)
    )
    assert on_flat > 3.5
    assert on_texture < 1


def test_seams_are_lines_along_edges_and_not_edges_or_texture():
    disc = np.hypot(y - 80, x - 80) < 45
    content = picture(np.where(disc, 0.25, 0.6))
    outline = np.abs(np.hypot(y - 80, x - 80) - 45) < 1.5
    painted = picture(np.where(disc, 0.3, 0.55))
    seamed = picture(np.where(outline, 0.8, np.where(disc, 0.3, 0.55)))
    weak = picture(np.where(outline, 0.65, np.where(disc, 0.3, 0.55)))
    textured = picture(np.where(disc, 0.3, 0.55) + 0.03 * blobs(3, 3))
    assert seams(content, painted) < 0.5
    assert seams(content, textured) < 3
    assert seams(content, seamed) > 2 * seams(content, weak) > 10
    assert seams(picture(GRAY), seamed) == 0  # no edge, no seam


def test_lab_of_the_primaries_is_as_published():
    colors = np.array([[[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]], float)
    published = [
        *([100, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18]),
        *([32.30, 79.19, -107.86], [0, 0, 0]),
    ]
    np.testing.assert_allclose(lab(colors)[0], published, atol=0.03)


def test_color_distance_is_how_far_colors_are_moved():
    rng = np.random.default_rng(0)
    painting = rng.random((40, 50, 3))
    shuffled = rng.permutation(painting.reshape(-1, 3)).reshape(50, 40, 3)
    assert color_distance(painting, shuffled) < 1e-6
    dark, light = np.full((8, 8, 3), 0.2), np.full((8, 8, 3), 0.6)
    difference = lab(light)[0, 0] - lab(dark)[0, 0]
    # Along a direction at an angle, a shift is as far as its cosine: on average half.
    assert color_distance(dark, light) == pytest.approx(np.linalg.norm(difference) / 2, rel=0.05)
    red = light * [1.3, 0.8, 0.8]
    assert color_distance(light, red) > 10 > color_distance(light, light + 0.02)
