"""The weights that ship: they are there, small, ours, and work without anything else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from adain_jax import Stylizer, weights
from adain_jax.cli import infer
from adain_jax.evaluation import woven_texture
from adain_jax.files import safetensors_metadata
from adain_jax.images import read_picture

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SHIPPED = ("fast", "vgg19-decoder")


@pytest.fixture
def nothing_converted(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAIN_JAX_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize("kind", SHIPPED)
def test_they_are_float16_and_have_a_card(kind, nothing_converted):
    path = weights.default_path(kind)
    assert path.parent == ROOT / "adain_jax" / "weights"
    assert {array.dtype for array in load_file(path).values()} == {np.dtype(np.float16)}
    metadata = safetensors_metadata(path.read_bytes())
    assert {"config", "steps"} <= set(metadata)
    assert "/" not in metadata["config"]  # no path of the machine that trained it
    card = path.with_suffix(".md").read_text()
    assert "adain train" in card
    assert "adain evaluate" in card


@pytest.mark.parametrize("kind", SHIPPED)
def test_converted_weights_come_before_them(kind, nothing_converted):
    own = weights.converted_path(kind)
    own.parent.mkdir()
    own.touch()
    assert weights.default_path(kind) == own


@pytest.fixture(scope="module")
def fast():
    return Stylizer.load()


def test_the_default_takes_the_style_and_keeps_the_content(fast):
    content = read_picture(EXAMPLES / "content" / "astronaut.jpg", size=256)
    style = read_picture(EXAMPLES / "style" / "swirls.jpg", size=256)
    result = fast(content, style)

    def distance(a, b):
        """Between the colors' means and deviations."""
        return (
            np.abs(a.mean((0, 1)) - b.mean((0, 1))).sum()
            + np.abs(a.std((0, 1)) - b.std((0, 1))).sum()
        )

    assert distance(result, style) < 0.5 * distance(content, style)
    lightness = [picture.mean(-1).ravel() for picture in (content, result)]
    assert np.corrcoef(*lightness)[0, 1] > 0.6


def test_the_default_weaves_no_pattern_of_single_pixels(fast):
    """Under 0.3 gray levels: of photographs left as they are each time, of paintings on average.

    Single styles have up to 1.7 themselves, and results may take over a part of that.
    """
    contents = [read_picture(path, size=256) for path in sorted((EXAMPLES / "content").iterdir())]
    styles = [read_picture(path, size=256) for path in sorted((EXAMPLES / "style").iterdir())]

    def checkers(style, alpha):
        results = fast(contents, style, alpha)
        pairs = zip(contents, results, strict=True)
        return [float(woven_texture(a[None], b[None])["checker"][0]) for a, b in pairs]

    encoded = [fast.encode_style(style) for style in styles]
    assert max(checkers(encoded[0], 0.0)) < 0.3
    woven = [checkers(style, 1.0) for style in encoded]
    assert np.mean(woven) < 0.3
    for own, results in zip(styles, woven, strict=True):
        taken_over = float(woven_texture(own[None], own[None])["checker"][0])
        assert max(results) < max(0.3, 1.5 * taken_over)


def test_infer_needs_nothing_else(nothing_converted, tmp_path):
    pictures = ["--content", EXAMPLES / "content" / "cat.jpg"]
    pictures += ["--style", EXAMPLES / "style" / "swirls.jpg", "--output", tmp_path / "out.png"]
    with pytest.raises(SystemExit, match="0"):
        infer.main([*map(str, pictures), "--content-size=128", "--no-compilation-cache"])
    with Image.open(tmp_path / "out.png") as image:
        assert min(image.size) == 128


def test_the_paper_s_model_needs_its_encoder(nothing_converted, tmp_path, capsys):
    pictures = ["--content", EXAMPLES / "content", "--style", EXAMPLES / "style"]
    with pytest.raises(SystemExit, match="1"):
        infer.main(["--model=vgg19", *map(str, pictures), "--output", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert "`adain convert --download` fetches and converts one" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_they_are_in_a_small_wheel(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, ROOT]
    subprocess.run(list(map(str, command)), check=True, env=os.environ)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 20e6
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {f"adain_jax/weights/{kind}.safetensors" for kind in SHIPPED} <= set(names)
