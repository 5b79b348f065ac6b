"""Large pictures in tiles: the same as in one piece."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_layers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adain_jax import Style, Stylizer
from adain_jax.inference import memory
from adain_jax.inference import tiled as tiling
from adain_jax.inference.memory import MIN_TILE_SIZE
from adain_jax.inference.tile_grid import round_shape, span_length, spans
from adain_jax.models import MODELS
from adain_jax.nn import bind
from adain_jax.nn.network import CHANNELS, STRIDE

rng = np.random.default_rng(0)


def picture(h, w):
    """Low and high frequencies, so that neither statistics nor borders are alike anywhere."""
    y, x = np.mgrid[:h, :w]
    waves = np.stack([np.sin(y / 37 + k) * np.cos(x / 53 - k) for k in range(3)], -1)
    return (0.5 + 0.3 * waves + 0.2 * (rng.random((h, w, 3)) - 0.5)).astype(np.float32)


@pytest.fixture(scope="module")
def stylizers():
    """One that computes pictures whole, and one that uses tiles."""
    params = random_layers("fast")
    params["decoder"]["picture"]["kernel"] *= 0.05  # most results within [0, 1]
    return [Stylizer(params, model="fast", tile=tile) for tile in ("off", MIN_TILE_SIZE)]


@pytest.fixture(scope="module")
def styles(stylizers):
    return stylizers[0].encode_style([picture(60, 70), picture(50, 90)])


TOLERANCE = 2e-5  # of the rounding of sums in another order


def assert_same(tiled, whole):
    np.testing.assert_allclose(tiled, whole, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_vgg19_in_tiles(random_params, monkeypatch):
    whole, tiled = (
        Stylizer(random_params, model="vgg19", tile=tile) for tile in ("off", MIN_TILE_SIZE)
    )
    content, masks = picture(300, 219), np.zeros((2, 300, 219), np.float32)
    masks[0, :, :130], masks[1, :201, 110:] = 0.8, 0.7
    styles = whole.encode_style([picture(60, 70), picture(50, 90)])
    assert_same(tiled(content, styles[0], 0.7), whole(content, styles[0], 0.7))
    monkeypatch.setattr(memory, "SLAB_BYTES", 0)
    assert_same(tiled(content, styles, masks=masks), whole(content, styles, masks=masks))


@pytest.mark.parametrize("model", MODELS)
def test_networks_see_as_far_as_they_say(model, random_params):
    """One row of pixels, or of features, that is another: which features, or pixels, are."""
    params = random_params if model == "vgg19" else random_layers(model)
    network = bind(MODELS[model].network, params)
    middle = 12 * STRIDE
    content = rng.random((1, 2 * middle, STRIDE, 3), np.float32)
    features, size = network.encode(jnp.asarray(content), None)
    seen = [0]
    for row in range(middle, middle + STRIDE):
        other = content.copy()
        other[:, row] += 1
        own = changed(features, network.encode(jnp.asarray(other), None).features) * STRIDE
        seen += [row - (own.min() + STRIDE - 1), own.max() - row]
    assert max(seen) == network.encoder_radius

    other = features.at[:, middle // STRIDE].add(1)
    pixels = changed(network.decoder(features, size), network.decoder(other, size))
    reach = network.decoder_radius
    assert (pixels.min(), pixels.max()) == (middle - reach, middle + STRIDE - 1 + reach)


def changed(before, after):
    """The rows that are not what they were."""
    return np.nonzero((np.asarray(before) != np.asarray(after)).any((0, 2, 3)))[0]


def test_a_picture_in_tiles_is_the_picture_in_one_piece(stylizers, styles):
    whole, tiled = stylizers
    content = picture(300, 219)
    assert_same(tiled(content, styles[0], 0.7), whole(content, styles[0], 0.7))


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(h=st.integers(9, 420), w=st.integers(9, 420))
def test_pictures_of_any_size(stylizers, styles, h, w):
    whole, tiled = stylizers
    content = picture(h, w)
    assert_same(tiled(content, styles[0]), whole(content, styles[0]))


@pytest.fixture
def many_slabs(monkeypatch):
    """A picture of more rows than a tile has is computed in several slabs."""
    monkeypatch.setattr(memory, "SLAB_BYTES", 0)


def slabs_of(picture, masks=None, network=MODELS["fast"].network):
    return tiling._slabs(network, picture, masks, MIN_TILE_SIZE)


def test_a_picture_in_slabs_is_the_picture_in_one_piece(stylizers, styles, many_slabs):
    whole, tiled = stylizers
    content = picture(611, 219)
    assert len(slabs_of(content)) > 2
    assert_same(tiled(content, styles[0], 0.7), whole(content, styles[0], 0.7))
    masks = np.zeros((2, 611, 219), np.float32)
    masks[0, :, :130], masks[1, :501, 110:] = 0.8, 0.7  # the lower right is of none
    assert_same(tiled(content, styles, masks=masks), whole(content, styles, masks=masks))


@pytest.mark.slow
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(h=st.integers(129, 700), w=st.integers(129, 300))
def test_slabs_of_any_size(stylizers, styles, many_slabs, h, w):
    whole, tiled = stylizers
    content = picture(h, w)
    assert_same(tiled(content, styles[0]), whole(content, styles[0]))


def test_slabs_take_about_as_many_bytes_as_they_may(monkeypatch):
    content = np.zeros((5000, 700, 3), np.uint8)
    (alone,) = slabs_of(content)
    assert alone.rows == (0, 5000, 0, 5000)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "free_memory", lambda: 8 * content.nbytes)
        assert len(slabs_of(content)) == 2
    monkeypatch.setattr(memory, "SLAB_BYTES", 2 * content.nbytes // 4)
    slabs = slabs_of(content)
    assert len(slabs) == 4
    kept = [slab.rows.last - slab.rows.first for slab in slabs]
    assert sum(kept) == 5000
    assert max(kept) <= 1250 + 2 * 120  # the first and the last have a halo on one side only


def features_bytes(slabs):
    height, width = slabs[0].shape
    return len(slabs) * (height // STRIDE) * (width // STRIDE) * CHANNELS * 4


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("fit", [False, True])
def test_features_that_do_not_fit_are_computed_again(stylizers, styles, fit, several, monkeypatch):
    whole, tiled = stylizers
    if several:
        monkeypatch.setattr(memory, "SLAB_BYTES", 0)
    content = picture(420, 264)
    slabs = slabs_of(content)
    needed = features_bytes(slabs)
    monkeypatch.setattr(memory, "FEATURE_CACHE_BYTES", needed if fit else needed - 1)
    assert tiling._features_fit(slabs, tiled.params) == fit
    assert_same(tiled(content, styles[1]), whole(content, styles[1]))


def test_masks_in_tiles_take_statistics_over_the_whole_region(stylizers, styles):
    whole, tiled = stylizers
    content = picture(290, 250)
    masks = np.zeros((2, 290, 250), np.float32)
    masks[0, :, :130] = 0.8  # over tiles, soft, overlapping, and none at the lower right
    masks[1, :201, 110:] = 0.7
    arguments = {"style": styles, "alpha": 0.9, "masks": masks}
    assert_same(tiled(content, **arguments), whole(content, **arguments))


def test_a_mask_that_is_empty_in_some_tiles(stylizers, styles):
    whole, tiled = stylizers
    content, masks = picture(290, 250), np.zeros((2, 290, 250), np.float32)
    masks[0, 3:9, 5:30] = 1
    assert_same(tiled(content, styles, masks=masks), whole(content, styles, masks=masks))


def test_bytes_in_bytes_out(stylizers, styles):
    whole = stylizers[0]
    content = np.round(picture(140, 190) * 255).astype(np.uint8)
    for stylizer in stylizers:
        result = stylizer(content, styles[0])
        assert result.dtype == np.uint8
        exact = whole(content / np.float32(255), styles[0]) * 255
        np.testing.assert_allclose(result, exact, atol=0.5 + 255 * TOLERANCE)


def test_a_large_style_is_encoded_in_tiles(stylizers):
    whole, tiled = stylizers
    painting = picture(301, 201)
    expected, style = whole.encode_style(painting), tiled.encode_style(painting)
    np.testing.assert_allclose(style.mean, expected.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(style.std, expected.std, rtol=1e-4, atol=1e-5)


def test_small_and_large_pictures_in_one_list(stylizers, styles):
    whole, tiled = stylizers
    contents = [picture(60, 50), picture(260, 200), picture(60, 50)]
    for ours, expected in zip(tiled(contents, styles[0]), whole(contents, styles[0]), strict=True):
        assert_same(ours, expected)


def test_a_content_encoded_once_gives_what_the_picture_gives(stylizers, styles):
    content = picture(150, 133)
    masks = np.stack([np.tri(150, 133, dtype=np.float32), 1 - np.tri(150, 133, dtype=np.float32)])
    for stylizer in stylizers:
        encoded = stylizer.encode_content(content)
        for alpha in (0.3, 1.0):
            assert_same(stylizer(encoded, styles[0], alpha), stylizer(content, styles[0], alpha))
        assert_same(stylizer(encoded, styles, masks=masks), stylizer(content, styles, masks=masks))


def test_a_content_s_statistics_may_be_given(stylizers, styles):
    content = picture(150, 133)
    own = stylizers[0].encode_style(content)
    for stylizer in stylizers:
        expected = stylizer(content, styles[0])
        assert_same(stylizer(content, styles[0], content_style=own), expected)
        other = stylizer(content, styles[0], content_style=styles[1])
        assert np.abs(other - expected).max() > 1e-2


def test_one_program_computes_all_tiles_of_pictures_of_about_a_size(stylizers, styles, many_slabs):
    tiled = stylizers[1]
    programs = [tiling._encode_tile, tiling._decode_tile]
    tiled(picture(700, 420), styles[0])
    before = [program._cache_size() for program in programs]
    for size in ((700, 420), (699, 417), (696, 420)):
        tiled(picture(*size), styles[0])
    assert [program._cache_size() for program in programs] == before


def test_tiles_shrink_when_memory_is_exhausted(stylizers, styles, monkeypatch, caplog):
    whole = stylizers[0]
    tiled = Stylizer(whole.params, model="fast", tile=256)
    content = picture(300, 310)
    real, sides = tiling._encode, []

    def exhausted(network, params, slabs, **options):
        sides.append(slabs[0].tile_size)
        if sides[-1] > MIN_TILE_SIZE:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return real(network, params, slabs, **options)

    monkeypatch.setattr(tiling, "_encode", exhausted)
    with caplog.at_level(logging.WARNING):
        result = tiled(content, styles[0])
    assert_same(result, whole(content, styles[0]))
    assert sides == [256, MIN_TILE_SIZE]
    assert "tiles of 256 pixels do not fit into memory, trying 128" in caplog.text


@pytest.mark.parametrize("tile", [127, 0, "small"])
def test_tiles_that_cannot_be(stylizers, tile):
    with pytest.raises(ValueError, match=f"tile must be auto, off or at least 128, not {tile}"):
        Stylizer(stylizers[0].params, model="fast", tile=tile)


@given(
    length=st.integers(1, 5000),
    side=st.integers(16, 600).map(lambda n: 8 * n),
    halo=st.integers(0, 100),
    shorter=st.integers(0, 200),
)
@example(length=4993, side=128, halo=65, shorter=0)  # rounded up, one span fewer will do
def test_spans_keep_every_pixel_once_with_a_halo_around(length, side, halo, shorter):
    """Also where they are as long as those of a longer, padded length."""
    each = span_length(length + shorter, side, halo, 8)
    cut = spans(length, each, halo, 8)
    assert len(cut) <= len(spans(length + shorter, each, halo, 8))
    assert each <= side + 2 * (halo + 8) + 8
    assert [w.first for w in cut] == [0, *(w.last for w in cut[:-1])]
    assert cut[-1].last == length
    assert len(cut) == 1 or {-(-(w.stop - w.start) // 8) * 8 for w in cut} == {each}
    for w in cut:
        assert w.start % 8 == 0
        assert 0 <= w.start <= w.first < w.last <= w.stop <= length
        assert w.stop - w.start <= each
        assert w.start == 0 or w.first - w.start >= halo
        assert w.stop == length or w.stop - w.last >= halo


@given(st.tuples(st.integers(1, 100_000), st.integers(1, 100_000)))
def test_padded_shapes_are_hardly_larger_than_what_they_hold(size):
    for length, padded in zip(size, round_shape(size), strict=True):
        assert padded % 8 == 0
        assert length <= padded < length + max(8, length / 32 + 1)


@pytest.mark.parametrize("name", MODELS)
def test_the_automatic_tile_fits_into_the_free_memory(name, monkeypatch):
    per_pixel = MODELS[name].network.bytes_per_pixel
    for free in (1 << 26, 1 << 29, 1 << 33):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        side = memory.choose_tile_size((20_000, 20_000), per_pixel)
        assert side % 8 == 0
        assert side == MIN_TILE_SIZE or side**2 * per_pixel <= free / 4
        for n in range(MIN_TILE_SIZE + 1, 3000, 101):
            whole = memory.choose_tile_size((n, n), per_pixel) is None
            assert whole == (
                n**2 <= max(side**2, min(memory.WHOLE_PICTURE_BYTES, free / 4) / per_pixel)
            )


def test_a_container_limits_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    of_the_machine = memory.free_host_memory()
    for name, text in {
        "max": "900000",
        "current": "800000",
        "stat": "anon 100000\ninactive_file 650000\nactive_file 50000\n",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.free_host_memory() == 750_000  # files' pages make room
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_host_memory() > of_the_machine / 2


def test_features_wait_in_half_of_what_is_free_at_most(stylizers, monkeypatch):
    params = stylizers[1].params
    slabs = slabs_of(np.zeros((280, 264, 3), np.uint8))
    needed = features_bytes(slabs)
    for free, fit in ((2 * needed, True), (2 * needed - 2, False)):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        assert tiling._features_fit(slabs, params) == fit


def test_the_smallest_whole_picture_stays_whole(stylizers):
    assert stylizers[1]._tile_size((MIN_TILE_SIZE, MIN_TILE_SIZE)) is None
    assert stylizers[1]._tile_size((MIN_TILE_SIZE, MIN_TILE_SIZE + 1)) == MIN_TILE_SIZE
    assert stylizers[0]._tile_size((9999, 9999)) is None


def test_statistics_of_parts_combine_to_those_of_the_whole():
    from adain_jax.style import merge_statistics, statistics

    x = rng.normal(3, 2, (1, 12, 10, 4)).astype(np.float32)
    parts = [x[:, :5], x[:, 5:, :3], x[:, 5:, 3:]]
    counts = np.stack([np.full((1, 4), part.shape[1] * part.shape[2]) for part in parts])
    styles = [statistics(part) for part in parts]
    whole = merge_statistics(jax.tree.map(lambda *leaves: np.stack(leaves), *styles), counts)
    expected = statistics(x)
    assert isinstance(whole, Style)
    np.testing.assert_allclose(whole.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(whole.std, expected.std, rtol=1e-5)
