"""Against an independent PyTorch implementation, with the published weights, after a conversion."""

from functools import partial

import jax
import numpy as np
import pytest
from conftest import AS_FOR_USERS

from adain_jax import Stylizer, weights
from adain_jax.cli import convert_vgg
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder, VGG19Network
from adain_jax.style import adain, statistics


@pytest.fixture(scope="module")
def converted(reference_weights, tmp_path_factory):
    """The two published files after `convert_vgg.py`."""
    folder = tmp_path_factory.mktemp("converted")
    files = {}
    for part, name in (("encoder", "vgg_normalised"), ("decoder", "decoder")):
        files[part] = folder / f"{part}.safetensors"
        with pytest.raises(SystemExit, match="0"):
            convert_vgg.main([f"{reference_weights / name}.pth", "--output", str(files[part])])
    return files


def assert_close(result, expected):
    assert np.shape(result) == expected.shape
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("case", ["square", "odd"])
def test_taps_target_and_outputs(converted, reference, case):
    params = {part: weights.read(path, f"vgg19-{part}") for part, path in converted.items()}
    content, style = reference[f"{case}/content"], reference[f"{case}/style"]
    compiled = partial(jax.jit, compiler_options=AS_FOR_USERS)
    encode = compiled(lambda params, x: bind(VGG19Encoder, params)(x))
    taps = encode(params["encoder"], content)
    for name, tap in taps._asdict().items():
        assert_close(tap, reference[f"{case}/content_{name}"])
    style_features = encode(params["encoder"], style).relu4_1
    assert_close(style_features, reference[f"{case}/style_relu4_1"])
    assert_close(adain(taps.relu4_1, statistics(style_features)), reference[f"{case}/target"])

    @compiled
    def stylize(params, content, style, alpha):
        network = bind(VGG19Network, params)
        return network(content, network.encode_style(style), alpha)

    assert_close(stylize(params, content, style, 1.0), reference[f"{case}/output"])
    assert_close(stylize(params, content, style, 0.5), reference[f"{case}/output_alpha_0.5"])


@pytest.mark.parametrize("case", ["square", "odd"])
def test_the_stylizer_crops_and_clips(converted, reference, case):
    stylizer = Stylizer.load("vgg19", **converted)
    content = reference[f"{case}/content"]
    result = stylizer(content, reference[f"{case}/style"], 0.5)
    height, width = content.shape[1:3]
    expected = reference[f"{case}/output_alpha_0.5"][:, :height, :width]
    assert_close(result, np.clip(expected, 0, 1))
