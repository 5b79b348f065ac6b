"""The step and the losses against an independent implementation, and what runs leave on the disk."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import AS_FOR_USERS, random_layers
from PIL import Image

from adain_jax import weights
from adain_jax.convert import convert
from adain_jax.losses import gram_losses, style_losses, total_variation
from adain_jax.nn import bind, vgg19
from adain_jax.nn.fast import mean_pool
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder
from adain_jax.training import __main__ as tools
from adain_jax.training.checkpoints import CheckpointError, Checkpoints
from adain_jax.training.config import Config
from adain_jax.training.run_dir import Metrics, RunError, agree, plot, read_metrics
from adain_jax.training.step import (
    initial_state,
    make_train_step,
    pmapped,
    replicate,
    shard,
    style_weight,
)

pytestmark = pytest.mark.usefixtures("programs_of_training")

rng = np.random.default_rng(0)


def configure(**options):
    return Config(**{"content": "c", "style": "s", "run_dir": Path("r"), "seed": 1, **options})


def batch(n=4, side=16, styles=1):
    return {
        "content": rng.integers(0, 256, (n, side, side, 3), np.uint8),
        "style": rng.integers(0, 256, (n, side, side, 3), np.uint8),
        "style_index": (np.arange(n) % styles).astype(np.int32),
    }


@pytest.fixture(scope="module")
def encoder():
    return random_layers("vgg19-encoder")


@pytest.fixture
def smooth(monkeypatch):
    """VGG19 without kinks: rounding, which depends on the batch, moves no maximum and no sign.

    For what must have the same gradient however it is computed.
    """
    monkeypatch.setattr(jax.nn, "relu", jax.nn.gelu)
    monkeypatch.setattr(vgg19, "max_pool", lambda x, size: mean_pool(x))


def gradient(state):
    """Adam's first moment after one step is a tenth of the raw gradient."""
    return jax.tree.map(lambda mu: np.asarray(mu) / 0.1, state.opt_state[0].mu)


def assert_trees_close(first, second, tolerance):
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(second)))
    difference = jax.tree.map(lambda a, b: np.sum(np.square(np.asarray(a) - b)), first, second)
    assert np.sqrt(sum(jax.tree.leaves(difference))) <= tolerance * norm


# The step


def test_losses_and_gradients_equal_the_reference(reference_weights, square_reference):
    reference = square_reference
    encoder = convert(reference_weights / "vgg_normalised.pth").layers
    decoder = convert(reference_weights / "decoder.pth").layers
    config = configure()
    inputs = {key: reference[key] for key in ("content", "style")}
    step = jax.jit(make_train_step(config, 1), compiler_options=AS_FOR_USERS)
    state, measured = step(
        initial_state(config, 1, decoder), encoder, inputs | {"style_index": np.zeros(2, np.int32)}
    )
    np.testing.assert_allclose(measured["loss"], reference["total_loss"], rtol=1e-4)
    np.testing.assert_allclose(measured["content_loss"], reference["content_loss"], rtol=1e-4)
    layers = [measured[f"style_loss/relu{i}_1"] for i in (1, 2, 3, 4)]
    np.testing.assert_allclose(layers, reference["style_loss_per_layer"], rtol=1e-4)
    grads = gradient(state)["decoder"]
    numbers = [1, 5, 8, 11, 14, 18, 21, 25, 28]
    for number, name in zip(numbers, weights.CHANNELS["vgg19-decoder"], strict=True):
        for part, word in (("kernel", "weight"), ("bias", "bias")):
            norm = np.linalg.norm(grads[name][part])
            np.testing.assert_allclose(norm, reference[f"grad_norm/{number}.{word}"], rtol=1e-3)
    expected = reference["grad/28.weight"].transpose(2, 3, 1, 0)
    assert_trees_close(grads["conv1_1"]["kernel"], expected, 1e-3)


def test_only_the_decoder_is_updated(encoder):
    config = configure()
    before = jax.tree.map(np.copy, encoder)
    state = replicate(initial_state(config, 1))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim)
    assert moments == 2 * count  # Adam's two, of the decoder alone
    params = jax.device_get(state.params)
    on_devices, step = replicate(encoder), pmapped(make_train_step(config, 1))
    for _ in range(3):
        state, _ = step(state, on_devices, shard(batch()))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(on_devices), before)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.params, params)
    assert all(jax.tree.leaves(changed))


def test_four_devices_give_the_gradient_of_one_and_stay_equal(smooth, encoder):
    assert jax.local_device_count() == 4
    config = configure()
    train_step = make_train_step(config, 1)
    one = jax.device_get(initial_state(config, 1))
    stacked = jax.tree.map(lambda a: jnp.broadcast_to(a, (4, *a.shape)), one)
    parallel = jax.pmap(
        lambda *inputs: train_step(*inputs, axis_name="devices"),
        axis_name="devices",
        in_axes=(0, None, 0),
    )
    unstacked, step = replicate(one), pmapped(train_step)
    for i in range(5):
        inputs = batch()
        split = jax.tree.map(lambda a: a.reshape(4, 1, *a.shape[1:]), inputs)
        stacked, _ = parallel(stacked, encoder, split)
        unstacked, measured = step(unstacked, replicate(encoder), shard(inputs))
        if i == 0:
            single, expected = jax.jit(train_step)(one, encoder, inputs)
            assert_trees_close(gradient(unstacked), gradient(single), 1e-5)
            np.testing.assert_allclose(measured["loss"], expected["loss"], rtol=1e-5)
    for leaf in jax.tree.leaves(stacked):
        for replica in leaf[1:]:
            np.testing.assert_array_equal(replica, leaf[0])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), unstacked, stacked)


