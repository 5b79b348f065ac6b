"""Runs of the training command, which survive what happens to them."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import random_layers
from PIL import Image

from adain_jax import Stylizer, weights
from adain_jax import __main__ as tools
from adain_jax.cli import train as command
from adain_jax.files import exclusive
from adain_jax.training.checkpoints import Checkpoints
from adain_jax.training.config import Config
from adain_jax.training.run_dir import read_metrics
from adain_jax.training.step import initial_state

pytestmark = pytest.mark.usefixtures("programs_of_training")

ROOT = Path(__file__).parent.parent
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with contents, styles and an encoder."""
    folder = tmp_path_factory.mktemp("workplace")
    for kind, count in (("content", 9), ("style", 7)):
        (folder / kind).mkdir()
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, (30, 34 + i, 3), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    weights.write(folder / "encoder.safetensors", random_layers("vgg19-encoder"), "vgg19-encoder")
    return folder


def arguments(workplace, run_dir, **options):
    options = {
        "content": workplace / "content",
        "style": workplace / "style",
        "encoder": workplace / "encoder.safetensors",
        **{"run_dir": run_dir, "steps": 6, "batch_size": 4, "crop": 16, "resize": 24},
        **{"log_every": 1, "save_every": 2, "keep": 100},
        **options,
    }
    return [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]


def train(*options):
    with pytest.raises(SystemExit) as exit_:
        command.main(list(options))
    return exit_.value.code


def losses(run_dir):
    lines = read_metrics(Path(run_dir) / "metrics.jsonl")
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def start(options, devices=1, before=(), **pipes):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags}  # the last one counts
    command = [*before, sys.executable, str(ROOT / "train.py"), *options]
    return subprocess.Popen(command, env=environment, text=True, **pipes)


