"""The style algebra against the paper's equations in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from adain_jax import Style, adain, mix
from adain_jax.nn import norms
from adain_jax.style import StyleError, adain_regions, blend, downsample_masks, statistics

rng = np.random.default_rng(0)


def features(n=2, h=5, w=7, c=4, scale=3.0):
    return (scale * rng.standard_normal((n, h, w, c)) + 1).astype(np.float32)


def reference_statistics(x):
    x = x.astype(np.float64)
    return x.mean((1, 2)), np.sqrt(x.var((1, 2)) + 1e-5)


def reference_adain(x, y):
    """Equation 8."""
    (mu_x, sigma_x), (mu_y, sigma_y) = reference_statistics(x), reference_statistics(y)
    mu_x, sigma_x, mu_y, sigma_y = (s[:, None, None] for s in (mu_x, sigma_x, mu_y, sigma_y))
    return sigma_y * (x - mu_x) / sigma_x + mu_y


@given(h=st.integers(1, 8), w=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_adain_is_equation_8_for_contents_and_styles_of_any_sizes(h, w):
    x, y = features(h=h, w=w), features(h=w, w=3)
    np.testing.assert_allclose(adain(x, statistics(y)), reference_adain(x, y), rtol=2e-4, atol=2e-4)


def test_adain_of_itself_gives_itself():
    x = features()
    np.testing.assert_allclose(adain(x, statistics(x)), x, atol=1e-5)


def test_statistics_of_flat_features_are_finite_and_differentiable():
    flat = np.ones((1, 4, 4, 2), np.float32)
    np.testing.assert_allclose(statistics(flat).std, np.sqrt(1e-5), rtol=1e-6)
    gradient = jax.grad(lambda x: adain(x, Style(jnp.ones(2), jnp.ones(2))).sum())(flat)
    assert np.isfinite(gradient).all()


def test_statistics_are_float32_in_bfloat16():
    x = features(h=64, w=64).astype(jnp.bfloat16)
    mean, std = reference_statistics(np.asarray(x, np.float32))
    style = statistics(x)
    assert style.mean.dtype == style.std.dtype == jnp.float32
    np.testing.assert_allclose(style.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(style.std, std, rtol=1e-5)


def test_weighted_statistics_are_those_of_the_chosen_positions():
    x = features()
    weights = np.zeros((2, 5, 7), np.float32)
    weights[:, 1:4, 2:5] = 1
    chosen = statistics(x, weights)
    mean, std = reference_statistics(x[:, 1:4, 2:5])
    np.testing.assert_allclose(chosen.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(chosen.std, std, rtol=1e-5)
    poisoned = np.where(weights[..., None] > 0, x, 1e18)
    np.testing.assert_array_equal(statistics(poisoned, weights).mean, chosen.mean)


def test_strength_is_equation_14_per_picture():
    x, t = features(), features()
    alpha = np.array([0.25, 1.0], np.float32)
    np.testing.assert_allclose(blend(x, t, alpha)[0], 0.75 * x[0] + 0.25 * t[0], rtol=1e-5)
    np.testing.assert_allclose(blend(x, t, alpha)[1], t[1], rtol=1e-5)
    np.testing.assert_array_equal(blend(x, t, 0.0), x)


def test_mixing_statistics_is_equation_15_of_the_feature_maps():
    x = features()
    styles = [statistics(features(h=h)) for h in (3, 5, 9)]
    mixed = adain(x, mix(styles, [2.0, 1.0, 1.0]))
    maps = 0.5 * adain(x, styles[0]) + 0.25 * adain(x, styles[1]) + 0.25 * adain(x, styles[2])
    np.testing.assert_allclose(mixed, maps, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
def test_bad_mixtures_are_refused(weights):
    style = statistics(features())
    with pytest.raises(StyleError, match="weights"):
        mix([style, style], weights)


def test_mixing_under_jit_and_grad():
    styles = [statistics(features()), statistics(features())]
    gradient = jax.jit(jax.grad(lambda w: mix(styles, w).mean.sum()))(jnp.array([0.3, 0.7]))
    assert gradient.shape == (2,)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_hard_regions_are_adain_of_each_region_alone():
    x = features(n=1)
    styles = [statistics(features(n=1)), statistics(features(n=1))]
    masks = np.zeros((1, 5, 7, 2), np.float32)
    masks[:, :, :3, 0] = masks[:, :, 3:, 1] = 1
    both = Style(np.concatenate([s.mean for s in styles]), np.concatenate([s.std for s in styles]))
    result = adain_regions(x, both, masks)
    np.testing.assert_allclose(result[:, :, :3], adain(x[:, :, :3], styles[0]), atol=1e-5)
    np.testing.assert_allclose(result[:, :, 3:], adain(x[:, :, 3:], styles[1]), atol=1e-5)


def test_one_full_region_is_plain_adain():
    x, style = features(), statistics(features(n=1))
    result = adain_regions(x, style, np.ones((2, 5, 7, 1), np.float32))
    np.testing.assert_allclose(result, adain(x, style), rtol=1e-5, atol=1e-5)


def test_pixels_of_no_region_keep_the_content_and_empty_regions_change_nothing():
    x = features(n=1)
    style = statistics(features(n=2))
    masks = np.zeros((1, 5, 7, 2), np.float32)
    np.testing.assert_array_equal(adain_regions(x, style, masks), x)
    masks[..., :3, 0] = 1
    result = adain_regions(x, style, masks)
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result[:, :, 3:], x[:, :, 3:])


@given(r=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_soft_overlapping_regions_stay_finite_also_in_gradients(r, seed):
    random = np.random.default_rng(seed)
    x = features(n=1)
    masks = (random.random((1, 5, 7, r)) ** 4).astype(np.float32)
    styles = Style(random.random((r, 4), np.float32), random.random((r, 4), np.float32))
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(adain_regions(x, styles, masks) ** 2))(x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@given(h=st.integers(1, 20), w=st.integers(1, 20))
@settings(max_examples=15, deadline=None)
def test_shrunken_masks_are_means_over_real_pixels(h, w):
    mask = rng.random((1, h, w, 1)).astype(np.float32)
    expected = [
        [mask[0, i : i + 8, j : j + 8].mean() for j in range(0, w, 8)] for i in range(0, h, 8)
    ]
    np.testing.assert_allclose(downsample_masks(mask, 8)[0, ..., 0], expected, rtol=1e-5)
    frame = np.zeros((1, 24, 24, 1), np.float32)
    frame[:, :h, :w] = mask
    shrunk = downsample_masks(frame, 8, np.array([[h, w]]))[0, ..., 0]
    np.testing.assert_allclose(shrunk[: -(-h // 8), : -(-w // 8)], expected, rtol=1e-5)


def test_the_algebra_under_vmap_equals_the_batch():
    x, y = features(n=3), statistics(features(n=3))
    one_by_one = jax.vmap(lambda x, s: adain(x[None], s)[0])(x, y)
    np.testing.assert_allclose(one_by_one, adain(x, y), rtol=1e-5, atol=1e-5)


def test_a_saved_style_is_the_same_and_knows_its_model(tmp_path):
    style = statistics(features(n=1))[0]
    style.save(tmp_path / "style.safetensors", "vgg19")
    loaded = Style.load(tmp_path / "style.safetensors", "vgg19")
    np.testing.assert_array_equal(loaded.mean, style.mean)
    np.testing.assert_array_equal(loaded.std, style.std)
    with pytest.raises(StyleError, match="of model vgg19, not fast"):
        Style.load(tmp_path / "style.safetensors", "fast")


def test_what_is_no_style_file_is_refused_by_name(tmp_path):
    (tmp_path / "a").write_bytes(b"not safetensors at all")
    for name, message in (("a", "not a safetensors file"), ("b", "No such file")):
        with pytest.raises(StyleError, match=rf"{name}: {message}"):
            Style.load(tmp_path / name, "vgg19")


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (np.array([0, np.nan], "f4"), np.ones(2, "f4"), "mean holds values that are not finite"),
        (np.zeros(2, "f4"), np.array([np.inf, 1], "f4"), "std holds values that are not finite"),
        (np.zeros(2, "f4"), np.array([-1, 1], "f4"), "std holds negative values"),
        (np.zeros(2, "i4"), np.ones(2, "i4"), "holds values that are not finite numbers"),
        (np.zeros(2, "f4"), np.ones(3, "f4"), "do not fit together"),
    ],
)
def test_style_files_hold_statistics_only(tmp_path, mean, std, message):
    metadata = {"format": "adain-jax", "kind": "style", "model": "vgg19"}
    save_file({"mean": mean, "std": std}, tmp_path / "a", metadata)
    with pytest.raises(StyleError, match=message):
        Style.load(tmp_path / "a", "vgg19")


@pytest.mark.parametrize(
    "header",
    [b"[]", b'{"mean": 5}', b'{"__metadata__": []}', b'{"mean": {"dtype": "F99"}}', b"{", b"\xff"],
)
def test_headers_of_style_files_may_hold_anything(tmp_path, header):
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(StyleError, match="a: not a"):
        Style.load(tmp_path / "a", "vgg19")


# The normalization family


def test_instance_norm_is_equation_4():
    x = features()
    norm = norms.InstanceNorm(4)
    norm.scale[...], norm.shift[...] = jnp.arange(4.0), jnp.ones(4)
    mean, std = (s[:, None, None] for s in reference_statistics(x))
    np.testing.assert_allclose(
        norm(jnp.asarray(x)), np.arange(4) * (x - mean) / std + 1, rtol=1e-4, atol=1e-4
    )


def test_batch_norm_is_equation_1_and_keeps_running_statistics():
    x = features()
    norm = norms.BatchNorm(4, momentum=0.5)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(
        norm(jnp.asarray(x)), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-4
    )
    norm.eval()
    running = (x - 0.5 * mean) / np.sqrt(0.5 + 0.5 * var + 1e-5)
    np.testing.assert_allclose(norm(jnp.asarray(x)), running, rtol=1e-4, atol=1e-4)


def test_batch_norm_equals_flax():
    x = features()
    ours, flax = norms.BatchNorm(4), nnx.BatchNorm(4, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(ours(jnp.asarray(x)), flax(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.mean[...], flax.mean[...], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.var[...], flax.var[...], rtol=1e-5, atol=1e-6)


def test_conditional_instance_norm_picks_rows_of_its_table():
    x = features()
    norm = norms.ConditionalInstanceNorm(4, styles=3)
    norm.scale[...] = jnp.arange(12.0).reshape(3, 4)
    norm.shift[...] = -jnp.arange(12.0).reshape(3, 4)
    mean, std = (s[:, None, None] for s in reference_statistics(x))
    table = np.arange(12).reshape(3, 4)[[2, 0]][:, None, None]
    result = norm(jnp.asarray(x), jnp.array([2, 0]))
    np.testing.assert_allclose(result, table * (x - mean) / std - table, rtol=1e-4, atol=1e-4)


def test_adaptive_instance_norm_has_no_parameters_and_is_equation_8():
    x, y = features(), features(h=3)
    norm = norms.AdaptiveInstanceNorm()
    assert not jax.tree.leaves(nnx.state(norm))
    np.testing.assert_allclose(
        norm(jnp.asarray(x), statistics(y)), reference_adain(x, y), rtol=2e-4, atol=2e-4
    )
