"""Stylizing as augmentation: random, repeatable, compiled once, differentiable."""

import runpy
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_layers

from adain_jax import Stylizer, mix
from adain_jax.augment import random_stylise

rng = np.random.default_rng(0)
PICTURES = jnp.asarray(rng.random((4, 24, 20, 3), np.float32))


@pytest.fixture(scope="module")
def stylizer():
    layers = random_layers("fast")
    layers["decoder"]["picture"]["kernel"] *= 0.05
    return Stylizer(layers, model="fast")


@pytest.fixture(scope="module")
def styles(stylizer):
    return stylizer.encode_style(rng.random((5, 32, 32, 3), np.float32))


def augment(stylizer, **options):
    return jax.jit(partial(random_stylise, stylizer.network, stylizer.params, **options))


def test_a_pure_style_at_full_strength_is_what_the_stylizer_gives(stylizer, styles):
    results = augment(stylizer, alpha=(1, 1), mixed=1)(jax.random.key(0), PICTURES, styles)
    for picture, result in zip(PICTURES, results, strict=True):
        each = [stylizer(picture, styles[i]) for i in range(5)]
        # As between any two programs of the network, which add up in another order: see test_large.
        assert min(np.abs(one - result).max() for one in each) < 2e-5


def test_mixtures_are_convex(stylizer, styles):
    """With two styles, every result is that of some mixture of them."""
    two = styles[:2]
    results = augment(stylizer, alpha=(1, 1), mixed=2)(jax.random.key(1), PICTURES, two)
    shares = np.linspace(0, 1, 201)
    for picture, result in zip(PICTURES, results, strict=True):
        mixes = (mix([two[0], two[1]], [1 - s, s]) for s in shares[::10])
        distance = min(np.abs(stylizer(picture, one) - result).mean() for one in mixes)
        ends = np.abs(stylizer(picture, two[0]) - np.asarray(stylizer(picture, two[1]))).mean()
        assert distance < 0.06 * ends


def test_the_key_decides(stylizer, styles):
    function = augment(stylizer)
    a, b, c = (function(jax.random.key(i), PICTURES, styles) for i in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-3
    assert function._cache_size() == 1  # no compilation between batches


def test_untouched_pictures_come_back_as_they_were(stylizer, styles):
    none = augment(stylizer, probability=0.0)(jax.random.key(0), PICTURES, styles)
    np.testing.assert_array_equal(none, PICTURES)
    many = jnp.tile(PICTURES, (25, 1, 1, 1))
    half = augment(stylizer, probability=0.5)(jax.random.key(0), many, styles)
    touched = np.any(half != many, (1, 2, 3)).sum()
    assert 25 <= touched <= 75  # five standard deviations


def test_gradients_are_finite_and_reach_pictures_and_styles(stylizer, styles):
    def loss(pictures, styles):
        key = jax.random.key(0)
        result = random_stylise(stylizer.network, stylizer.params, key, pictures, styles)
        return jnp.square(result - 0.3).mean()

    by_pictures, by_styles = jax.jit(jax.grad(loss, (0, 1)))(PICTURES, styles)
    for leaf in jax.tree.leaves((by_pictures, by_styles)):
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


def test_every_device_stylises_its_share(stylizer, styles):
    devices = jax.local_device_count()
    keys = jax.random.split(jax.random.key(0), devices)
    shares = jnp.tile(PICTURES[None, :1], (devices, 1, 1, 1, 1))
    function = partial(random_stylise, stylizer.network)
    results = jax.pmap(function, in_axes=(None, 0, 0, None))(stylizer.params, keys, shares, styles)
    alone = augment(stylizer)
    for key, share, result in zip(keys, shares, results, strict=True):
        np.testing.assert_allclose(result, alone(key, share, styles), atol=1e-5)


def test_too_few_styles(stylizer, styles):
    with pytest.raises(ValueError, match="mixed must lie in 1 to 5, the number of styles, not 6"):
        random_stylise(
            stylizer.network, stylizer.params, jax.random.key(0), PICTURES, styles, mixed=6
        )


@pytest.mark.slow
def test_the_example_runs(capsys):
    runpy.run_path(str(Path(__file__).parent.parent / "examples" / "augment.py"))
    assert capsys.readouterr().out.count("step") == 5