def run_steps(config, encoder, inputs, styles=1, steps=1):
    """The state after so many steps, and what each measured."""
    state, step = initial_state(config, styles), jax.jit(make_train_step(config, styles))
    history = []
    for _ in range(steps):
        state, measured = step(state, encoder, inputs)
        history.append({key: float(value) for key, value in measured.items()})
    return state, history


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"remat": True}])
def test_what_saves_memory_changes_nothing(smooth, encoder, options):
    inputs = batch()
    plain, _ = run_steps(configure(), encoder, inputs)
    saving, _ = run_steps(configure(**options), encoder, inputs)
    assert_trees_close(gradient(saving), gradient(plain), 1e-5)


def test_pairings_are_the_pairs_they_stand_for(smooth, encoder):
    inputs = batch(n=2)
    rows = {"content": [0, 1, 0, 1], "style": [0, 1, 1, 0], "style_index": [0, 1, 1, 0]}
    written_out = {key: inputs[key][indices] for key, indices in rows.items()}
    paired, [measured] = run_steps(configure(pairings=2), encoder, inputs)
    expected, [values] = run_steps(configure(), encoder, written_out)
    assert_trees_close(gradient(paired), gradient(expected), 1e-5)
    np.testing.assert_allclose(measured["loss"], values["loss"], rtol=1e-5)


@pytest.mark.parametrize("model", ["vgg19", "fast"])
def test_beginning_as_an_auto_encoder(encoder, model):
    config = configure(model=model, reconstruct=8, ramp=4, learning_rate=3e-4)
    fresh, inputs = initial_state(config, 1), batch()
    reconstruct = jax.jit(make_train_step(config, 1, reconstruct=True))
    state, differences = fresh, []
    for _ in range(8):
        state, measured = reconstruct(state, encoder, inputs)
        differences.append(float(measured["pixel_loss"]))
    assert differences[-1] < differences[0]
    # Then the losses, with a tenth of the style's weight and an optimizer that remembers nothing.
    step = jax.jit(make_train_step(config, 1))
    after, measured = step(state, encoder, inputs)
    total = measured["content_loss"] + 0.01 * measured["style_loss"]
    np.testing.assert_allclose(measured["loss"], total, rtol=1e-5)
    forgetful, _ = step(state._replace(opt_state=fresh.opt_state), encoder, inputs)
    jax.tree.map(np.testing.assert_array_equal, after.opt_state, forgetful.opt_state)


def test_the_style_weight_grows_geometrically():
    config = configure(reconstruct=10, ramp=100)
    grown = [float(style_weight(config, jnp.asarray(step))) for step in (10, 60, 110, 1000)]
    np.testing.assert_allclose(grown, [0.01, 0.1 / 10**0.5, 0.1, 0.1], rtol=1e-5)
    assert style_weight(configure(), jnp.asarray(0)) == 0.1


@pytest.mark.essential
def test_bfloat16_has_float32_state_and_close_losses(encoder):
    inputs = batch(side=32)
    _, [exact] = run_steps(configure(), encoder, inputs)
    state, [half] = run_steps(configure(dtype="bfloat16"), encoder, inputs)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    assert half["loss"] != exact["loss"]
    np.testing.assert_allclose(half["loss"], exact["loss"], rtol=0.05)


def test_the_moving_average_follows_its_definition(encoder):
    config = configure(ema=0.75, norm="batch")
    before = initial_state(config, 1)
    after, _ = jax.jit(make_train_step(config, 1))(before, encoder, batch())
    expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, before.params, after.params)
    assert_trees_close(after.ema, jax.device_get(expected), 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "instance"},
        {"norm": "batch"},
        {"transform": "concat"},
        {"transform": "conditional"},
        {"content_target": "content"},
        {"style_statistic": "gram"},
        {"loss": "pytorch", "tv_weight": 0.1},
        {"optimizer": "muon"},
        {"model": "fast", "pairings": 2},
    ],
)
def test_every_variant_learns(encoder, options):
    styles = 32
    config = configure(learning_rate=1e-3, **options)
    inputs = batch(styles=styles)
    state, history = run_steps(config, encoder, inputs, styles, steps=12)
    first, last = history[0], history[-1]
    assert np.isfinite(list(last.values())).all()
    assert last["loss"] < first["loss"]
    if options.get("transform") == "conditional":
        assert state.params["conditional"]["scale"].shape == (32, 512)
    if options.get("norm") == "batch":
        assert np.abs(state.running["decoder"]["conv4_1_norm"]["mean"]).max() > 0


