"""Color preservation: the statistics it promises, and pictures that have no colors to match."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adain_jax.color import VARIANCE_FLOOR, coral, keep_chroma

rng = np.random.default_rng(0)


def colorful(h=20, w=30):
    return (rng.random((h, w, 3)) @ rng.random((3, 3)) / 3).astype(np.float32)


def covariance(picture):
    return np.cov(picture.reshape(-1, 3).T, bias=True)


def test_coral_gives_the_style_the_contents_color_statistics():
    style, content = colorful(), colorful(11, 7)
    result = coral(style, content)
    assert isinstance(result, np.ndarray)
    assert result.shape == style.shape
    np.testing.assert_allclose(result.mean((0, 1)), content.mean((0, 1)), atol=1e-5)
    # The floor on both sides: the result's covariance follows from the formula exactly.
    floor = VARIANCE_FLOOR * np.eye(3)

    def root(m):
        values, vectors = np.linalg.eigh(m)
        return (vectors * np.sqrt(values)) @ vectors.T

    matrix = root(covariance(content) + floor) @ np.linalg.inv(root(covariance(style) + floor))
    expected = matrix @ covariance(style) @ matrix.T
    np.testing.assert_allclose(covariance(result), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(covariance(result), covariance(content), atol=3e-3)


def test_coral_of_a_picture_with_its_own_colors_changes_nothing():
    picture = colorful()
    np.testing.assert_allclose(coral(picture, picture), picture, atol=1e-4)


GRAY = np.repeat(rng.random((8, 9, 1), np.float32), 3, axis=-1)
FLAT = np.full((5, 4, 3), 0.3, np.float32)


@pytest.mark.parametrize("style", [GRAY, FLAT, np.zeros((1, 1, 3), np.float32)])
@pytest.mark.parametrize("content", [GRAY, FLAT, colorful()])
def test_coral_survives_grey_and_flat_pictures(style, content):
    result = coral(style, content)
    assert np.isfinite(result).all()
    assert result.min() > -1
    assert result.max() < 2
    np.testing.assert_allclose(result.mean((0, 1)), content.mean((0, 1)), atol=1e-4)


@pytest.mark.parametrize("style", [GRAY, FLAT])
def test_coral_has_finite_gradients_where_eigenvalues_coincide(style):
    gradient = jax.grad(lambda s: (coral(s, colorful()) ** 2).sum())(jax.numpy.asarray(style))
    assert np.isfinite(gradient).all()


def test_coral_gradient_is_the_finite_difference():
    with jax.enable_x64(True):
        style, content = jax.numpy.asarray(colorful(3, 3), "float64"), colorful()
        direction = rng.standard_normal(style.shape)

        def loss(t):
            return (coral(style + t * direction, content) ** 3).sum()

        numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(loss)(0.0), numeric, rtol=1e-4)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_keep_chroma_takes_only_luminance_from_the_result(seed):
    random = np.random.default_rng(seed)
    content, stylized = random.random((2, 6, 5, 3), np.float32)
    result = keep_chroma(content, stylized)
    yuv = np.array(
        [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]]
    )
    expected = content @ yuv.T
    expected[..., 0] = (stylized @ yuv.T)[..., 0]
    np.testing.assert_allclose(result @ yuv.T, expected, atol=1e-4)
