"""The Stylizer: exact sizes, mixed sizes, few programs, and the network's own results."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_layers
from PIL import Image

from adain_jax import Style, Stylizer, mix, weights
from adain_jax.images import PictureError, read_pixels
from adain_jax.inference.inputs import check_pictures
from adain_jax.models import MODELS
from adain_jax.nn import bind
from adain_jax.weights import WeightsError

rng = np.random.default_rng(0)


def picture(h, w):
    return rng.random((h, w, 3), np.float32)


@pytest.fixture(scope="module", params=["fast", "vgg19"])
def model(request):
    return request.param


@pytest.fixture(scope="module")
def params(model, random_params):
    if model == "vgg19":
        return random_params
    layers = random_layers("fast")
    layers["decoder"]["picture"]["kernel"] *= 0.05  # most results within [0, 1]
    layers["decoder"]["picture"]["bias"] += 0.5
    return layers


@pytest.fixture(scope="module")
def stylizer(model, params):
    return Stylizer(params, model=model)


@pytest.fixture(scope="module")
def style(stylizer):
    return stylizer.encode_style(picture(30, 40))


@pytest.fixture(scope="module")
def network(model, params):
    """The network on one picture without any frame."""

    @jax.jit
    def stylize(params, content, style, alpha):
        return bind(MODELS[model].network, params)(content[None], style, alpha)[0]

    def unpadded(content, style, alpha=1.0):
        height, width = content.shape[:2]
        return np.clip(stylize(params, content, style, alpha)[:height, :width], 0, 1)

    return unpadded


def test_one_picture_a_batch_and_a_list_come_back_as_what_they_were(stylizer, style):
    one = picture(20, 30)
    result = stylizer(one, style)
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.dtype) == ((20, 30, 3), np.float32)
    batch = stylizer(np.stack([one, one]), style)
    assert batch.shape == (2, 20, 30, 3)
    np.testing.assert_allclose(batch[1], result, atol=1e-6)
    listed = stylizer([one, picture(7, 9)], style)
    assert [p.shape for p in listed] == [(20, 30, 3), (7, 9, 3)]
    np.testing.assert_allclose(listed[0], result, atol=1e-5)
    assert isinstance(stylizer(jnp.asarray(one), style), jax.Array)
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (8, 8), (9, 2), (17, 33)])
def test_any_size_gives_what_the_network_gives_alone(stylizer, style, network, size):
    content = picture(*size)
    result = stylizer([content, picture(40, 48)], style, 0.7)[0]
    np.testing.assert_allclose(result, network(content, style, 0.7), atol=1e-4)


def test_200_sizes_compile_at_most_12_programs(stylizer, model, compilations):
    sizes = {(int(h), int(w)) for h, w in rng.integers(8, 96, (400, 2))}
    contents = [picture(*size) for size in sorted(sizes)[:200]]
    assert len(contents) == 200
    fresh = Stylizer(jax.device_get(stylizer.params), model=model)
    styles = fresh.encode_style(contents[:3])
    results = fresh(contents, styles[0])
    assert [r.shape for r in results] == [c.shape for c in contents]
    assert len(compilations) <= 12


def test_a_stream_of_single_pictures_compiles_few_programs(stylizer, style, model, compilations):
    fresh = Stylizer(jax.device_get(stylizer.params), model=model)
    for h, w in rng.integers(8, 64, (40, 2)):
        fresh(picture(h, w), style)
    assert len(compilations) <= 12


def test_one_style_per_content(stylizer):
    contents = [picture(16, 16), picture(24, 16)]
    styles = [stylizer.encode_style(picture(20, 20)) for _ in contents]
    together = stylizer(contents, Style.stack(styles), [1.0, 0.5])
    np.testing.assert_allclose(together[0], stylizer(contents[0], styles[0], 1.0), atol=1e-5)
    np.testing.assert_allclose(together[1], stylizer(contents[1], styles[1], 0.5), atol=1e-5)


def test_style_pictures_are_encoded(stylizer):
    content, painting = picture(16, 16), picture(33, 20)
    encoded = stylizer(content, stylizer.encode_style(painting))
    np.testing.assert_array_equal(stylizer(content, painting), encoded)
    styles = stylizer.encode_style([painting, picture(5, 5)])
    np.testing.assert_allclose(styles.mean[0], stylizer.encode_style(painting).mean, rtol=1e-4)


def test_masks_put_each_style_in_its_place(stylizer):
    content = picture(40, 48)
    styles = stylizer.encode_style([picture(16, 16), 0.2 * picture(16, 16)])
    left = np.zeros((40, 48), np.float32)
    left[:, :24] = 1
    whole = stylizer(content, styles[0])
    everywhere = stylizer(content, styles, masks=[np.ones_like(left), np.zeros_like(left)])
    np.testing.assert_allclose(everywhere, whole, atol=1e-5)
    halves = stylizer(content, styles, masks=[left, 1 - left])
    assert np.isfinite(halves).all()
    swapped = stylizer(content, styles[::-1], masks=[1 - left, left])
    np.testing.assert_allclose(halves, swapped, atol=1e-5)
    assert np.abs(halves - whole).max() > 1e-3


def test_mixing_between_two_styles(stylizer):
    content = picture(24, 24)
    a, b = stylizer.encode_style(picture(16, 16)), stylizer.encode_style(0.3 * picture(16, 16))
    np.testing.assert_allclose(stylizer(content, mix([a, b], [1, 0])), stylizer(content, a))
    middle = stylizer(content, mix([a, b], [0.5, 0.5]))
    assert np.abs(middle - stylizer(content, a)).max() > 1e-4


def test_bfloat16_is_close(model, params, stylizer, style):
    half = Stylizer(params, model=model, dtype="bfloat16")
    content = picture(32, 32)
    difference = np.abs(half(content, style) - stylizer(content, style))
    assert 0 < difference.mean() < 0.02


def test_batches_larger_than_the_batch_size(model, params, stylizer, style):
    three = Stylizer(params, model=model, batch_size=2)
    contents = [picture(16, 16) for _ in range(5)]
    for result, content in zip(three(contents, style), contents, strict=True):
        np.testing.assert_allclose(result, stylizer(content, style), atol=1e-5)


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        (np.zeros((4, 4, 3), np.int32), {}, "must be float"),
        (np.zeros((4, 4, 5), np.float32), {}, r"shape \(h, w, 3\)"),
        (np.zeros((0, 4, 3), np.float32), {}, r"shape \(h, w, 3\)"),
        (np.zeros((3, 4, 4, 3), np.float32), {"alpha": [1, 0]}, "3 contents need one alpha or 3"),
        (np.zeros((4, 4, 3), np.float32), {"masks": [np.ones((3, 3))]}, "must have the size"),
        (np.zeros((4, 4, 3), np.float32), {"masks": np.ones((2, 4, 4))}, "2 masks need as many"),
        (np.zeros((4, 4, 3), np.float32), {"masks": []}, "at least one mask is needed"),
        ([], {}, "at least one content picture is needed"),
        (np.zeros((0, 4, 4, 3), np.float32), {}, "at least one content picture is needed"),
    ],
)
def test_what_does_not_fit_is_said(stylizer, style, contents, options, message):
    with pytest.raises(ValueError, match=message):
        stylizer(contents, style, **options)


def test_no_style_is_said(stylizer):
    for nothing in ([], np.zeros((0, 4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="at least one style picture is needed"):
            stylizer(picture(8, 8), nothing)
        with pytest.raises(ValueError, match="at least one style picture is needed"):
            stylizer.encode_style(nothing)


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(WeightsError, match=r"no such file; `adain convert --download`"):
        Stylizer.load("vgg19", encoder=tmp_path / "none.safetensors", decoder=tmp_path / "none")
    with pytest.raises(ValueError, match="model fast takes no such file"):
        Stylizer.load("fast", decoder=tmp_path / "none")
    with pytest.raises(ValueError, match="model must be fast, vgg19 or hf://OWNER/NAME, not vgg16"):
        Stylizer.load("vgg16")


def test_weights_load_from_files(random_weights, random_params, tmp_path):
    one, painting = picture(16, 16), picture(16, 16)
    loaded = Stylizer.load("vgg19", **random_weights)
    expected = Stylizer(random_params, model="vgg19")
    np.testing.assert_array_equal(loaded(one, painting), expected(one, painting))
    weights.write(tmp_path / "fast", random_layers("fast"), "fast")
    loaded = Stylizer.load(network=tmp_path / "fast")
    np.testing.assert_array_equal(
        loaded(one, painting), Stylizer(random_layers("fast"))(one, painting)
    )


def test_each_encoder_has_its_own_id(stylizer, params, model):
    assert stylizer.encoder_id.startswith(f"{model}-")
    assert Stylizer(params, model=model).encoder_id == stylizer.encoder_id
    other = jax.tree.map(lambda leaf: leaf * 1.001, params)
    assert Stylizer(other, model=model).encoder_id != stylizer.encoder_id


def test_import_is_lazy():
    """`import adain_jax` must not wait for JAX."""
    import subprocess
    import sys

    code = "import sys, adain_jax; print('jax' in sys.modules, adain_jax.__version__)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.startswith("False 0.")


@pytest.mark.parametrize("low", [0, np.nan])
def test_floats_of_0_to_255_are_refused(low):
    pixels = np.linspace(low, 255, 300, dtype=np.float32).reshape(10, 10, 3)
    for name in ("content", "style"):
        with pytest.raises(ValueError, match=rf"a {name} picture's floats .* divide .* by 255"):
            check_pictures([pixels], name)
    assert check_pictures([pixels.clip(-2, 3) if low == 0 else np.ones((1, 1, 3))], "style")


def test_alpha_is_laid_on_white_and_gray_has_three_equal_channels():
    with_alpha = rng.integers(0, 256, (6, 7, 4), np.uint8)
    color, alpha = with_alpha[..., :3].astype(float), with_alpha[..., 3:] / 255
    on_white = color * alpha + 255 * (1 - alpha)
    (as_bytes,) = check_pictures(with_alpha, "content")
    assert as_bytes.dtype == np.uint8
    assert np.abs(as_bytes - on_white).max() <= 1
    (as_floats,) = check_pictures(with_alpha.astype(np.float32) / 255, "content")
    np.testing.assert_allclose(as_floats, on_white / 255, atol=1e-6)
    gray = with_alpha[..., 0]
    for one in (gray, gray[..., None], Image.fromarray(gray), jnp.asarray(gray)):
        (repeated,) = check_pictures(one, "style")
        np.testing.assert_array_equal(repeated, np.stack([gray] * 3, axis=-1))
    (batched,) = check_pictures(gray[None, ..., None], "style")
    np.testing.assert_array_equal(batched, repeated)


def test_channels_that_come_first_are_refused_with_a_hint():
    for pictures in (np.zeros((3, 8, 9), np.float32), np.zeros((2, 3, 8, 9), np.float32)):
        hint = r"must have shape .* not \(3, 8, 9\): .* give numpy.moveaxis\(picture, -3, -1\)"
        with pytest.raises(ValueError, match=hint):
            check_pictures(pictures, "content")
        assert check_pictures(np.moveaxis(pictures, -3, -1), "content")[0].shape == (8, 9, 3)


def test_files_and_images_are_read_like_the_command_reads_them(tmp_path):
    stylizer = Stylizer(random_layers("fast"))
    style = stylizer.encode_style(picture(24, 16))
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize((24, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned, plain = tmp_path / "turned.jpg", tmp_path / "plain.png"
    image.save(turned, exif=exif)
    image.convert("LA").save(plain)
    expected = [stylizer(read_pixels(path), style) for path in (turned, plain)]
    assert expected[0].shape == (24, 16, 3)
    np.testing.assert_array_equal(stylizer(str(turned), style), expected[0])
    with Image.open(turned) as opened:
        np.testing.assert_array_equal(stylizer(opened, style), expected[0])
        assert opened.size == (24, 16)  # as it was
    results = stylizer([turned, plain], style)
    assert isinstance(results, list)
    for result, exact in zip(results, expected, strict=True):
        assert result.dtype == np.uint8
        assert np.abs(result.astype(int) - exact).max() <= 1  # other padding, other rounding
    one, several = stylizer.encode_style(plain), stylizer.encode_style([plain, turned])
    np.testing.assert_allclose(several.mean[0], one.mean, rtol=1e-4, atol=1e-5)
    (tmp_path / "bad.jpg").write_bytes(b"rubbish")
    with pytest.raises(PictureError, match=r"bad\.jpg: not a picture"):
        stylizer([turned, tmp_path / "bad.jpg"], style)
    half = tmp_path / "half.png"
    half.write_bytes(plain.read_bytes()[:-100])
    with Image.open(half) as opened, pytest.raises(PictureError, match="content: damaged"):
        stylizer(opened, style)


@pytest.mark.parametrize("function", [Stylizer.__call__, Stylizer.load, Stylizer])
def test_help_shows_a_signature_of_three_lines(function):
    assert len(str(inspect.signature(function))) <= 3 * 100
