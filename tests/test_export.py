"""Exported models paint what `Stylizer` paints, of pictures of any size, and say what they are."""

import sys

import jax
import jaxtyping
import numpy as np
import pytest
from conftest import random_layers

from adain_jax import Stylizer, weights
from adain_jax.export import export
from adain_jax.export.__main__ import main
from adain_jax.style import statistics

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

# Height and width of a content and of a style, and the strength: first the sizes with special cases.
CASES = [
    ((1, 1), (1, 1), 1.0),
    ((1, 37), (40, 1), 1.0),
    ((17, 2), (2, 9), 1.0),
    ((5, 4), (3, 8), 0.0),
    ((16, 24), (8, 8), 1.5),
    *((*np.random.default_rng(seed).integers(1, 64, (2, 2)), seed / 8) for seed in range(8)),
]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.fixture(scope="module", params=["fast", "vgg19"])
def stylizer(request, random_params):
    """Most of its results lie within [0, 1], where clipping hides nothing."""
    params, last = (
        (random_layers("fast"), "picture")
        if request.param == "fast"
        else (random_params, "conv1_1")
    )
    layer = params["decoder"][last]
    layer = {"kernel": 0.05 * layer["kernel"], "bias": layer["bias"] + 0.5}
    params = {**params, "decoder": {**params["decoder"], last: layer}}
    return Stylizer(params, model=request.param)


@pytest.fixture(scope="module")
def painted(stylizer):
    """Of every case the content, the style picture, its statistics and the result, by `Stylizer`."""
    contents = [picture(*size) for size, _, _ in CASES]
    pictures = [picture(*size, seed=1) for _, size, _ in CASES]
    encoded = stylizer.encode_style(pictures)
    styles = [encoded[i] for i in range(len(CASES))]
    results = stylizer(contents, encoded, [alpha for _, _, alpha in CASES])
    return list(zip(contents, pictures, styles, results, strict=True))


def open_onnx(path):
    """The program of a file, of keywords to arrays by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(None, inputs), strict=True))


def open_stablehlo(path):
    return jax.export.deserialize(bytearray(path.read_bytes())).call


@pytest.fixture(autouse=True)
def unchecked_types(monkeypatch):
    """To the type checker, sizes that are not known yet, as in `jax.export`, are no integers."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def check(programs, painted, cases, tolerance):
    """Compares a style encoder and a painter with what `Stylizer` gives, in parts of the range."""
    encode_style, paint = programs
    for i in cases:
        content, style_picture, style, expected = painted[i]
        encoded = encode_style(style=style_picture[None])
        assert set(encoded) == {"mean", "std"}
        for name in encoded:
            reference = getattr(style, name)
            assert encoded[name].shape == (1, len(reference))
            atol = tolerance * np.abs(reference).max()
            np.testing.assert_allclose(encoded[name][0], reference, atol=atol)
        alpha = np.array(CASES[i][2], np.float32)
        result = paint(content=content[None], alpha=alpha, **encoded)["result"]
        assert result.shape == (1, *content.shape)
        np.testing.assert_allclose(result[0], expected, atol=tolerance)


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-4), (True, 2 / 255)])
def test_onnx_of_any_size_is_the_stylizer(stylizer, painted, tmp_path, half, tolerance):
    files = export(stylizer, tmp_path / "new", half=half)
    assert [f.name for f in files] == [f"{stylizer.model}-{p}.onnx" for p in ("style", "painter")]
    check(list(map(open_onnx, files)), painted, range(len(CASES)), tolerance)


def test_stablehlo_of_any_size_is_the_stylizer(stylizer, painted, tmp_path):
    files = export(stylizer, tmp_path, format="stablehlo")
    check(list(map(open_stablehlo, files)), painted, (0, 5), 1e-4)


@pytest.mark.parametrize("format", ["onnx", "stablehlo"])
def test_each_region_in_its_own_style(stylizer, tmp_path, format):
    _, path = export(stylizer, tmp_path, format=format, regions=2)
    assert path.name == f"{stylizer.model}-painter-2-regions.{format}"
    paint = (open_onnx if format == "onnx" else open_stablehlo)(path)
    content, masks = picture(1, 21), picture(1, 21, seed=2)[..., :2]
    masks[..., 1] *= masks[..., 0] > 0.5  # some pixels of more than one region, some of less
    styles = stylizer.encode_style([picture(16, 16, seed) for seed in (3, 4)])
    result = paint(
        content=content[None], mean=styles.mean, std=styles.std, alpha=np.array(0.9, np.float32),
        masks=masks[None],
    )["result"]  # fmt: skip
    expected = stylizer(content, styles, 0.9, masks=masks.transpose(2, 0, 1))
    np.testing.assert_allclose(result[0], expected, atol=1e-4)