def test_schedules():
    from adain_jax.training.step import learning_rate

    assert learning_rate(configure())(0) == 1e-4
    np.testing.assert_allclose(learning_rate(configure())(20_000), 1e-4 / 2)
    cosine = learning_rate(configure(schedule="cosine", steps=100))
    np.testing.assert_allclose([cosine(0), cosine(50), cosine(100)], [1e-4, 5e-5, 0], atol=1e-12)


def test_the_two_conventions_differ_by_the_number_of_channels():
    from adain_jax.nn.vgg19 import Taps
    from adain_jax.style import statistics

    taps, styles = (
        Taps(*(rng.random((2, 4, 4, c), np.float32) for c in (64, 128, 256, 512))) for _ in "ab"
    )
    moments = tuple(statistics(tap) for tap in styles)
    total = style_losses(taps, moments)
    mean = style_losses(taps, moments, mean_over_channels=True)
    for name, channels in zip(taps._fields, (64, 128, 256, 512), strict=True):
        np.testing.assert_allclose(total[name], channels * mean[name], rtol=1e-5)
    x = np.asarray(taps.relu1_1, np.float64).reshape(2, 16, 64)
    y = np.asarray(styles.relu1_1, np.float64).reshape(2, 16, 64)
    gram = np.einsum("npc,npd->ncd", x, x) / 16 - np.einsum("npc,npd->ncd", y, y) / 16
    expected = np.mean(gram**2)
    losses = gram_losses(taps, styles, mean_over_channels=True)
    np.testing.assert_allclose(losses["relu1_1"], expected, rtol=1e-4)


def test_total_variation():
    ramp = np.broadcast_to(np.arange(4.0)[:, None, None], (1, 4, 5, 3))
    np.testing.assert_allclose(total_variation(ramp), 1.0)


# Records and checkpoints


def test_checkpoints_come_back_bit_for_bit(tmp_path, encoder):
    config = configure(ema=0.75, norm="batch")
    state, _ = run_steps(config, encoder, batch(), steps=2)
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    for step in (1, 2, 3):
        checkpoints.save(state._replace(step=jnp.array(step)), {"content": {"next_index": step}})
    checkpoints.close()
    again = Checkpoints(tmp_path / "c", keep=2)
    restored = again.restore(initial_state(config, 1))
    assert restored.data == {"content": {"next_index": 3}}
    assert int(restored.state.step) == 3
    jax.tree.map(
        np.testing.assert_array_equal, restored.state._replace(step=0), state._replace(step=0)
    )
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["2", "3"]
    with pytest.raises(CheckpointError, match="does not fit"):
        again.restore(initial_state(configure(transform="concat"), 1))
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        Checkpoints(tmp_path / "none").restore(state)


def test_another_configuration_is_refused_with_what_differs(tmp_path):
    agree(configure(run_dir=tmp_path))
    agree(configure(run_dir=tmp_path, steps=7, keep=9))
    with pytest.raises(RunError, match=r"crop: 256 there, 128 now; seed: 1 there, 2 now"):
        agree(configure(run_dir=tmp_path, crop=128, seed=2))


def test_metrics_after_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    metrics = Metrics(path, until=1)
    metrics.write(2, {"loss": 0.5})
    metrics.close()
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 0.5}]


def test_plotting_runs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        metrics = Metrics(tmp_path / name / "metrics.jsonl", 0)
        for step in range(1, 20):
            metrics.write(step, {"loss": 9 / step, "val_content_loss": 1.0})
        metrics.close()
    plot([tmp_path / "a", tmp_path / "b"], tmp_path / "both.png")
    with Image.open(tmp_path / "both.png") as image:
        assert image.width > 800
    with pytest.raises(RunError, match="none: no metrics"):
        plot([tmp_path / "none"], tmp_path / "x.png")


# The decoder to begin with


def test_the_mirrored_decoder_reconstructs_pictures(tmp_path, capsys):
    """Smooth pictures through a random encoder and back; no picture was fitted to alone."""
    for kind in ("photos", "paintings"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            colors = rng.integers(0, 256, (5, 5, 3), np.uint8)
            picture = Image.fromarray(colors).resize((256, 256), Image.Resampling.BICUBIC)
            picture.save(tmp_path / kind / f"{i}.png")
    encoder = random_layers("vgg19-encoder")
    weights.write(tmp_path / "e.st", encoder, "vgg19-encoder")
    names = ("content", "photos"), ("style", "paintings"), ("encoder", "e.st"), ("output", "m.st")
    paths = [(option, tmp_path / name) for option, name in names]
    with pytest.raises(SystemExit, match="0"):
        tools.main(["mirror", "--pictures=8", *(f"--{name}={path}" for name, path in paths)])
    assert "--init" in capsys.readouterr().out
    decoder = weights.read(tmp_path / "m.st", "vgg19-decoder")
    x = np.asarray(picture, np.float32)[None, :128, :128] / 255
    result = bind(Decoder, decoder)(bind(VGG19Encoder, encoder)(x).relu4_1)
    error, of_the_mean = (np.abs(x - other).mean() for other in (result, x.mean((1, 2))))
    assert error < 0.3 * of_the_mean
