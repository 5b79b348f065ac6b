"""Batches shared by several devices: the same results as on one, with no more programs."""

import jax
import numpy as np
import pytest
from conftest import random_layers

from adain_jax import Stylizer

rng = np.random.default_rng(5)
SIZES = [(20, 30), (20, 30), (9, 17), (20, 30), (33, 40), (20, 30), (20, 30), (20, 30), (33, 33)]


@pytest.fixture(scope="module")
def params():
    return random_layers("fast")


@pytest.fixture(scope="module")
def contents():
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def test_all_local_devices_are_used_unless_told_otherwise(params):
    assert Stylizer(params).devices == tuple(jax.local_devices())
    assert len(jax.local_devices()) == 4
    second = jax.local_devices()[1]
    assert Stylizer(params, devices=[second]).devices == (second,)
    with pytest.raises(ValueError, match="devices must be some"):
        Stylizer(params, devices=[])


@pytest.mark.parametrize("batch_size", [1, 2])
def test_mixed_sizes_give_the_same_on_four_devices_as_on_one(
    params, contents, compilations, batch_size
):
    results, programs = [], []
    for devices in (jax.local_devices()[:1], jax.local_devices()):
        jax.clear_caches()
        before = len(compilations)
        stylizer = Stylizer(params, batch_size=batch_size, devices=devices)
        styles = stylizer.encode_style(contents)
        results.append([styles, stylizer(contents, styles)])
        programs.append(len(compilations) - before)
    (style, pictures), (style_of_four, pictures_of_four) = results
    np.testing.assert_allclose(style_of_four.mean, style.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(style_of_four.std, style.std, rtol=1e-5, atol=1e-6)
    for one, four in zip(pictures, pictures_of_four, strict=True):
        np.testing.assert_array_equal(one, four)
    assert programs[1] <= programs[0]


def test_a_batch_is_split_evenly_and_a_single_picture_is_not(params, contents):
    """Seen in where the results lie before they are fetched."""
    stylizer = Stylizer(params, batch_size=2)
    assert stylizer.pictures_at_once == 8
    for number, rows in ((1, [1]), (2, [1, 1, 1, 1]), (5, [2, 2, 2, 2])):
        own = [contents[0]] * number
        styles = stylizer._encode_styles(stylizer._program(own[0], stylizer._style_buckets), own)
        assert [len(part.data) for part in styles.mean.addressable_shards] == rows


def test_chosen_devices_compute_everything(params, contents):
    """Batches, tiles, and contents that were encoded before."""
    last = jax.local_devices()[-1]
    chosen = Stylizer(params, devices=[last], tile=128)
    expected = Stylizer(params, tile=128)
    large = rng.integers(0, 256, (200, 300, 3), np.uint8)
    style = chosen.encode_style(contents[0])
    encoded = chosen.encode_content(contents[4])
    assert encoded.encoded.features.devices() == {last}
    np.testing.assert_array_equal(chosen(encoded, style), expected(contents[4], style))
    np.testing.assert_array_equal(chosen(large, style), expected(large, style))