@pytest.mark.parametrize("format", ["onnx", "stablehlo"])
def test_split_painters_take_tiles_and_the_statistics_of_the_whole(stylizer, tmp_path, format):
    files = export(stylizer, tmp_path, format=format, split=True)
    assert [f.name for f in files] == [
        f"{stylizer.model}-{p}.{format}" for p in ("encoder", "decoder")
    ]
    encode, decode = map(open_onnx if format == "onnx" else open_stablehlo, files)
    content, style = picture(37, 300), stylizer.encode_style(picture(16, 16, seed=1))
    features = encode(picture=content[None])["features"]
    assert features.shape == (1, 512, 5, 38)
    own = jax.device_get(statistics(np.moveaxis(np.asarray(features), 1, -1)))
    given = {
        "content_mean": own.mean, "content_std": own.std, "mean": style.mean[None],
        "std": style.std[None], "alpha": np.array(0.9, np.float32),
    }  # fmt: skip
    expected = stylizer(content, style, 0.9)
    result = decode(features=features, **given)["result"]
    assert result.shape == (1, 40, 304, 3)
    np.testing.assert_allclose(result[0, :37, :300], expected, atol=1e-4)
    network = stylizer.network
    halo = -(-(network.encoder_radius + network.decoder_radius) // 8) * 8
    tile = encode(picture=content[None, :, 160 - halo :])["features"]
    right = decode(features=tile, **given)["result"][0, :37, halo : halo + 140]
    np.testing.assert_allclose(right, expected[:, 160:], atol=1e-4)


def test_onnx_says_what_it_is(stylizer, tmp_path):
    style_encoder, painter = (onnx.load(path) for path in export(stylizer, tmp_path, half=True))
    metadata = {entry.key: entry.value for entry in painter.metadata_props}
    assert metadata == {entry.key: entry.value for entry in style_encoder.metadata_props}
    assert metadata["model"] == stylizer.model
    assert metadata["encoder_id"] == stylizer.encoder_id
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*painter.graph.input, *painter.graph.output)
    }
    picture = [1, "height", "width", 3]
    one = [1, 512]
    assert shapes == {"content": picture, "mean": one, "std": one, "alpha": [], "result": picture}
    assert all(value.doc_string for value in painter.graph.input)
    floats = {w.data_type for w in painter.graph.initializer if w.dims} - {onnx.TensorProto.INT64}
    assert floats == {onnx.TensorProto.FLOAT16}
    layers = {key.rpartition(".")[0] for key in weights.flatten(stylizer.params)}
    assert layers <= {w.name.rpartition(".")[0] for w in painter.graph.initializer}


def test_the_command_writes_the_model_that_ships(tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--model", "fast", "--format", "onnx", "--output", str(tmp_path), "--half"])
    encode_style, paint = (open_onnx(tmp_path / f"fast-{p}.onnx") for p in ("style", "painter"))
    assert str(tmp_path / "fast-painter.onnx") in capsys.readouterr().out
    content, style = picture(20, 30)[None], picture(30, 20, seed=1)[None]
    encoded = encode_style(style=style)
    result = paint(content=content, alpha=np.array(1, np.float32), **encoded)["result"]
    np.testing.assert_allclose(result[0], Stylizer.load()(content[0], style[0]), atol=2 / 255)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--regions", "-1"], 2, "--regions"),
        (["--regions", "2", "--split"], 2, "--split"),
        (["--encoder", "a.safetensors"], 2, "a.safetensors"),
        (["--network", "missing.safetensors"], 1, "missing.safetensors: no such file"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(tmp_path, capsys, arguments, code, message):
    with pytest.raises(SystemExit, match=str(code)):
        main(["--output", str(tmp_path), *arguments])
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("format", "missing"), [("onnx", "onnx"), ("stablehlo", "flatbuffers")])
def test_what_is_not_installed_is_named(tmp_path, capsys, monkeypatch, format, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    for module in ("onnx_programs", "onnx_graph", "onnx_networks", "stablehlo"):
        monkeypatch.delitem(sys.modules, f"adain_jax.export.{module}", raising=False)
    with pytest.raises(SystemExit, match="1"):
        main(["--format", format, "--output", str(tmp_path)])
    said = f"{format} files need {missing}: pip install 'adain-jax[export]'"
    assert capsys.readouterr().err == f"error: {said}\n"
