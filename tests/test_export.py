"""Exported models: they paint what `Stylizer` paints, of pictures of any size, and say what they are."""

import sys

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import random_layers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adain_jax import Stylizer, weights
from adain_jax.export import export
from adain_jax.export.__main__ import main
from adain_jax.style import Style

FLOAT = 1e-4
HALF = 2 / 255
rng = np.random.default_rng(0)
sides = st.integers(1, 40)
few = settings(deadline=None, max_examples=12)


def picture(height, width):
    return rng.random((1, height, width, 3), np.float32)


def run(file, **inputs):
    """The outputs of an ONNX file, by their names."""
    session = _session(file)
    inputs = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


_sessions = {}


def _session(file):
    if file not in _sessions:
        _sessions[file] = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return _sessions[file]


@pytest.fixture(scope="module", params=["fast", "vgg19"])
def stylizer(request, random_params):
    """In fixed shapes, so that few programs are compiled; most of its results are within [0, 1]."""
    params = random_layers("fast") if request.param == "fast" else random_params
    layer = "picture" if request.param == "fast" else "conv1_1"
    decoder = params["decoder"]
    last = {"kernel": 0.05 * decoder[layer]["kernel"], "bias": decoder[layer]["bias"] + 0.5}
    params = {**params, "decoder": {**decoder, layer: last}}
    return Stylizer(params, model=request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "float16"])
def onnx_files(request, stylizer, folder):
    """The style encoder, the painter and the tolerance."""
    folder = folder / ("half" if request.param else "full")
    files = export(stylizer, folder, half=request.param)
    return *map(str, files), HALF if request.param else FLOAT


@few
@example(height=1, width=1, style_height=1, style_width=1, alpha=1.0)
@example(height=1, width=37, style_height=40, style_width=1, alpha=1.0)
@example(height=17, width=2, style_height=2, style_width=9, alpha=1.0)
@example(height=5, width=4, style_height=3, style_width=8, alpha=1.0)
@given(sides, sides, sides, sides, st.floats(0, 1.5))
def test_onnx_paints_what_the_stylizer_paints(
    stylizer, onnx_files, height, width, style_height, style_width, alpha
):
    style_encoder, painter, tolerance = onnx_files
    content, style = picture(height, width), picture(style_height, style_width)
    encoded = run(style_encoder, style=style)
    expected = stylizer.encode_style(style[0])
    for name, value in encoded.items():
        reference = getattr(expected, name)
        assert value.shape == (1, *reference.shape)
        np.testing.assert_allclose(value[0], reference, atol=tolerance * np.abs(reference).max())
    result = run(painter, content=content, alpha=alpha, **encoded)["result"]
    assert result.shape == content.shape
    np.testing.assert_allclose(result[0], stylizer(content[0], expected, alpha), atol=tolerance)
