"""What is said of long work, with a terminal and without, and of compilations."""

import time

import jax
import numpy as np
import pytest
from PIL import Image

from adain_jax import progress
from adain_jax.__main__ import main
from adain_jax.progress import note_part, track


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.02)


def wait_for(text, capsys):
    deadline, said = time.monotonic() + 20, ""
    while text not in said:
        assert time.monotonic() < deadline, said
        time.sleep(0.02)
        said += capsys.readouterr().err
    return said


def test_without_a_terminal_there_is_a_line_now_and_then(quickly, capsys):
    with progress.progress("painting", 4) as advance:
        wait_for("painting: 0 of 4 after 0 s\n", capsys)
        for _ in range(3):
            advance(note="red")
            time.sleep(0.05)
        said = wait_for("painting: 3 of 4 after ", capsys)
        assert "/s, red, about " in said
        assert said.endswith(" s left\n")
        with progress.progress("drying", None):
            wait_for("drying: 0 after ", capsys)
        note_part(0.25)
        wait_for("painting: 3.25 of 4", capsys)
        advance()
        wait_for("painting: 4 of 4", capsys)
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_the_total_may_become_known_on_the_way(quickly, capsys):
    with progress.progress("painting", None) as advance:
        wait_for("painting: 0 after 0 s\n", capsys)
        advance(2, total=8.2)
        time.sleep(0.05)
        advance(2, total=7.9)
        said = wait_for("painting: 4 of 8 after ", capsys)
        assert "/s, about " in said
        advance(5, total=8)
        wait_for("painting: 9 of 9 after ", capsys)


def test_short_work_says_nothing_where_there_is_no_terminal(capsys):
    assert list(track("counting", range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    for _ in track("painting", range(3), 3):
        time.sleep(0.15)
    said = capsys.readouterr().err
    assert "painting" in said
    assert "3/3" in said
    assert "/s" in said


def test_a_compilation_is_announced_while_it_lasts(quickly, capsys):
    said = []

    def on_translated(event, duration_secs, **_):
        if event == progress._TRANSLATED:  # XLA compiles next: hold it up until a line was printed
            said.append(wait_for("painting, compiling for this size, once: 0 of 1", capsys))

    with progress.progress("painting", 1):
        jax.monitoring.register_event_duration_secs_listener(on_translated)
        try:
            jax.jit(lambda x: x * 3 + 1)(np.ones(7))
        finally:
            jax.monitoring.unregister_event_duration_listener(on_translated)
        assert said
        wait_for("\npainting: 0 of 1", capsys)


@pytest.mark.parametrize(("strokes", "passes"), [(0, 1), (160, 1), (80, 2)])
def test_a_large_picture_is_done_tile_by_tile(strokes, passes, quickly, tmp_path, capsys):
    parts = []
    jax.monitoring.register_scalar_listener(
        listener := lambda event, value, **_: (
            parts.append(value) if event == progress._PART else None
        )
    )
    try:
        noise = np.random.default_rng(0).integers(0, 256, (700, 160, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        style = Image.fromarray(noise[:64, :64])
        style.save(tmp_path / "s.png")
        paths = ["-c", tmp_path / "a.png", "-s", tmp_path / "s.png", "-o", tmp_path / "o.png"]
        options = ["--content-size=0", "--style-size=0", "--tile=128", "--no-compilation-cache"]
        options.append(f"--stroke-size={strokes}")
        with pytest.raises(SystemExit) as ended:
            main(["stylize", *map(str, paths), *options])
    finally:
        jax.monitoring.unregister_scalar_listener(listener)
    assert ended.value.code == 0
    assert len(parts) >= 2 * 7 * passes  # each of 7 tiles or more is encoded and decoded
    assert sum(parts) == pytest.approx(1)
    assert "stylizing" in capsys.readouterr().err
