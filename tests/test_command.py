"""The command `adain`: its help, its version, what it says where something is missing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adain_jax import __version__
from adain_jax.__main__ import COMMANDS, main
from adain_jax.cli.command import signals_held

ROOT = Path(__file__).parent.parent


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    captured = capsys.readouterr()
    return exit_.value.code or 0, captured.out, captured.err


def test_without_a_command_there_is_the_list_of_all(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for name in COMMANDS:
        assert f"• {name} " in out
    assert "adain stylize -c photo.jpg" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_describes_its_options_without_noise(name, capsys):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"Example: adain {name} " in out
    for noise in ("{None}", "default: )", "default: None", "default: False"):
        assert noise not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("stylize --alhpa 1", "unrecognized options: --alhpa, 1; perhaps you meant --alpha"),
        ("stylize -a x", "-a/--alpha: Could not find valid parse for arguments: ['x']"),
        ("train --content x", "missing from adain train: --style, --run-dir"),
        ("train --steps", "missing value for argument '--steps'. Expected 1 values"),
    ],
)
def test_bad_usage_is_said_in_one_line(arguments, message, capsys):
    command = arguments.split()
    line = f"error: {message}; see adain {command[0]} --help\n"
    assert run(capsys, *command) == (2, "", line)


def test_a_command_that_is_not_there(capsys):
    code, _, error = run(capsys, "stylise")
    assert code == 2
    assert error.startswith("error: there is no command stylise; there are stylize, app, ")
    assert error.endswith(", reproduce; see adain --help\n")


def test_short_flags_are_the_long_ones(capsys):
    arguments = ("-c", "a", "-s", "b", "-o", "c", "-m", "vgg19", "-a", "0.5", "--batch-size", "0")
    assert run(capsys, "stylize", *arguments)[::2] == (
        2,
        "error: --batch-size must be at least 1\n",
    )


def test_the_module_is_the_command_and_its_help_needs_no_jax():
    arguments = [sys.executable, "-X", "importtime", "-m", "adain_jax"]
    for argument in ("--version", "--help"):
        result = subprocess.run(
            [*arguments, argument], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "| jax\n" not in result.stderr
        assert "| numpy\n" not in result.stderr
        assert result.stdout.startswith(
            f"adain {__version__}" if argument == "--version" else "usage: adain "
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell, tmp_path, capsys):
    assert run(capsys, "--tyro-write-completion", shell, str(tmp_path / "adain"))[0] == 0
    script = (tmp_path / "adain").read_text()
    assert "stylize" in script
    assert "preserve-color" in script


@pytest.mark.parametrize("script", ["infer.py", "train.py", "convert_vgg.py", "-m adain_jax"])
def test_a_python_without_the_packages_is_told_what_to_do(script):
    python = [sys.executable, "-S", "-E"]  # without site-packages
    result = subprocess.run(
        [*python, *script.split(), "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "lacks tyro" in result.stderr
    assert ". .venv/bin/activate" in result.stderr


@pytest.mark.parametrize(
    ("module", "arguments", "shown"),
    [
        ("adain_jax", ["stylize"], "--style-file"),
        ("adain_jax.dataset", [], "--format"),
        ("adain_jax.evaluation", [], "--json"),
        ("adain_jax.training", ["recipe"], "--smoke"),
        ("adain_jax.data", ["pack"], "--quality"),
    ],
)
def test_modules_are_commands_too(module, arguments, shown):
    command = [sys.executable, "-m", module, *arguments, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert shown in result.stdout
    assert "Example: adain " in result.stdout


def test_signals_wait_for_the_end_of_imports():
    imported = []

    def import_() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            imported.append("all")

    # A shell that starts the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            import_()
        assert imported == ["all"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
