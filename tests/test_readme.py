"""The commands of the README, as they stand there and in their order, as a new user types them."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def commands():
    """All blocks of commands in one, without what needs the network or hours."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if "--download" not in line and "make test" not in line]


@pytest.mark.slow
def test_the_commands_run_in_their_order_in_a_fresh_clone(tmp_path, random_weights):
    clone = tmp_path / "adain-jax"
    script = "\n".join(commands()).replace("make lint", "true")
    script = script.replace("<this repository>", shlex.quote(str(ROOT)))
    # The clone is of what is committed; what has changed since is copied over it. Its environment has
    # the packages of this one instead of fresh downloads, so that `make` finds it installed.
    prepare = f"""
    make_environment() {{
        (cd {shlex.quote(str(ROOT))} && git ls-files -coz --exclude-standard | xargs -0 tar c) | tar x
        {shlex.quote(sys.executable)} -m venv --without-pip .venv
        folder=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        printf '%s\\n' "$PWD" {shlex.quote(sysconfig.get_path("purelib"))} > "$folder/all.pth"
        printf '#!%s\\nfrom adain_jax.__main__ import main\\nmain()\\n' "$PWD/.venv/bin/python" \\
            > .venv/bin/adain
        chmod +x .venv/bin/adain
        touch .venv/installed
    }}
    make() {{ [ -d .venv ] || make_environment; command make "$@"; }}
    """
    weights = tmp_path / "data" / "adain-jax"
    weights.mkdir(parents=True)
    (weights / "vgg19-encoder.safetensors").symlink_to(random_weights["encoder"])
    environment = {
        **{"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ADAIN_JAX_DATA": str(weights)},
        **{"XDG_CACHE_HOME": str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"},
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", prepare + script],
        **{"cwd": tmp_path, "env": environment, "check": False, "capture_output": True},
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "failed" not in result.stdout + result.stderr
    for name in (
        "cat.jpg",
        "coral.jpg",
        "again.jpg",
        "paper.jpg",
        "stylized/grid.png",
        "report.json",
    ):
        assert (clone / name).exists()
    assert len(list((clone / "stylized").glob("*.jpg"))) == 12
    assert len(list((clone / "strengths").iterdir())) == 3
    assert len(list((clone / "dataset").iterdir())) == 12
    assert (clone / "runs/try/decoder.safetensors").exists()