@pytest.fixture(scope="module")
def whole_run(workplace, tmp_path_factory):
    """A run of 6 steps that nothing happened to, on four devices."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    validation = {"val_content": workplace / "content", "val_style": workplace / "style"}
    assert train(*arguments(workplace, run_dir, val_size=16, val_every=3, **validation)) == 0
    return run_dir


@pytest.mark.essential
def test_a_run_leaves_what_people_look_at(whole_run, random_weights):
    names = {path.name for path in whole_run.iterdir()}
    expected = {"config.json", "metrics.jsonl", "curves.png", "decoder.safetensors"}
    assert names == expected | {"checkpoints", "samples"}
    assert list(losses(whole_run)) == [1, 2, 3, 4, 5, 6]
    lines = read_metrics(whole_run / "metrics.jsonl")
    assert {"content_loss", "style_loss", "style_loss/relu3_1", "update_norm"} <= set(lines[1])
    assert [line["step"] for line in lines if "val_loss" in line] == [0, 3, 6]
    assert len(list((whole_run / "samples").glob("*.jpg"))) == 3
    stylizer = Stylizer.load(
        "vgg19", encoder=random_weights["encoder"], decoder=whole_run / "decoder.safetensors"
    )
    picture = rng.random((16, 16, 3), np.float32)
    assert np.isfinite(stylizer(picture, picture)).all()


def test_the_fast_network_is_trained_by_the_same_command(workplace, tmp_path, capsys):
    shutil.copytree(workplace / "content", tmp_path / "content")
    (tmp_path / "content" / "5.png").write_bytes(b"no picture")
    options = {"model": "fast", "steps": 3, "reconstruct": 1, "optimizer": "muon", "ema": 0.5}
    options |= {"content": tmp_path / "content"}
    assert train(*arguments(workplace, tmp_path / "run", **options)) == 0
    file = tmp_path / "run" / "network.safetensors"
    out = capsys.readouterr().out
    assert f"adain stylize --model fast --network {file}" in out
    assert "unreadable pictures skipped: 1" in out
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert ["pixel_loss" in line for line in lines] == [True, False, False]
    picture = rng.random((16, 24, 3), np.float32)
    assert Stylizer.load(network=file)(picture, picture).shape == (16, 24, 3)
    options |= {"steps": 1, "init": file}
    assert train(*arguments(workplace, tmp_path / "next", **options)) == 0


def test_two_do_not_train_in_one_folder(workplace, tmp_path, capsys):
    with exclusive(tmp_path / "run"):
        assert train(*arguments(workplace, tmp_path / "run")) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: .*run: another run is at work in this folder; wait .*\n", err)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.essential
def test_a_run_goes_on_where_it_was(workplace, whole_run, tmp_path, capsys):
    assert train(*arguments(workplace, tmp_path / "run", steps=4)) == 0
    assert train(*arguments(workplace, tmp_path / "run", steps=6), "--resume") == 0
    assert "going on from step 4" in capsys.readouterr().out
    assert losses(tmp_path / "run") == losses(whole_run)
    assert train(*arguments(workplace, tmp_path / "run", seed=5)) == 1
    assert "seed: 0 there, 5 now" in capsys.readouterr().err


def test_pictures_on_the_device_go_on_to_the_bit(workplace, tmp_path, capsys):
    """Two steps in one program, cut and changed inside it, on four devices."""
    options = {"pictures": "device", "steps_per_dispatch": 2}
    flags = ["--flip", "--augment-styles"]
    assert train(*arguments(workplace, tmp_path / "whole", **options), *flags) == 0
    assert "9 + 7 pictures are decoded once and live on the device" in capsys.readouterr().out
    # As if killed after step 4; it goes on without being told where its pictures live.
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "6")
    options["pictures"] = "auto"
    assert train(*arguments(workplace, tmp_path / "run", **options), *flags) == 0
    output = capsys.readouterr().out
    assert "as this run began" in output
    assert "going on from step 4" in output
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert list(losses(tmp_path / "run")) == [1, 2, 3, 4, 5, 6]


def test_minutes_end_a_run_as_its_steps_do(workplace, tmp_path):
    run = tmp_path / "run"
    options = {"steps": 1000, "minutes": 1e-6, "schedule": "cosine"}
    assert train(*arguments(workplace, run, **options)) == 0
    assert list(losses(run)) == [1]
    (first, *_) = read_metrics(run / "metrics.jsonl")
    assert first["learning_rate"] == 0  # the cosine follows the clock
    assert (run / "decoder.safetensors").exists()
    assert train(*arguments(workplace, run, **options)) == 0
    assert list(losses(run)) == [1]  # the same command finds that it has ended


def test_saved_on_four_devices_resumed_on_one(workplace, whole_run, tmp_path):
    assert train(*arguments(workplace, tmp_path / "run", steps=3)) == 0
    process = start(arguments(workplace, tmp_path / "run"), devices=1)
    assert process.wait() == 0
    expected, result = losses(whole_run), losses(tmp_path / "run")
    assert list(result) == list(expected)
    np.testing.assert_allclose(list(result.values()), list(expected.values()), rtol=1e-3)


@pytest.mark.essential
def test_exporting_from_any_checkpoint(whole_run, tmp_path, capsys):
    for options in ([], ["--step=2"]):
        with pytest.raises(SystemExit, match="0"):
            tools.main(["export", str(whole_run), f"--output={tmp_path / 'd.st'}", *options])
    assert "weights of step 2" in capsys.readouterr().out
    early = weights.read(tmp_path / "d.st", "vgg19-decoder")
    late = weights.read(whole_run / "decoder.safetensors", "vgg19-decoder")
    with pytest.raises(SystemExit, match="0"):
        tools.main(["export", str(whole_run), f"--output={tmp_path / 'h.st'}", "--half"])
    half = weights.read(tmp_path / "h.st", "vgg19-decoder")
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(np.float16)), half, late)
    assert not np.array_equal(early["conv1_1"]["kernel"], late["conv1_1"]["kernel"])


def test_a_signal_saves_and_stops(workplace, whole_run, tmp_path):
    options = arguments(workplace, tmp_path / "run", steps=10_000, save_every=10_000)
    process = start(options, devices=4, stdout=subprocess.PIPE)
    while len(losses(tmp_path / "run")) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "the same command goes on from there" in output
    done = losses(tmp_path / "run")
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert saved == [str(max(done))]
    for step in set(done) & set(losses(whole_run)):
        assert done[step] == losses(whole_run)[step]


@pytest.mark.slow
def test_killed_at_any_moment_the_losses_are_those_of_an_uninterrupted_run(workplace, tmp_path):
    """SIGKILL six times, at random moments and in the middle of saves."""
    steps = 24
    options = {"steps": steps, "save_every": 1, "batch_size": 1}
    assert start(arguments(workplace, tmp_path / "whole", **options)).wait() == 0
    run = arguments(workplace, tmp_path / "killed", **options)
    checkpoints = tmp_path / "killed" / "checkpoints"
    moments = random.Random(0)

    def finished():
        return {int(path.name) for path in checkpoints.glob("*") if path.name.isdigit()}

    for kill in range(6):
        process = start(run, stdout=subprocess.DEVNULL)
        begun, target = len(losses(tmp_path / "killed")), moments.randint(1, 3)
        while process.poll() is None and len(losses(tmp_path / "killed")) < begun + target:
            time.sleep(0.01)
        while kill % 2 and process.poll() is None and not list(checkpoints.glob("*tmp*")):
            pass  # every other time, until a save is under way
        time.sleep(moments.random() * 0.02)
        before = finished()
        process.kill()
        process.wait()
        assert before <= finished()
    assert start(run, stdout=subprocess.DEVNULL).wait() == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert list(losses(tmp_path / "killed")) == list(range(1, steps + 1))


def start_two(workplace, run_dir, *, pipes=None, **options):
    """Two processes that train one run together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options |= {"coordinator": f"127.0.0.1:{port}", "num_processes": 2}
    return [
        start(arguments(workplace, run_dir, process_id=i, **options), **(pipes or {}))
        for i in (0, 1)
    ]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(workplace, tmp_path):
    assert start(arguments(workplace, tmp_path / "one", steps=3)).wait() == 0
    processes = start_two(workplace, tmp_path / "two", steps=3)
    assert [process.wait() for process in processes] == [0, 0]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(one) == list(two) == [1, 2, 3]
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-4)


