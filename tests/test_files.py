"""Files and folders are whole or not there, and what killed processes leave is taken away."""

import errno
import subprocess
import sys

import pytest

from adain_jax.files import InUseError, atomic_folder, atomic_path, exclusive, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed(folder, code):
    """Runs Python code in another process, which is gone before it can tidy up."""
    code = f"import os\nfrom pathlib import Path\nfrom adain_jax.files import *\n{code}"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    killed(tmp_path, "with atomic_path('a.txt') as path: path.write_text('half'); os._exit(1)")
    assert len(names(tmp_path)) == 1
    with atomic_path(tmp_path / "a.txt") as path:
        assert path.read_bytes() == b""
    assert names(tmp_path) == ["a.txt"]


def test_two_that_write_at_once_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a.txt") as first, atomic_path(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "first"  # which ended last
    with atomic_folder(tmp_path / "b") as first, atomic_folder(tmp_path / "b") as second:
        (first / "1").touch()
        (second / "2").touch()
    assert (names(tmp_path), names(tmp_path / "b")) == (["a.txt", "b"], ["1"])


def test_a_full_disk_and_a_missing_folder_are_named(tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No such file or directory: '.*/none/a.txt'"):
        write_atomically(tmp_path / "none" / "a.txt", b"")
    monkeypatch.setattr("pathlib.Path.write_bytes", fill)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a.txt'"):
        write_atomically(tmp_path / "a.txt", b"contents")
    assert names(tmp_path) == []


@pytest.mark.parametrize("locks", ["refused", "unknown"])
def test_where_nothing_can_be_locked_nothing_is_left_either(tmp_path, monkeypatch, locks):
    if locks == "unknown":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:

        def refuse(*_):
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr("fcntl.flock", refuse)
    with atomic_path(tmp_path / "a.txt") as path:
        path.write_text("whole")
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "1").touch()
    with exclusive(tmp_path / "b"), exclusive(tmp_path / "b"):
        pass
    assert names(tmp_path) == ["a.txt", "b"]


def test_a_folder_is_kept_for_one_for_as_long_as_its_process_lives(tmp_path):
    code = (
        "from pathlib import Path\nfrom adain_jax.files import exclusive\n"
        "with exclusive(Path('run')): print(flush=True), input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(InUseError, match=r"run: another run is at work"):
            exclusive(tmp_path / "run").__enter__()
        holder.kill()
    with exclusive(tmp_path / "run"):
        assert names(tmp_path / "run") == []


def test_a_folder_that_a_killed_process_was_replacing_is_back_with_the_next_write(tmp_path):
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "old").touch()
    between = "Path.rename = lambda path, to: os.rename(path, to) or os._exit(1)\n"
    killed(tmp_path, f"{between}with atomic_folder(Path('b')) as b: (b / 'new').touch()")
    assert len(names(tmp_path)) == 2
    assert not (tmp_path / "b").exists()
    with atomic_folder(tmp_path / "b") as folder:
        assert (names(folder), names(tmp_path / "b")) == ([], ["old"])
    assert (names(tmp_path), names(tmp_path / "b")) == (["b"], [])
