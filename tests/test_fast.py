"""The fast network: its algebra, and that nothing outside a picture reaches it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_layers
from hypothesis import given, settings
from hypothesis import strategies as st

from adain_jax.nn import bind
from adain_jax.nn.fast import FastNetwork, space_to_depth
from adain_jax.nn.network import CHANNELS
from adain_jax.style import Style

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def network():
    return bind(FastNetwork, random_layers("fast"))


@pytest.fixture(scope="module")
def encode_style(network):
    return jax.jit(network.encode_style)


@pytest.fixture(scope="module")
def stylize(network):
    return jax.jit(network)


def test_it_is_small():
    assert sum(leaf.size for leaf in jax.tree.leaves(random_layers("fast"))) <= 2_500_000


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_space_to_depth_keeps_every_number(n, h, w, c):
    x = jnp.arange(n * h * w * c * 4.0).reshape(n, 2 * h, 2 * w, c)
    folded = space_to_depth(x)
    np.testing.assert_array_equal(folded[:, 0, 0, :c], x[:, 0, 0])
    np.testing.assert_array_equal(folded[:, 0, 0, -c:], x[:, 1, 1])
    np.testing.assert_array_equal(folded[:, :, :, c : 2 * c], x[:, ::2, 1::2])
    np.testing.assert_array_equal(folded[:, :, :, 2 * c : 3 * c], x[:, 1::2, ::2])


def test_its_own_style_at_full_strength_is_no_style_at_all(encode_style, stylize):
    picture = rng.random((1, 24, 32, 3), np.float32)
    own = encode_style(picture)
    plain = stylize(picture, own, 0.0)
    scale = np.abs(plain).max()
    np.testing.assert_allclose(stylize(picture, own, 1.0), plain, atol=1e-4 * scale)


def test_without_variance_nothing_of_a_content_is_left(encode_style, stylize):
    picture = rng.random((1, 16, 16, 3), np.float32)
    style = encode_style(picture)
    assert style.mean.shape == style.std.shape == (1, CHANNELS)
    silent = Style(jnp.zeros(CHANNELS), jnp.zeros(CHANNELS))
    one = stylize(picture, silent)
    other = stylize(rng.random((1, 16, 16, 3), np.float32), silent)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.fixture(scope="module")
def in_frame(network):
    """Encodes and stylizes pictures of given sizes that lie in frames."""
    return jax.jit(lambda x, size: network(x, network.encode_style(x, size), 0.5, size=size))


@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_what_lies_beside_a_picture_in_its_frame_is_never_seen(in_frame, height, width):
    frame = np.full((1, 40, 40, 3), 1e3, np.float32)
    clean = np.zeros((1, 40, 40, 3), np.float32)
    frame[0, :height, :width] = clean[0, :height, :width] = rng.random((height, width, 3))
    size = np.array([[height, width]])
    seen, expected = (np.asarray(in_frame(x, size))[0, :height, :width] for x in (frame, clean))
    np.testing.assert_array_equal(seen, expected)
