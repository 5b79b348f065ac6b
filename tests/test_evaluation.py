"""The evaluation command against the figures of an independent implementation."""

import base64
import io
import json
import re

import jax
import numpy as np
import pytest
from conftest import AS_FOR_USERS, random_layers
from PIL import Image

from adain_jax import evaluation, weights
from adain_jax.__main__ import main
from adain_jax.convert import convert
from adain_jax.data.sources import open_source

rng = np.random.default_rng(0)


@pytest.fixture
def pairs(tmp_path):
    for kind, count in (("content", 3), ("style", 2)):
        (tmp_path / kind).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (40, 50 + i, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    return [f"--{kind}={tmp_path / kind}" for kind in ("content", "style")]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *arguments])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


def test_measures_equal_the_reference(reference_weights, square_reference):
    reference = square_reference
    encoder = convert(reference_weights / "vgg_normalised.pth").layers
    measured = jax.jit(evaluation.measure, compiler_options=AS_FOR_USERS)(
        encoder, *(reference[key] for key in ("content", "style", "output"))
    )
    np.testing.assert_allclose(measured["content_loss"], reference["content_loss"], rtol=1e-4)
    channels = (64, 128, 256, 512)  # the reference sums over them
    layers = [measured[f"style_loss/relu{i}_1"] for i in (1, 2, 3, 4)]
    expected = reference["style_loss_per_layer"] / channels
    np.testing.assert_allclose(layers, expected, rtol=1e-4)
    np.testing.assert_allclose(measured["style_loss"], expected.sum(), rtol=1e-4)


def test_ssim_is_1_for_the_content_itself_and_less_for_others():
    content = rng.random((1, 32, 32, 3), np.float32)
    encoder = random_layers("vgg19-encoder")
    measure = jax.jit(evaluation.measure)
    same, noise = (
        float(measure(encoder, content, content, result)["ssim"])
        for result in (content, rng.random((1, 32, 32, 3), np.float32))
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert abs(noise) < 0.2


def test_pairs_are_central_squares_of_the_pictures_as_they_are(tmp_path):
    for kind, (w, h) in (("content", (50, 41)), ("style", (20, 30))):
        (tmp_path / kind).mkdir()
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(tmp_path / kind / "a.png")
    sources = [open_source(str(tmp_path / kind)) for kind in ("content", "style")]
    ((content, style),) = evaluation.read_pairs(*sources, 24)
    pixels = np.asarray(Image.open(tmp_path / "content" / "a.png"))[8:32, 13:37]
    np.testing.assert_array_equal(content, pixels / np.float32(255))
    assert style.shape == (24, 24, 3)  # enlarged


def test_the_command_prints_a_table_and_json(pairs, random_weights, tmp_path, capsys):
    weights.write(tmp_path / "fast", random_layers("fast"), "fast")
    size, encoder = "--size=32", f"--encoder={random_weights['encoder']}"
    code, out, err = run(
        capsys, *pairs, size, encoder, "--model=vgg19", f"--decoder={random_weights['decoder']}"
    )
    assert (code, err) == (0, "")
    assert "relu4_1" in out
    assert "2 pairs of 32 px" in out
    code, out, _ = run(capsys, *pairs, size, encoder, f"--network={tmp_path / 'fast'}", "--json")
    values = json.loads(out)
    layers = [values[f"style_loss/relu{i}_1"] for i in (1, 2, 3, 4)]
    assert values["style_loss"] == pytest.approx(sum(layers), rel=1e-5)
    assert (values["model"], values["pairs"]) == ("fast", 2)


def test_several_models_are_rows_of_one_table_and_of_a_report(
    pairs, random_weights, tmp_path, capsys
):
    weights.write(tmp_path / "fast", random_layers("fast"), "fast")
    report = tmp_path / "report.html"
    files = [f"--{part}={path}" for part, path in random_weights.items()]
    files.append(f"--network={tmp_path / 'fast'}")
    code, out, err = run(
        capsys, *pairs, *files, "--size=32", "--model", "fast", "vgg19", f"--html={report}"
    )
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines() if line}
    html = report.read_text()
    for model in ("fast", "vgg19"):
        assert f"<td>{model}</td><td>{rows[model]}</td>" in html
    shown = re.findall(r'src="data:image/webp;base64,([^"]+)"', html)
    assert len(shown) == 2 * 4  # content, style and two results of two pairs
    for data in shown:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (32, 32)
    assert "http" not in html
    code, _, err = run(capsys, *pairs, "--model", "fast", "fast", "--decoder=x")
    assert (code, err.count("\n")) == (2, 1)
    assert "none of the models takes such a file as decoder: x" in err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--decoder=x"],
            2,
            "model fast takes no such file as decoder, only network: x",
        ),
        (["--size=8"], 2, "--size must be at least 16"),
        (["--encoder=none.safetensors"], 1, "adain convert --download"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(pairs, capsys, options, code, message):
    result = run(capsys, *pairs, *options)
    assert result[0] == code
    assert message in result[2]
    assert result[2].count("\n") == 1


def test_woven_texture_is_the_amplitude_of_the_pattern_in_flat_areas():
    yy, xx = np.mgrid[:64, :64]
    content = np.full((64, 64, 3), 0.5, np.float32)
    content[:, 32:] += rng.normal(0, 0.1, (64, 32, 3)).astype(np.float32)  # not flat
    patterns = {
        "smooth": 0.2 * xx / 64,
        "checker": 5 / 255 * (-1.0) ** (xx + yy),
        "columns": 5 / 255 * (-1.0) ** xx,
        "textured": np.where(xx < 32, 0, 5 / 255 * (-1.0) ** (xx + yy)),  # where it is not flat
    }
    results = np.stack([0.5 + pattern[..., None].repeat(3, -1) for pattern in patterns.values()])
    contents = np.broadcast_to(content, results.shape)
    measured = jax.device_get(evaluation.woven_texture(contents, results.astype(np.float32)))
    np.testing.assert_allclose(measured["checker"], [0, 5, 0, 0], atol=0.02)
    np.testing.assert_allclose(measured["scratches"], [0, 5, 5 / 2**0.5, 0], atol=0.02)
