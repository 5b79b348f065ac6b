"""Trained variants in use: what their files record, and that they paint as they did in training."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_layers
from PIL import Image

from adain_jax import Stylizer, mix, weights
from adain_jax.__main__ import main
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.training.checkpoints import export
from adain_jax.training.config import Config
from adain_jax.training.models import bind_trainee
from adain_jax.training.step import initial_state
from adain_jax.weights import WeightsError
from adain_jax.weights.architecture import Architecture, style_name, style_names

rng = np.random.default_rng(0)
NAMES = ("waves", "St. Ives", "night")


def trained(folder, **options):
    """The state of a run, whose norms and table are not those of the beginning, and its file."""
    config = Config(content="", style="", run_dir=folder, **options)
    state = initial_state(config, len(NAMES))

    def changed(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return np.float32(rng.uniform(0.5, 2, leaf.shape))
        return np.float32(rng.normal(0, 0.3, leaf.shape)) if name in ("shift", "mean") else leaf

    params, stats = jax.tree_util.tree_map_with_path(changed, (state.params, state.batch_stats))
    state = state._replace(params=params, batch_stats=stats)
    export(state, folder / "decoder.safetensors", config, NAMES)
    return config, state, folder / "decoder.safetensors"


@pytest.mark.parametrize(("norm", "transform"), [("batch", "adain"), ("instance", "conditional")])
def test_a_variant_paints_as_its_trainee(norm, transform, random_weights, random_params, tmp_path):
    config, state, file = trained(tmp_path, norm=norm, transform=transform)
    content, style = rng.random((2, 1, 40, 24, 3), np.float32)

    @jax.jit
    def as_trained():
        encoder = bind(VGG19Encoder, random_params["encoder"])
        trainee = bind_trainee(config, len(NAMES), state.params, state.batch_stats)
        trainee.eval()
        features = (encoder(jnp.asarray(x)).relu4_1 for x in (content, style))
        return trainee(*features, jnp.array([1]))[0]

    # In a frame, and told to compute in tiles: neither changes what instance normalization sees.
    files = {"encoder": random_weights["encoder"], "decoder": file}
    stylizer = Stylizer.load("vgg19", **files, devices=jax.devices()[:1], tile=128)
    stylizer.plan([(64, 48)])
    chosen = stylizer.styles["St. Ives"] if transform == "conditional" else style[0]
    result = stylizer(content[0], chosen)
    np.testing.assert_allclose(result, np.clip(as_trained(), 0, 1), atol=2e-4)
    assert stylizer._tile_size((200, 200)) == (None if norm == "instance" else 128)


def test_batch_normalization_leaves_the_papers_decoder(tmp_path):
    _, _, file = trained(tmp_path, norm="batch")
    assert weights.read(file, "vgg19-decoder").keys() == random_layers("vgg19-decoder").keys()


def test_a_conditional_decoder_on_the_command_line(random_weights, tmp_path, capsys):
    _, _, file = trained(tmp_path, transform="conditional")
    photo = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(photo)

    def stylize(*options):
        model = ["--model=vgg19", f"--encoder={random_weights['encoder']}", f"--decoder={file}"]
        arguments = ["stylize", f"-c={photo}", *model, f"--output={tmp_path / 'out'}", *options]
        with pytest.raises(SystemExit) as exit_:
            main([*arguments, "--no-compilation-cache"])
        return exit_.value.code, capsys.readouterr().err

    (tmp_path / "out").mkdir()
    assert stylize("--style-index", "1", "night", "--style-weights", "1", "3") == (0, "")
    (result,) = (tmp_path / "out").iterdir()
    assert result.name == "photo_stylized_mix_11_night3.png"
    stylizer = Stylizer.load("vgg19", encoder=random_weights["encoder"], decoder=file)
    blend = mix([stylizer.styles["St. Ives"], stylizer.styles["night"]], [1, 3])
    expected = stylizer(np.asarray(Image.open(photo)), blend)
    np.testing.assert_allclose(np.asarray(Image.open(result)), expected, atol=1)

    code, error = stylize("-s", str(photo))
    assert code == 2
    assert "--style-index" in error
    assert "1 St. Ives" in error
    assert stylize("--style-index", "3")[0] == 2
    code, error = stylize("--style-index", "0", "--style", str(photo))
    assert (code, error.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ({"norm": "layer"}, "norm is none of"),
        ({"transform": "__import__('os')"}, "transform is none of"),
        ({"transform": "conditional"}, "no list"),
        ({"transform": "conditional", "styles": "[" * 100_000}, "no list"),
        ({"transform": "conditional", "styles": json.dumps(["a"] * 5000)}, "no list"),
        ({"transform": "conditional", "styles": '["../../etc"]'}, "no usable name"),
        ({"transform": "conditional", "styles": '["7"]'}, "no usable name"),
        ({"transform": "conditional", "styles": '["\\u001b[2J"]'}, "no usable name"),
        ({"transform": "conditional", "styles": '["a", "a"]'}, "same name"),
        ({"transform": "conditional", "styles": '["a", "b"]'}, "conditional.scale is missing"),
        ({"norm": "instance"}, "conv4_1_norm.scale is missing"),
        ({"transform": "concat"}, "conv4_1.kernel has shape"),
    ],
)
def test_what_metadata_claim_is_checked(recorded, message, tmp_path):
    file = tmp_path / "decoder.safetensors"
    weights.write(file, random_layers("vgg19-decoder"), "vgg19-decoder", recorded)
    with pytest.raises(WeightsError, match=message) as error:
        weights.read_variant(file, "vgg19-decoder")
    assert str(error.value).isprintable()


def test_variants_are_refused_where_only_the_papers_decoder_will_do(random_weights, tmp_path):
    _, _, file = trained(tmp_path, transform="concat")
    assert weights.read_variant(file, "vgg19-decoder")[1] == Architecture("none", "concat")
    with pytest.raises(WeightsError, match="concatenated"):
        weights.read(file, "vgg19-decoder")
    with pytest.raises(WeightsError, match="concatenated"):
        Stylizer.load("vgg19", encoder=random_weights["encoder"], decoder=file)


def test_names_of_styles_come_from_files_and_stay_names():
    assert style_names(["a/waves.jpg", "b/waves.jpg", "3.png", "x:y.png"]) == (
        *("waves", "waves_2", "style 3", "x_y"),
    )
    for text in ("..", "../x", " .a. ", "\x00\n", "9" * 300, "a" * 300, ". . b", "\\\\host\\x"):
        name = style_name(text)
        assert style_name(name) == name
        assert not {"/", "\\"} & set(name)
        assert 0 < len(name) <= 100
