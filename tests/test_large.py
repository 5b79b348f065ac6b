"""Large pictures in tiles: the same as in one piece."""

import logging

import jax
import numpy as np
import pytest
from conftest import random_layers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adain_jax import Style, Stylizer, large
from adain_jax.nn import bind
from adain_jax.nn.network import Scale
from adain_jax.stylizer import NETWORKS
from adain_jax.tiles import SMALLEST, cut

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
    params["half_3"]["kernel"] *= 0.05  # most results within [0, 1]
    return [Stylizer(params, model="fast", tile=tile) for tile in ("off", SMALLEST)]


@pytest.fixture(scope="module")
def styles(stylizers):
    return stylizers[0].encode_style([picture(60, 70), picture(50, 90)])


def assert_same(tiled, whole):
    np.testing.assert_allclose(tiled, whole, atol=2e-5, rtol=0)


@pytest.mark.slow
def test_vgg19_in_tiles(random_params):
    whole, tiled = (Stylizer(random_params, model="vgg19", tile=tile) for tile in ("off", SMALLEST))
    content, masks = picture(300, 219), np.zeros((2, 300, 219), np.float32)
    masks[0, :, :130], masks[1, :201, 110:] = 0.8, 0.7
    styles = whole.encode_style([picture(60, 70), picture(50, 90)])
    assert_same(tiled(content, styles[0], 0.7), whole(content, styles[0], 0.7))
    assert_same(tiled(content, styles, masks=masks), whole(content, styles, masks=masks))