@pytest.mark.slow
def test_a_signal_stops_two_processes_at_the_same_step(workplace, tmp_path):
    """As Slurm does before the end of an allocation: to all processes, not quite at once."""
    run_dir = tmp_path / "run"
    pipes = {"stdout": subprocess.PIPE}
    processes = start_two(workplace, run_dir, pipes=pipes, steps=10_000, save_every=10_000)
    while len(losses(run_dir)) < 2:
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.05)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    first, second = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    last = max(losses(run_dir))
    assert f"stopped at step {last}; the same command goes on from there" in first
    assert "stopped" not in second  # only the first process speaks
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == [str(last)]
    processes = start_two(workplace, run_dir, steps=last + 2)
    assert [process.wait() for process in processes] == [0, 0]
    assert max(losses(run_dir)) == last + 2


# What can go wrong


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"content": "nowhere/at/all"}, 1, "neither a folder nor a data set"),
        ({"style": "./none"}, 1, "none: no such folder"),
        ({"encoder": "none.safetensors"}, 1, "none.safetensors: no such file"),
        ({"batch_size": 3}, 2, "--batch-size 3 must be a multiple of 4"),
        (
            {"pairings": 2, "batch_size": 4},
            2,
            "--pairings 2 needs as many styles in each of the 4 shares",
        ),
        ({"content": "gs://bucket/x"}, 2, "gs://bucket/x is a URL"),
        ({"run_dir": "s3://bucket/run"}, 2, "s3://bucket/run is a URL"),
        ({"style_weight": -1.0}, 2, "--style-weight must be at least 0"),
        ({"crop": 20}, 2, "--crop 20 must be a multiple of 8"),
        ({"resize": 8}, 2, "--resize 8 must be at least --crop 16"),
        ({"steps": 0}, 2, "--steps must be at least 1"),
        ({"seed": -1}, 2, "--seed must be at least 0"),
        ({"val_content": "x"}, 2, "--val-content and --val-style go together"),
    ],
)
def test_bad_input_is_one_line(workplace, tmp_path, capsys, options, code, message):
    assert train(*arguments(workplace, **{"run_dir": tmp_path / "run", **options})) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_loss_that_is_not_finite_stops_the_run(workplace, tmp_path, capsys):
    wild = random_layers("vgg19-decoder")
    wild["conv1_1"]["bias"][:] = 3e38
    weights.write(tmp_path / "wild.safetensors", wild, "vgg19-decoder")
    options = arguments(workplace, tmp_path / "run", init=tmp_path / "wild.safetensors")
    assert train(*options) == 1
    error = capsys.readouterr().err
    assert "the loss is not finite at step 1 (there is no checkpoint" in error
    assert str(workplace / "content") in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_resume_insists_on_a_checkpoint(workplace, tmp_path, capsys):
    assert train(*arguments(workplace, tmp_path / "run"), "--resume") == 1
    assert "no checkpoint to go on from" in capsys.readouterr().err


def test_a_disk_that_is_full_keeps_the_last_checkpoint(workplace, whole_run, tmp_path):
    """A limit on file size makes the writes of the checkpoint fail as a full disk does."""
    run_dir = tmp_path / "run"
    assert train(*arguments(workplace, run_dir, steps=2)) == 0
    (run_dir / "decoder.safetensors").unlink()
    options = arguments(workplace, run_dir, steps=5)
    limited = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh"]
    process = start(options, devices=4, before=limited, stderr=subprocess.PIPE)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "not saved" in error
    assert losses(run_dir) == {step: losses(whole_run)[step] for step in (1, 2, 3, 4, 5)}
    config = json.loads((run_dir / "config.json").read_text())
    restored = Checkpoints(run_dir / "checkpoints").restore(initial_state(Config(**config), 1))
    assert int(restored.state.step) == 2
    assert train(*arguments(workplace, run_dir, steps=5)) == 0
    assert losses(run_dir) == {step: losses(whole_run)[step] for step in (1, 2, 3, 4, 5)}


def test_a_full_disk_is_said_in_one_line(workplace, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert train(*arguments(workplace, tmp_path / "run", steps=3)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("step 2 not saved (the disk is full); the run goes on")
    assert second.endswith("step 3 not saved (the disk is full)")
    assert list(losses(tmp_path / "run")) == [1, 2, 3]
