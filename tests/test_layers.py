"""The layers against their plain definitions, alone and sharing a frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import AS_FOR_USERS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from adain_jax.nn import bind, layers, valid_size
from adain_jax.nn.cpu import row_blocks, winograd
from adain_jax.nn.layers import ReflectConv, UpsampleConv, max_pool
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder, VGG19Network
from adain_jax.style import Style

sides = st.integers(1, 9)


def valid_conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A sum over the window, in float64, by NumPy alone."""
    n, h, w, _ = x.shape
    y = np.zeros((n, h - 2, w - 2, kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            window = x[:, i : h - 2 + i, j : w - 2 + j].astype(np.float64)
            y += window @ kernel[i, j].astype(np.float64)
    return y


def plain_conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
    """The same with reflection padding and a bias."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    return valid_conv(x, kernel) + bias


def plain_upsample_conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return plain_conv(x.repeat(2, axis=1).repeat(2, axis=2), kernel, bias)


def plain_max_pool(x: np.ndarray) -> np.ndarray:
    n, h, w, c = x.shape
    y = np.empty((n, -(-h // 2), -(-w // 2), c), x.dtype)
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            y[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2))
    return y


def parameters(c_in: int, c_out: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((3, 3, c_in, c_out)).astype(np.float32)
    return {"kernel": kernel, "bias": rng.standard_normal(c_out).astype(np.float32)}


LAYERS = {ReflectConv: (plain_conv, 1), UpsampleConv: (plain_upsample_conv, 2)}


@pytest.mark.essential
@pytest.mark.parametrize("layer", LAYERS)
@given(h=sides, w=sides)
@example(h=261, w=5)  # in strips
@settings(max_examples=12, deadline=None)
def test_convolutions_equal_their_definition(layer, h, w):
    plain, _ = LAYERS[layer]
    x = np.random.default_rng(h * 10 + w).standard_normal((2, h, w, 3)).astype(np.float32)
    params = parameters(3, 4)
    result = jax.jit(bind(lambda rngs: layer(3, 4, rngs=rngs), params))(x)
    np.testing.assert_allclose(result, plain(x, **params), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("c_out", [4, 20, 70])  # of narrow gradients and of wide ones
@pytest.mark.parametrize("layer", LAYERS)
@given(h=sides, w=sides)
@example(h=261, w=5)  # in strips
@settings(max_examples=4, deadline=None)
def test_gradients_of_convolutions_equal_their_definition(layer, c_out, h, w):
    """Both are bilinear: the gradient along a direction is the layer applied to the direction."""
    plain, factor = LAYERS[layer]
    rng = np.random.default_rng(h * 10 + w)
    x, dx = rng.standard_normal((2, 2, h, w, 3)).astype(np.float32)
    params = parameters(3, c_out)
    kernel, d_kernel = params["kernel"], parameters(3, c_out, seed=1)["kernel"]
    gradient = rng.standard_normal((2, factor * h, factor * w, c_out)).astype(np.float32)

    def apply(x, kernel):
        return bind(lambda rngs: layer(3, c_out, rngs=rngs), {**params, "kernel": kernel})(x)

    to_x, to_kernel = jax.jit(lambda *xk: jax.vjp(apply, *xk)[1](jnp.asarray(gradient)))(x, kernel)
    assert_same_along(to_x, dx, gradient, plain(dx, kernel, 0))
    assert_same_along(to_kernel, d_kernel, gradient, plain(x, d_kernel, 0))


@pytest.mark.essential
@given(h=st.integers(3, 9), w=st.integers(3, 14))
@settings(max_examples=6, deadline=None)
def test_winograds_way_equals_the_definition(h, w):
    rng = np.random.default_rng(h * 10 + w)
    x, dx = rng.standard_normal((2, 2, h, w, 70)).astype(np.float32)
    kernel, d_kernel = (parameters(70, 80, seed)["kernel"] for seed in (0, 1))
    gradient = rng.standard_normal((2, h - 2, w - 2, 80)).astype(np.float32)

    @jax.jit
    def both_ways(x, kernel):
        result, pull = jax.vjp(winograd.convolve, x, kernel)
        return result, *pull(jnp.asarray(gradient))

    result, to_x, to_kernel = both_ways(x, kernel)
    expected = valid_conv(x, kernel)
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()
    assert_same_along(to_x, dx, gradient, valid_conv(dx, kernel))
    assert_same_along(to_kernel, d_kernel, gradient, valid_conv(x, d_kernel))


def assert_same_along(to_input, direction, gradient, expected):
    scale = np.linalg.norm(expected) * np.linalg.norm(gradient)
    assert abs(np.vdot(to_input, direction) - np.vdot(gradient, expected)) < 1e-5 * scale


def test_wide_convolutions_do_not_depend_on_the_batch():
    """Bit for bit, so that no unit is on in one batch and off in another."""
    params = parameters(64, 128)
    x = np.random.default_rng(0).standard_normal((3, 24, 24, 64)).astype(np.float32)
    layer = bind(lambda rngs: ReflectConv(64, 128, rngs=rngs), params)
    layer = jax.jit(layer, compiler_options=AS_FOR_USERS)
    np.testing.assert_array_equal(layer(x)[:1], layer(x[:1]))


@pytest.mark.parametrize("layer", LAYERS)
def test_convolutions_in_a_shared_frame_equal_each_picture_alone(layer):
    plain, factor = LAYERS[layer]
    params = parameters(3, 4)
    sizes = np.array([(1, 1), (1, 6), (7, 2), (8, 9), (3, 9), (8, 1), (5, 5)])
    frame = np.random.default_rng(0).standard_normal((len(sizes), 8, 9, 3)).astype(np.float32)
    results = bind(lambda rngs: layer(3, 4, rngs=rngs), params)(
        jnp.asarray(frame), jnp.array(sizes)
    )
    for x, y, (h, w) in zip(frame, np.asarray(results), sizes, strict=True):
        alone = plain(x[None, :h, :w], **params)[0]
        np.testing.assert_allclose(y[: factor * h, : factor * w], alone, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", ["pooled", "upsampled"])
@given(h=st.integers(1, 60), other=st.integers(1, 60), w=st.integers(1, 9))
@example(h=60, other=1, w=9)
@settings(max_examples=12, deadline=None)
def test_row_blocks_give_the_same_as_all_at_once(kind, h, other, w):
    first, second = parameters(3, 4), parameters(4, 5, seed=1)

    def pooled(x, size):
        x = bind(lambda rngs: ReflectConv(3, 4, rngs=rngs), first)(x, size)
        return max_pool(bind(lambda rngs: ReflectConv(4, 5, rngs=rngs), second)(x, size), size)

    def upsampled(x, size):
        x = bind(lambda rngs: UpsampleConv(3, 4, rngs=rngs), first)(x, size)
        return bind(lambda rngs: ReflectConv(4, 5, rngs=rngs), second)(x, 2 * size)

    f, every = (pooled, 2) if kind == "pooled" else (upsampled, 1)
    x = np.random.default_rng(h * 10 + w).standard_normal((2, 60, 12, 3)).astype(np.float32)
    size = np.array([[h, w], [other, 12]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_blocks, "BLOCK_ROWS", 7)
        in_blocks = jax.jit(lambda x, size: row_blocks.map_row_blocks(f, x, size, every=every))
        assert "while" in in_blocks.lower(x, size).as_text()
        blocks = np.asarray(in_blocks(x, size))
    whole = np.asarray(jax.jit(f)(x, size))
    for a, b, (height, width) in zip(blocks, whole, size, strict=True):
        real = tuple(-(-side // 2) if kind == "pooled" else 2 * side for side in (height, width))
        # Not to the bit: how XLA rounds a position depends on the rows beside it on some CPUs.
        np.testing.assert_allclose(a[: real[0], : real[1]], b[: real[0], : real[1]], atol=2e-5)


@given(h=sides, w=sides)
@settings(max_examples=8, deadline=None)
def test_what_accelerators_do_equals_what_cpus_do(h, w):
    """Bit for bit: sums with zeros."""
    rng = np.random.default_rng(h * 10 + w)
    phases = rng.standard_normal((2, h + 1, w + 1, 12)).astype(np.float32)
    of_cpus, of_accelerators = layers._interleave_stacked, layers._interleave_summed
    np.testing.assert_array_equal(jax.jit(of_accelerators)(phases), jax.jit(of_cpus)(phases))
    x = rng.standard_normal((2, h, w, 3)).astype(np.float32)
    for mode in ("reflect", "edge"):
        padded = jax.jit(lambda x, mode=mode: valid_size._pad_summed(x, mode))(x)
        expected = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=mode)
        np.testing.assert_array_equal(padded, expected)


@given(h=sides, w=sides)
@settings(max_examples=12, deadline=None)
def test_max_pool_rounds_up(h, w):
    x = np.random.default_rng(0).standard_normal((2, h, w, 3)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(max_pool)(x), plain_max_pool(x))


def test_max_pool_in_a_shared_frame_sees_real_pixels_only():
    sizes = np.array([(1, 1), (3, 4), (6, 5), (6, 6)])
    frame = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
    for x, y, (h, w) in zip(
        frame, max_pool(jnp.asarray(frame), jnp.array(sizes)), sizes, strict=True
    ):
        alone = plain_max_pool(x[None, :h, :w])[0]
        np.testing.assert_array_equal(y[: -(-h // 2), : -(-w // 2)], alone)


def test_convolution_gradients_equal_those_of_the_plain_layers():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 5, 6, 3)), jnp.float32)
    params = parameters(3, 4)

    def plain(params, x):
        x = jnp.pad(x.repeat(2, 1).repeat(2, 2), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        y = lax.conv_general_dilated(
            x, params["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.sum(jnp.sin(y + params["bias"]))

    def folded(params, x):
        return jnp.sum(jnp.sin(bind(lambda rngs: UpsampleConv(3, 4, rngs=rngs), params)(x)))

    expected = jax.grad(plain, argnums=(0, 1))(params, x)
    result = jax.grad(folded, argnums=(0, 1))(params, x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), result, expected
    )


def test_a_layer_computes_in_the_dtype_of_its_kernel():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), parameters(3, 4))
    layer = bind(lambda rngs: ReflectConv(3, 4, rngs=rngs), params)
    assert layer(jnp.ones((1, 4, 4, 3))).dtype == jnp.bfloat16


def test_shapes_of_the_networks(random_params):
    x = np.zeros((2, 19, 33, 3), np.float32)
    taps = jax.eval_shape(bind(VGG19Encoder, random_params["encoder"]), x)
    assert [tap.shape[1:] for tap in taps] == [
        (19, 33, 64),
        (10, 17, 128),
        (5, 9, 256),
        (3, 5, 512),
    ]
    picture = jax.eval_shape(bind(Decoder, random_params["decoder"]), taps.relu4_1)
    assert picture.shape == (2, 24, 40, 3)


def test_networks_give_the_same_in_a_shared_frame(random_params):
    """Also where the frame outside the pictures is poisoned."""

    @jax.jit
    def stylize(params, contents, style, masks, size):
        network = bind(VGG19Network, params)
        return network(contents, style, 0.8, masks, size), network.encode_style(contents, size)

    rng = np.random.default_rng(0)
    sizes = np.array([(1, 1), (9, 17), (24, 5)])
    frame = np.full((3, 24, 24, 3), np.nan, np.float32)
    for x, (h, w) in zip(frame, sizes, strict=True):
        x[:h, :w] = rng.random((h, w, 3))
    masks = np.where(np.isnan(frame[..., :1]), 0, 0.7)
    style = Style(rng.random((1, 512), np.float32), rng.random((1, 512), np.float32))
    pictures, styles = stylize(random_params, frame, style, masks, jnp.array(sizes))
    for i, (h, w) in enumerate(sizes):
        real = np.s_[i : i + 1, :h, :w]
        picture, own_style = stylize(random_params, frame[real], style, masks[real], None)
        scale = np.abs(picture).max()
        np.testing.assert_allclose(pictures[real], picture[:, :h, :w], atol=2e-5 * scale, rtol=0)
        np.testing.assert_allclose(styles.mean[i], own_style.mean[0], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(styles.std[i], own_style.std[0], atol=1e-5, rtol=1e-5)