@pytest.mark.parametrize("model", NETWORKS)
def test_networks_see_as_far_as_they_say(model, random_params):
    """One row of pixels, or of features, that is another: which features, or pixels, are."""
    params = {"fast": random_layers("fast"), "vgg19": random_params}[model]
    network = bind(NETWORKS[model], params)
    stride = network.strides[-1]
    middle = 12 * stride
    content = rng.random((1, 2 * middle, stride, 3), np.float32)
    scales = network.encode(content, None)
    decoded = network.decode(scales)
    for i, (features, _) in enumerate(scales):
        step = network.strides[i]
        seen = [0]
        for row in range(middle, middle + stride):
            other = content.copy()
            other[:, row] += 1
            own = changed(features, network.encode(other, None)[i].features) * step
            seen += [row - (own.min() + step - 1), own.max() - row]
        assert max(seen) == network.encoder_reach[i]

        others = list(scales)
        others[i] = Scale(features.at[:, middle // step].add(1), None)
        pixels = changed(decoded, network.decode(others))
        reach = network.decoder_reach[i]
        assert (pixels.min(), pixels.max()) == (middle - reach, middle + step - 1 + reach)


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


@pytest.mark.parametrize("kept", ["all", "coarsest", "none"])
def test_features_that_do_not_fit_are_computed_again(stylizers, styles, kept, monkeypatch):
    whole, tiled = stylizers
    content = picture(280, 264)
    room = large._room(tiled.network, (280, 264), np.dtype("float32"))
    coarsest = max(room)
    limit = {"all": large.KEPT, "coarsest": room[coarsest].nbytes, "none": 0}[kept]
    monkeypatch.setattr(large, "KEPT", limit)
    expected = {"all": set(room), "coarsest": {coarsest}, "none": set()}[kept]
    assert set(large._room(tiled.network, (280, 264), np.dtype("float32"))) == expected
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
        np.testing.assert_allclose(result, exact, atol=0.501)


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


def test_one_program_computes_all_tiles_of_a_picture(stylizers, styles):
    tiled = stylizers[1]
    tiled._tiles.frames.clear()
    tiled._tiles._assigned.clear()
    tiled(picture(500, 300), styles[0])
    assert len(tiled._tiles.frames) <= 2  # of the encoder's halo, and of the decoder's


def test_tiles_shrink_when_memory_is_exhausted(stylizers, styles, monkeypatch, caplog):
    whole = stylizers[0]
    tiled = Stylizer(whole.params, model="fast", tile=256)
    content = picture(300, 310)
    real, sides = large._encode, []

    def exhausted(network, params, piece, *rest):
        sides.append(piece.side)
        if piece.side > SMALLEST:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return real(network, params, piece, *rest)

    monkeypatch.setattr(large, "_encode", exhausted)
    with caplog.at_level(logging.WARNING):
        result = tiled(content, styles[0])
    assert_same(result, whole(content, styles[0]))
    assert sides == [256, SMALLEST]
    assert "tiles of 256 pixels do not fit into memory, trying 128" in caplog.text


@pytest.mark.parametrize("tile", [127, 0, "small"])
def test_tiles_that_cannot_be(stylizers, tile):
    with pytest.raises(ValueError, match=f"tile must be auto, off or at least 128, not {tile}"):
        Stylizer(stylizers[0].params, model="fast", tile=tile)


@given(
    length=st.integers(1, 5000),
    side=st.integers(16, 600).map(lambda n: 8 * n),
    halo=st.integers(0, 100),
)
@example(length=4993, side=128, halo=65)  # rounded up, one window fewer will do
def test_windows_keep_every_pixel_once_with_a_halo_around(length, side, halo):
    windows = [tile.rows for tile in cut((length, 1), side, halo, 8)]
    assert [w.first for w in windows] == [0, *(w.last for w in windows[:-1])]
    assert windows[-1].last == length
    extents = {-(-(w.stop - w.start) // 8) for w in windows}
    assert len(extents) == 1
    assert extents.pop() * 8 <= side + 2 * (halo + 8) + 8
    for w in windows:
        assert w.start % 8 == 0
        assert 0 <= w.start <= w.first < w.last <= w.stop <= length
        assert w.start == 0 or w.first - w.start >= halo
        assert w.stop == length or w.stop - w.last >= halo


@pytest.mark.parametrize("name", NETWORKS)
def test_the_automatic_tile_fits_into_the_free_memory(name, monkeypatch):
    from adain_jax import tiles

    per_pixel = NETWORKS[name].bytes_per_pixel
    for free in (1 << 26, 1 << 29, 1 << 33):
        monkeypatch.setattr(tiles, "free_memory", lambda free=free: free)
        side = tiles.automatic_side((20_000, 20_000), per_pixel)
        assert side % 8 == 0
        assert side == SMALLEST or side**2 * per_pixel <= free / 4
        for n in range(SMALLEST + 1, 3000, 101):
            whole = tiles.automatic_side((n, n), per_pixel) is None
            assert whole == (n**2 <= max(side**2, min(tiles.WHOLE, free / 4) / per_pixel))


def test_a_container_limits_what_is_free(tmp_path, monkeypatch):
    from adain_jax import tiles

    monkeypatch.setattr(tiles, "CGROUP", tmp_path)
    of_the_machine = tiles.free_host_memory()
    for name, text in {
        "max": "900000",
        "current": "800000",
        "stat": "anon 100000\ninactive_file 650000\nactive_file 50000\n",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert tiles.free_host_memory() == 750_000  # files' pages make room
    (tmp_path / "memory.max").write_text("max\n")
    assert tiles.free_host_memory() > of_the_machine / 2


def test_features_wait_in_half_of_what_is_free_at_most(stylizers, monkeypatch):
    rooms = []
    for free in (1 << 33, 1 << 21):
        monkeypatch.setattr(large, "free_host_memory", lambda free=free: free)
        room = large._room(stylizers[1].network, (280, 264), np.dtype("float32"))
        assert sum(array.nbytes for array in room.values()) <= free / 2
        rooms.append(len(room))
    assert rooms == [2, 1]  # the finest is computed again


def test_the_smallest_whole_picture_stays_whole(stylizers):
    assert stylizers[1]._side((SMALLEST, SMALLEST)) is None
    assert stylizers[1]._side((SMALLEST, SMALLEST + 1)) == SMALLEST
    assert stylizers[0]._side((9999, 9999)) is None


def test_statistics_of_parts_combine_to_those_of_the_whole():
    from adain_jax.style import combine, statistics

    x = rng.normal(3, 2, (1, 12, 10, 4)).astype(np.float32)
    parts = [x[:, :5], x[:, 5:, :3], x[:, 5:, 3:]]
    counts = [np.full((1, 4), part.shape[1] * part.shape[2]) for part in parts]
    whole = combine([statistics(part) for part in parts], counts)
    expected = statistics(x)
    assert isinstance(whole, Style)
    np.testing.assert_allclose(whole.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(whole.std, expected.std, rtol=1e-5)
