"""The step and the losses against an independent implementation, and what runs leave on the disk."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import AS_FOR_USERS, random_layers
from PIL import Image

from adain_jax import __main__ as tools
from adain_jax import weights
from adain_jax.cli import training_tools
from adain_jax.convert import convert
from adain_jax.data.sources import Pictures, open_source
from adain_jax.images.dtypes import to_float
from adain_jax.losses import adain_losses, gram_losses, style_losses, total_variation
from adain_jax.nn import bind, vgg19
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder
from adain_jax.style import adain, statistics
from adain_jax.training.as_seen import clip, random_corner
from adain_jax.training.checkpoints import CheckpointError, Checkpoints
from adain_jax.training.config import Config
from adain_jax.training.devices import pmapped, replicate
from adain_jax.training.loop import steps_of_dispatch
from adain_jax.training.optimizer import learning_rate, style_weight
from adain_jax.training.pictures_on_device import NumberedBatches, crop_windows, load_all
from adain_jax.training.recipe import RecipeError, read_recipe
from adain_jax.training.run_dir import Metrics, RunError, agree, plot, read_metrics
from adain_jax.training.step import Frozen, State, in_sequence, initial_state, make_train_step
from adain_jax.training.style_augmentation import (
    AXES,
    PALETTE_MEAN,
    augment_styles,
    other_palette,
    poster,
    vivid,
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
        "pair": np.arange(n, dtype=np.int32),
    }


@pytest.fixture(scope="module")
def frozen():
    return Frozen(random_layers("vgg19-encoder"))


@pytest.fixture
def smooth(monkeypatch):
    """VGG19 without kinks: rounding, which depends on the batch, moves no maximum and no sign.

    For what must have the same gradient however it is computed.
    """
    monkeypatch.setattr(jax.nn, "relu", jax.nn.gelu)
    monkeypatch.setattr(vgg19, "max_pool", mean_pool)


def mean_pool(x, size):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


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
    frozen = Frozen(convert(reference_weights / "vgg_normalised.pth").layers)
    decoder = convert(reference_weights / "decoder.pth").layers
    config = configure()
    inputs = {key: reference[key] for key in ("content", "style")}
    step = jax.jit(make_train_step(config, 1), compiler_options=AS_FOR_USERS)
    state, measured = step(
        initial_state(config, 1, decoder), frozen, inputs | {"style_index": np.zeros(2, np.int32)}
    )
    np.testing.assert_allclose(measured["loss"], reference["total_loss"], rtol=1e-4)
    np.testing.assert_allclose(measured["content_loss"], reference["content_loss"], rtol=1e-4)
    layers = [measured[f"style_loss/relu{i}_1"] for i in (1, 2, 3, 4)]
    np.testing.assert_allclose(layers, reference["style_loss_per_layer"], rtol=1e-4)
    grads = gradient(state)["decoder"]
    numbers = [1, 5, 8, 11, 14, 18, 21, 25, 28]
    names = [name for block in vgg19.BLOCKS for name in block]
    for number, name in zip(numbers, reversed(names), strict=True):
        for part, word in (("kernel", "weight"), ("bias", "bias")):
            norm = np.linalg.norm(grads[name][part])
            np.testing.assert_allclose(norm, reference[f"grad_norm/{number}.{word}"], rtol=1e-3)
    expected = reference["grad/28.weight"].transpose(2, 3, 1, 0)
    assert_trees_close(grads["conv1_1"]["kernel"], expected, 1e-3)


def split(batch):
    """Over the four devices."""
    return jax.tree.map(lambda a: a.reshape(4, -1, *a.shape[1:]), batch)


def test_only_the_decoder_is_updated(frozen):
    config = configure()
    before = jax.tree.map(np.copy, frozen)
    state = replicate(initial_state(config, 1))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim)
    assert moments == 2 * count  # Adam's two, of the decoder alone
    params = jax.device_get(state.params)
    on_devices, step = replicate(frozen), pmapped(make_train_step(config, 1))
    for _ in range(3):
        state, _ = step(state, on_devices, split(batch()))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(on_devices), before)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.params, params)
    assert all(jax.tree.leaves(changed))


def test_four_devices_give_the_gradient_of_one_and_stay_equal(smooth, frozen):
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
        stacked, _ = parallel(stacked, frozen, split(inputs))
        unstacked, measured = step(unstacked, replicate(frozen), split(inputs))
        if i == 0:
            single, expected = jax.jit(train_step)(one, frozen, inputs)
            assert_trees_close(gradient(unstacked), gradient(single), 1e-5)
            np.testing.assert_allclose(measured["loss"], expected["loss"], rtol=1e-5)
    for leaf in jax.tree.leaves(stacked):
        for replica in leaf[1:]:
            np.testing.assert_array_equal(replica, leaf[0])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[0]), unstacked, stacked)


def run_steps(config, frozen, inputs, styles=1, steps=1):
    """The state after so many steps, and what each measured."""
    state, step = initial_state(config, styles), jax.jit(make_train_step(config, styles))
    history = []
    for _ in range(steps):
        state, measured = step(state, frozen, inputs)
        history.append({key: float(value) for key, value in measured.items()})
    return state, history


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"remat": True}])
def test_what_saves_memory_changes_nothing(smooth, frozen, options):
    inputs = batch()
    plain, _ = run_steps(configure(), frozen, inputs)
    saving, _ = run_steps(configure(**options), frozen, inputs)
    assert_trees_close(gradient(saving), gradient(plain), 1e-5)


def test_pairings_are_the_pairs_they_stand_for(smooth, frozen):
    inputs = batch(n=2)
    rows = {"content": [0, 1, 0, 1], "style": [0, 1, 1, 0], "style_index": [0, 1, 1, 0]}
    written_out = {key: inputs[key][indices] for key, indices in rows.items()}
    paired, [measured] = run_steps(configure(pairings=2), frozen, inputs)
    expected, [values] = run_steps(configure(), frozen, written_out)
    assert_trees_close(gradient(paired), gradient(expected), 1e-5)
    np.testing.assert_allclose(measured["loss"], values["loss"], rtol=1e-5)


def test_beginning_as_an_auto_encoder(frozen):
    config = configure(reconstruct=8, ramp=4, learning_rate=3e-4)
    fresh, inputs = initial_state(config, 1), batch()
    reconstruct = jax.jit(make_train_step(config, 1, reconstruct=True))
    state, differences = fresh, []
    for _ in range(8):
        state, measured = reconstruct(state, frozen, inputs)
        differences.append(float(measured["pixel_loss"]))
    assert differences[-1] < differences[0]
    # Then the losses, with a tenth of the style's weight and an optimizer that remembers nothing.
    step = jax.jit(make_train_step(config, 1))
    after, measured = step(state, frozen, inputs)
    total = measured["content_loss"] + 0.01 * measured["style_loss"]
    np.testing.assert_allclose(measured["loss"], total, rtol=1e-5)
    forgetful, _ = step(state._replace(opt_state=fresh.opt_state), frozen, inputs)
    jax.tree.map(np.testing.assert_array_equal, after.opt_state, forgetful.opt_state)


def test_the_style_weight_grows_geometrically():
    config = configure(reconstruct=10, ramp=100)
    grown = [float(style_weight(config, jnp.asarray(step))) for step in (10, 60, 110, 1000)]
    np.testing.assert_allclose(grown, [0.01, 0.1 / 10**0.5, 0.1, 0.1], rtol=1e-5)
    assert style_weight(configure(), jnp.asarray(0)) == 0.1


def test_bfloat16_has_float32_state_and_close_losses(frozen):
    inputs = batch(side=32)
    _, [exact] = run_steps(configure(), frozen, inputs)
    state, [half] = run_steps(configure(dtype="bfloat16"), frozen, inputs)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    assert half["loss"] != exact["loss"]
    np.testing.assert_allclose(half["loss"], exact["loss"], rtol=0.05)


def test_the_moving_average_follows_its_definition(frozen):
    config = configure(ema=0.75, norm="batch")
    before = initial_state(config, 1)
    after, _ = jax.jit(make_train_step(config, 1))(before, frozen, batch())
    expected = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, before.params, after.params)
    assert_trees_close(after.ema, jax.device_get(expected), 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        # Options that do not meet in the program share one, since compiling takes the time.
        {"norm": "instance", "transform": "concat", "style_statistic": "gram"},
        {"norm": "batch", "transform": "conditional"},
        {"content_target": "content", "loss": "pytorch", "tv_weight": 0.1, "optimizer": "muon"},
        {"model": "fast", "pairings": 2},
    ],
)
def test_every_variant_learns(frozen, options):
    styles = 32
    config = configure(learning_rate=1e-3, **options)
    inputs = batch(styles=styles)
    state, history = run_steps(config, frozen, inputs, styles, steps=12)
    first, last = history[0], history[-1]
    assert np.isfinite(list(last.values())).all()
    assert last["loss"] < first["loss"]
    if options.get("transform") == "conditional":
        assert state.params["conditional"]["scale"].shape == (32, 512)
    if options.get("norm") == "batch":
        assert np.abs(state.batch_stats["decoder"]["conv4_1_norm"]["mean"]).max() > 0


def test_schedules():
    inverse = [learning_rate(configure(), step) for step in (0, 20_000)]
    np.testing.assert_allclose(inverse, [1e-4, 1e-4 / 2], rtol=1e-6)
    config = configure(schedule="cosine", steps=100)
    points = [(0, 0), (50, 0), (50, 0.25), (100, 0), (0, 0.5), (25, 0.5), (0, 1), (0, 1.1)]
    rates = [learning_rate(config, *point) for point in points]
    expected = [1e-4, 5e-5, 5e-5, 0, 5e-5, 5e-5, 0, 0]
    np.testing.assert_allclose(rates, expected, atol=1e-11)


def test_the_two_conventions_differ_by_the_number_of_channels():
    from adain_jax.nn.vgg19 import Taps
    from adain_jax.style import statistics

    taps, styles = (
        Taps(*(jnp.asarray(rng.random((2, 4, 4, c), np.float32)) for c in (64, 128, 256, 512)))
        for _ in "ab"
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
    ramp = jnp.broadcast_to(jnp.arange(4.0)[:, None, None], (1, 4, 5, 3))
    np.testing.assert_allclose(total_variation(ramp), 1.0)


# Distillation


def test_features_alone_train_the_encoder_alone(frozen):
    options = {"content_weight": 0.0, "style_weight": 0.0, "feature_weight": 1.0}
    config = configure(model="fast", learning_rate=1e-3, optimizer="muon", **options)
    inputs = batch()
    before = jax.device_get(initial_state(config, 1).params["network"])
    state, history = run_steps(config, frozen, inputs, steps=8)
    after = jax.device_get(state.params["network"])
    jax.tree.map(np.testing.assert_array_equal, after["decoder"], before["decoder"])
    assert history[-1]["feature_loss"] < 0.97 * history[0]["feature_loss"]
    assert "content_loss" not in history[0]  # VGG19 looks at no result


def test_a_student_of_its_own_weights_has_nothing_to_learn(frozen):
    decoder = random_layers("vgg19-decoder", 1)
    options = {"content_weight": 0.0, "style_weight": 0.0, "teacher_weight": 2.0}
    config = configure(**options)
    step = jax.jit(make_train_step(config, 1))
    teaching = frozen._replace(teacher=decoder)
    _, own = step(initial_state(config, 1, decoder), teaching, batch())
    assert own["teacher_loss"] == 0
    _, other = step(initial_state(config, 1), teaching, batch())
    assert other["teacher_loss"] > 0
    np.testing.assert_allclose(other["loss"], 2 * other["teacher_loss"], rtol=1e-6)


# Pictures as they are seen


def test_clipping_lets_values_back_in_but_not_further_out():
    values = jnp.array([-0.5, -0.5, 0.5, 0.5, 1.5, 1.5])
    np.testing.assert_array_equal(clip(values), [0, 0, 0.5, 0.5, 1, 1])
    wishes = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])  # descent subtracts them
    _, pull_back = jax.vjp(clip, values)
    np.testing.assert_array_equal(pull_back(wishes)[0], [0, -1, 1, -1, 1, 0])


def test_losses_as_seen_are_those_of_the_clipped_window(frozen):
    config = configure(model="vgg19", as_seen=True, seed=3, crop=32)
    inputs = {key: jnp.asarray(x) for key, x in batch(side=32).items()}
    state = initial_state(config, 1, random_layers("vgg19-decoder"))
    _, measured = jax.jit(make_train_step(config, 1))(state, frozen, inputs)
    encoder = bind(VGG19Encoder, frozen.encoder)
    contents, styles = (to_float(inputs[key]) for key in ("content", "style"))
    styles = encoder(styles)
    result = bind(Decoder, state.params["decoder"])(
        adain(encoder(contents).relu4_1, statistics(styles.relu4_1))
    )
    assert not ((result >= 0) & (result <= 1)).all()
    top, left = np.asarray(random_corner(jax.random.fold_in(jax.random.key(3), 0)))
    seen = np.s_[:, top : top + 24, left : left + 24]
    expected = adain_losses(
        encoder(jnp.clip(result, 0, 1)[seen]), encoder(contents[seen]).relu4_1, styles
    )
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-4, err_msg=name)


# Pictures on the device, several steps per dispatch


@pytest.fixture
def sources(tmp_path):
    """Two sources of pictures of many shapes, shorter side 40."""
    pictures = []
    for kind, count in (("content", 7), ("style", 5)):
        (tmp_path / kind).mkdir()
        for i in range(count):
            shape = (40, 40 + 7 * i, 3) if i % 2 else (40 + 7 * i, 40, 3)
            pixels = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
            pixels.save(tmp_path / kind / f"{i}.png")
        pictures.append(Pictures(open_source(str(tmp_path / kind)), 40))
    return pictures


def test_crops_on_the_device_are_windows_of_the_pictures(sources):
    host, names = load_all(sources[0])
    on_device = jax.device_put(host)
    index = np.array([6, 0, 3, 3, 5, 1])
    keys = jax.random.split(jax.random.key(0), len(index))
    for flip in (False, True):
        crops = np.asarray(crop_windows(on_device, index, keys, 16, flip))
        assert crops.dtype == np.uint8
        mirrored = 0
        for i, crop in zip(index, crops, strict=True):
            whole, name = sources[0][int(i)]
            assert name == names[i]
            windows = np.lib.stride_tricks.sliding_window_view(whole, crop.shape)
            found = [(windows == c).all((3, 4, 5)).any() for c in (crop, crop[:, ::-1])]
            assert any(found)
            mirrored += found[1] and not found[0]
        assert (0 < mirrored < len(index)) == flip
    whole = crop_windows(on_device, np.array([0]), keys[:1], 40, False)  # a square picture
    np.testing.assert_array_equal(whole[0], sources[0][0][0])


def test_corners_reach_every_place_equally(sources):
    on_device = jax.device_put(load_all(sources[0])[0])
    marked = on_device._replace(pixels=jnp.arange(on_device.pixels.size).reshape(-1, 3))
    keys = jax.random.split(jax.random.key(1), 4000)
    crops = crop_windows(marked, np.full(4000, 1), keys, 16, False)
    corners = (np.asarray(crops)[:, 0, 0, 0] // 3 - on_device.first[1]).astype(int)
    top, left = np.divmod(corners, 47)
    for values, count in ((top, 25), (left, 32)):
        assert set(values) == set(range(count))
        assert np.bincount(values).max() < 2 * 4000 / count


def test_numbered_batches_go_on_anywhere_and_are_shared_by_processes():
    names = [f"c{i}" for i in range(7)], [f"s{i}" for i in range(5)]

    def batches(**options):
        return NumberedBatches(*names, **{"batch_size": 4, "seed": 3, **options})

    whole = batches()
    taken = [next(whole) for _ in range(9)]
    contents = [n for one in taken for n in one.content]
    assert all(sorted(contents[i : i + 7]) == list(range(7)) for i in range(0, 35, 7))
    assert contents[:7] != contents[7:14]
    assert [n for one in taken for n in one.pair] == list(range(36))
    assert taken[0].names == [f"c{i}" for i in taken[0].content] + [f"s{i}" for i in taken[0].style]
    again = batches()
    again.set_state({"batches": 5})
    np.testing.assert_array_equal(next(again).content, taken[5].content)
    shares = [batches(batch_size=2, process_index=i, process_count=2) for i in (0, 1)]
    for one in taken:
        for i, share in enumerate(shares):
            np.testing.assert_array_equal(next(share).style, one.style[i::2])


def test_a_dispatch_of_several_steps_is_those_steps(sources, frozen):
    config = configure(crop=16, resize=40, pictures="device", flip=True, augment_styles=True)
    (content, names), (style, style_names) = map(load_all, sources)
    inputs = frozen._replace(content=content, style=style)
    batches = NumberedBatches(names, style_names, batch_size=4, seed=1)
    taken = [next(batches).arrays() for _ in range(2)]
    train_step = make_train_step(config, 5)
    one_by_one, step = initial_state(config, 5), jax.jit(train_step)
    losses = []
    for arrays in taken:
        one_by_one, measured = step(one_by_one, inputs, arrays)
        losses.append(float(measured["loss"]))
    stacked = {key: np.stack([arrays[key] for arrays in taken]) for key in taken[0]}
    at_once, measured = jax.jit(in_sequence(train_step))(initial_state(config, 5), inputs, stacked)
    np.testing.assert_allclose(measured["loss"], losses, rtol=1e-5)
    assert losses[0] != losses[1]
    assert_trees_close(at_once.params, jax.device_get(one_by_one.params), 1e-5)


def test_dispatches_end_where_something_is_to_be_done():
    config = configure(steps=103, steps_per_dispatch=10, val_every=25, save_every=40, reconstruct=3)
    step, ends = 0, []
    while step < config.steps:
        step += steps_of_dispatch(config, step)
        ends.append(step)
    assert {3, 25, 40, 50, 75, 80, 100, 103} <= set(ends)
    assert len(ends) < 60
    assert steps_of_dispatch(configure(steps_per_dispatch=10), 20) == 10


# Augmented styles


def test_half_of_the_styles_keep_their_colors_and_all_stay_pictures():
    styles = np.random.default_rng(0).random((64, 16, 16, 3), np.float32)
    keys = jax.random.split(jax.random.key(0), 64)
    augmented = np.asarray(augment_styles(keys, styles))
    assert augmented.min() >= 0
    assert augmented.max() <= 1
    np.testing.assert_array_equal(augmented, augment_styles(keys, styles))
    assert 20 < (augmented == styles).all((1, 2, 3)).sum() < 44
    assert np.ptp(augmented.mean((1, 2)), axis=0).min() > 0.2


def test_palettes_are_drawn_as_paintings_have_them():
    """Of a picture that fits every palette, the average of the results has the average palette."""
    picture = 0.5 + 0.02 * np.random.default_rng(0).standard_normal((24, 24, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 500)
    changed = np.asarray(jax.vmap(other_palette, (0, None))(keys, picture), np.float64)
    means = np.einsum("nhwc,ac->na", changed, AXES) / 24**2
    before = picture.mean((0, 1)) @ AXES.T
    # On average, three quarters of the way.
    np.testing.assert_allclose(means.mean(0), before / 4 + PALETTE_MEAN[:3] * 3 / 4, atol=0.03)
    # The picture is still the same one: light stays light.
    light = np.corrcoef(picture.mean(-1).ravel(), changed.mean(-1).reshape(500, -1))[0, 1:]
    assert light.min() > 0.95


def test_vivid_colors_have_other_hues_and_more_saturation():
    picture = 0.5 + 0.05 * np.random.default_rng(0).standard_normal((24, 24, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 200)
    changed = np.asarray(jax.vmap(vivid, (0, None))(keys, picture))
    gained = (changed @ AXES[1:].T).std((1, 2, 3)) / (picture @ AXES[1:].T).std()
    assert gained.min() > 0.5
    assert 1.5 < np.median(gained) < 3.5
    one_hue = np.full((1, 1, 3), [0.6, 0.5, 0.5], np.float32)
    turned = np.asarray(jax.vmap(vivid, (0, None))(keys, one_hue))[:, 0, 0]
    assert set(turned.argmax(-1)) == {0, 1, 2}


def test_posters_have_few_flat_colors_and_keep_the_drawing():
    x = np.linspace(0.48, 0.52, 64, dtype=np.float32)
    picture = np.broadcast_to((x[:, None] + x)[..., None] / 2, (64, 64, 3))
    keys = jax.random.split(jax.random.key(0), 200)
    posters = np.asarray(jax.vmap(poster, (0, None))(keys, picture))
    assert posters.min() >= 0
    assert posters.max() <= 1

    # Where no pattern lies over it, three times in five, light alone decides the color.
    plain = np.diagonal(posters[:, ::-1], 0, 1, 2).std(-1).max(-1) < 1e-3
    assert 0.5 < plain.mean() < 0.7

    counts, strongest = [], []
    for one in posters[plain]:
        pixels, colors = one.reshape(-1, 3), []
        # The most frequent color first, with all that differs by no more than the trace of the picture.
        while len(pixels):
            bins, sizes = np.unique(pixels.round(2), axis=0, return_counts=True)
            if sizes.max() < 0.04 * one[..., 0].size:
                break  # only edges are left
            colors.append(bins[sizes.argmax()])
            pixels = pixels[np.abs(pixels - colors[-1]).max(-1) > 0.02]
        counts.append(len(colors))
        strongest += [color.argmax() for color in colors if np.ptp(color) > 0.2]
    assert max(counts) <= 6  # five and black lines
    assert np.median(counts) >= 3
    assert np.bincount(strongest, minlength=3).min() > len(strongest) / 5


# Recipes


@pytest.mark.slow
def test_a_recipe_makes_weights_leg_by_leg_and_goes_on(tmp_path, sources, capsys):
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'model = "vgg19"\n[common]\npictures = "device"\nsteps_per_dispatch = 1\n'
        '[[legs]]\nname = "first"\n[[legs]]\nname = "second"\n'  # which share one program
    )
    weights.write(tmp_path / "e.st", random_layers("vgg19-encoder"), "vgg19-encoder")
    paths = [f"--{kind}={tmp_path / kind}" for kind in ("content", "style")]
    paths += [f"--val-{kind}={tmp_path / kind}" for kind in ("content", "style")]
    run = tmp_path / "run"
    arguments = [
        "recipe",
        str(recipe),
        *paths,
        f"--encoder={tmp_path / 'e.st'}",
        f"--run-dir={run}",
    ]
    with pytest.raises(SystemExit, match="0"):
        tools.main([*arguments, "--smoke"])
    output = capsys.readouterr().out
    assert "| Lc | Ls | relu1_1 |" in output
    assert "live on the device" in output
    assert weights.read(run / "vgg19-decoder.safetensors", "vgg19-decoder")
    for name in ("evaluation.json", "curves.png", "samples.jpg", "second/decoder.safetensors"):
        assert (run / name).exists()
    first = (run / "first" / "decoder.safetensors").stat().st_mtime_ns
    (run / "second" / "decoder.safetensors").unlink()
    with pytest.raises(SystemExit, match="0"):
        tools.main([*arguments, "--smoke"])
    assert (run / "first" / "decoder.safetensors").stat().st_mtime_ns == first
    assert "leg first" not in capsys.readouterr().out


def test_recipes_say_what_is_wrong_with_them(tmp_path):
    for name in ("fast", "vgg19"):
        recipe = read_recipe(name)
        for leg in recipe.legs.values():
            assert not configure(model=recipe.model, **leg).problems()
    with pytest.raises(RecipeError, match="those that ship are fast, vgg19"):
        read_recipe("none")
    for text, message in (
        ("model = ", "Invalid"),
        ('model = "vgg16"', "needs model = fast or vgg19"),
        ('model = "fast"\n[[legs]]\nstep = 1', "leg 1: no such option: step"),
    ):
        (tmp_path / "r.toml").write_text(text)
        with pytest.raises(RecipeError, match=message):
            read_recipe(tmp_path / "r.toml")


# Records and checkpoints


def test_checkpoints_come_back_bit_for_bit(tmp_path, frozen):
    config = configure(ema=0.75, norm="batch")
    state, _ = run_steps(config, frozen, batch(), steps=2)
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


@pytest.mark.parametrize(
    "cut", ["state/_METADATA", "state/manifest.ocdbt", "state/**/d/*", "data/metadata"]
)
def test_a_damaged_checkpoint_is_passed_over_and_put_aside(tmp_path, capfd, cut):
    state = State(**{key: {} for key in State._fields})._replace(
        params={"a": np.ones((9, 9))}, step=0
    )
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(state._replace(step=jnp.array(step)), {"batches": step})
    checkpoints.close()
    for damaged in (tmp_path / "2").glob(cut):
        damaged.write_bytes(damaged.read_bytes()[:8])
    again = Checkpoints(tmp_path)
    assert again.restore(state).data == {"batches": 1}
    err = capfd.readouterr().err
    assert err == f"warning: {tmp_path / '2'}: damaged checkpoint; going on from step 1\n"
    assert again.latest == 1
    with pytest.raises(CheckpointError, match="step 2 is damaged or does not fit"):
        again.restore(state, 2)
    again.save(state._replace(step=jnp.array(2)), {"batches": 20})
    again.close()
    assert Checkpoints(tmp_path).restore(state).data == {"batches": 20}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "2.damaged"]


def test_another_configuration_is_refused_with_what_differs(tmp_path):
    agree(configure(run_dir=tmp_path))
    agree(configure(run_dir=tmp_path, steps=7, keep=9))
    with pytest.raises(RunError, match=r"crop: 256 there, 128 now; seed: 1 there, 2 now"):
        agree(configure(run_dir=tmp_path, crop=128, seed=2))
    # A run from before pictures could live on the device goes on as it was.
    file = tmp_path / "config.json"
    older = {key: v for key, v in json.loads(file.read_text()).items() if key != "pictures"}
    file.write_text(json.dumps(older))
    agree(configure(run_dir=tmp_path, pictures="stream"))
    file.write_text(json.dumps(older))
    with pytest.raises(RunError, match="pictures: 'stream' there, 'device' now"):
        agree(configure(run_dir=tmp_path, pictures="device"))


def test_a_run_of_a_model_that_is_gone_is_not_exported(tmp_path):
    values = {**configure(run_dir=tmp_path).to_json(), "model": "distilled"}
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(
        RunError, match="trained distilled, a model that this version does not have"
    ):
        training_tools.export(training_tools.Export(tmp_path))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff{}", b"[" * 100_000])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json: damaged"):
        agree(configure(run_dir=tmp_path))


@pytest.mark.parametrize("line", [b"\xff", b"7", b'{"loss": 1}', b'{"step": "1"}', b"[" * 100_000])
def test_damaged_metrics_are_passed_over(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line + b'\n{"step": 1, "loss": 2.0}\n')
    Metrics(path, until=1).close()
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}]


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
    result = bind(Decoder, decoder)(bind(VGG19Encoder, encoder)(jnp.asarray(x)).relu4_1)
    error, of_the_mean = (np.abs(x - other).mean() for other in (result, x.mean((1, 2))))
    assert error < 0.3 * of_the_mean
