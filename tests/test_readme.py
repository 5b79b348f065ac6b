"""The commands and the Python of the README and the guides, as they stand and in their order."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from adain_jax.weights import default_path

ROOT = Path(__file__).parent.parent


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands():
    """All blocks of commands in one, without what needs the network."""
    all_blocks = [block for page in PAGES for block in blocks(page, "sh")]
    assert len(all_blocks) >= 5
    lines = "\n".join(all_blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if "--download" not in line]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_the_python_of_a_page_runs_in_its_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    for i, name in enumerate(("photo.jpg", "wave.jpg", "night.jpg")):
        pixels = np.random.default_rng(i).integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(pixels).resize((90, 72)).save(name)
    trained = tmp_path / "runs/mine/network.safetensors"
    trained.parent.mkdir(parents=True)
    shutil.copy(default_path("fast"), trained)
    namespace = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.slow
def test_the_commands_run_in_their_order_in_a_fresh_clone(tmp_path, random_weights):
    clone = tmp_path / "adain-jax"
    script = "\n".join(commands())
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
    names = ("cat.jpg", "coral.jpg", "again.jpg", "paper.jpg", "stylized/grid.png", "report.json")
    for name in (*names, "curves.png", "exported/fast-painter.onnx"):
        assert (clone / name).exists()
    assert len(list((clone / "stylized").glob("*.jpg"))) == 12
    assert len(list((clone / "strengths").iterdir())) == 3
    assert len(list((clone / "dataset").iterdir())) == 12
    assert (clone / "runs/try/decoder.safetensors").exists()
