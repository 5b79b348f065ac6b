"""Commands that are ended at a random moment, or find no room, no network, no home, or company.

Afterwards every file that is there must be whole; the next run of the same command must complete,
keep what was finished, and leave nothing hidden behind.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from adain_jax.weights import Kind

_SECONDS = 300  # for one command, on a busy machine
_ROOT = Path(__file__).parent.parent
_PICTURES, _STYLES = 24, 2
_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
_VGG19: tuple[Kind, ...] = ("vgg19-encoder", "vgg19-decoder")


@dataclass(frozen=True)
class Command:
    """A command that writes into the folder `out` below the folder in which it runs.

    Attributes:
        arguments: of Python.
        keeps: whether the next run leaves finished files as they are.
        complete: the exit codes of a run that finds everything done.
        alone: whether one of two at once may be refused.
    """

    arguments: tuple[str, ...]
    keeps: bool = False
    complete: tuple[int, ...] = (0,)
    alone: bool = False


_INFER = (str(_ROOT / "infer.py"), "--style=style", "--content-size=0", "--style-size=64")
COMMANDS = {
    "pictures": Command(
        (
            *(*_INFER, "--content=content", "--output=out", "--skip-existing"),
            "--report=out/r.json",
        ),
        keeps=True,
    ),
    "clips": Command((*_INFER, "--content=a.mp4", "--output=out", "--skip-existing"), keeps=True),
    "frames": Command((*_INFER, "--content=a.mp4", "--output=out", "--format=png", "--overwrite")),
    "training": Command(
        (
            *(str(_ROOT / "train.py"), "--content=content", "--style=style", "--run-dir=out"),
            *("--model=fast", "--encoder=encoder.safetensors", "--steps=6", "--batch-size=2"),
            *("--crop=32", "--resize=32", "--log-every=1", "--save-every=2", "--keep=9"),
        ),
        alone=True,
    ),
    "packing": Command(
        ("-m", "adain_jax", "pack", "content", "out/packed", "--size=64"),
        complete=(0, 1),
        alone=True,
    ),
    "converting": Command(
        (str(_ROOT / "convert_vgg.py"), "decoder.npz", "--output=out/d.safetensors")
    ),
    "data set": Command(
        (
            *("-m", "adain_jax", "dataset", "--content=content", "--style=style", "--output=out"),
            *("--format=folder", "--content-size=64", "--shard-records=4", "--workers=1"),
        ),
        alone=True,
    ),
}
HINDRANCES = (
    *("full disk", "read-only folder", "no network", "no home", "two at once"),
    "clock set back",
)
_SMALL_DISK = """
mount -t tmpfs -o size=32k none out && { "$@"; code=$?; cp -a out/. kept && exit $code; }
"""
_CLOCK = """
import itertools, time

now, looks = time.time, itertools.count(1)

def earlier():
    return now() - 3600 * next(looks)

def earlier_ns():
    return int(1e9 * earlier())

time.time, time.time_ns = earlier, earlier_ns
"""
"""A module that Python imports by itself: every look at the wall clock finds it an hour earlier."""


class AccidentError(Exception):
    """Something that an accident should not have led to."""


def end_at_random(names: Sequence[str], count: int, seed: int) -> int:
    """Ends each of the named commands `count` times, by SIGKILL and SIGTERM in turn.

    Returns:
        1 if something was found, else 0.
    """
    rng = random.Random(seed)
    with _place(names) as place:
        return _tried(
            f"signals, seed {seed}",
            (
                (name, one.name, partial(place.end, name, one, rng.uniform(0.1, 1)))
                for one, name in product((_SIGNALS * count)[:count], names)
            ),
        )


def hinder(names: Sequence[str]) -> int:
    """Hinders each of the named commands in all ways.

    Returns:
        1 if something was found, else 0.
    """
    with _place(names) as place:
        return _tried(
            "hindrances",
            (
                (name, what, partial(place.hinder, name, what))
                for name, what in product(names, HINDRANCES)
            ),
        )


@contextmanager
def _place(names: Sequence[str]) -> Iterator["Place"]:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name in names:
            place.rehearse(name)
        yield place


def _tried(what: str, accidents: Iterable[tuple[str, str, Callable[[], str]]]) -> int:
    done = findings = 0
    for name, kind, happen in accidents:
        start = time.monotonic()
        try:
            told = happen()
        except AccidentError as error:
            findings += 1
            told = f"FINDING: {error}"
        done += 1
        print(f"{name}, {kind}: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{done} {what}: {findings} findings")
    return 1 if findings else 0


class Place:
    """A folder with small inputs, in which commands run and are ended."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}
        _make_inputs(folder)
        home = folder / "home"
        home.mkdir()
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(_CLOCK)
        self.environment = {
            **os.environ,
            **{"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "JAX_PLATFORMS": "cpu"},
            # Most of the time would be compilation. infer.py has a cache of its own.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "True",
            "PYTHONPATH": str(_ROOT),
        }

    @property
    def out(self) -> Path:
        """Where the commands write."""
        return self.folder / "out"

    def rehearse(self, name: str) -> None:
        """Runs a command twice, undisturbed, to know its results and how long it takes."""
        for _ in range(2):  # the second time with compiled programs
            shutil.rmtree(self.out, ignore_errors=True)
            start = time.monotonic()
            code, error = _wait(self.start(name))
            self.seconds[name] = time.monotonic() - start
            if code:
                raise AccidentError(f"{name} fails by itself: {error}")
        self.names[name] = self.written()
        print(f"{name}: {len(self.names[name])} files in {self.seconds[name]:.1f} s", flush=True)

    def start(self, name: str, prefix: tuple[str, ...] = (), **options: object) -> subprocess.Popen:
        """Starts a command."""
        self.out.mkdir(exist_ok=True)
        command = [*prefix, sys.executable, *COMMANDS[name].arguments]
        caching = {"JAX_COMPILATION_CACHE_DIR": "programs"} if name == "training" else {}
        return subprocess.Popen(  # type: ignore[call-overload]
            command,
            **{"cwd": self.folder, "env": self.environment | caching, **options},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, name: str, number: signal.Signals, moment: float) -> str:
        """Ends a command at a share of its usual time, and runs it again."""
        shutil.rmtree(self.out, ignore_errors=True)
        process = self.start(name)
        try:
            process.wait(moment * self.seconds[name])
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        code, error = _wait(process)
        if code < 0 and code != -number:
            raise AccidentError(f"crashes (exit code {code}) at {moment:.2f}: {error[-2000:]}")
        kept = self.check_whole()
        left = len(self.hidden())
        self.complete(name, kept)
        return f"exit code {code} at {moment:.2f}, {len(kept)} files there, {left} left-overs"

    def hinder(self, name: str, what: str) -> str:
        """Runs a command where something is missing, and then runs it again."""
        shutil.rmtree(self.out, ignore_errors=True)
        if what == "two at once":
            alone = COMMANDS[name].alone
            processes = [self.start(name), self.start(name)]
            told = "; ".join([self.told(process, done=not alone) for process in processes])
            if all(process.returncode for process in processes):
                raise AccidentError(f"neither of two is done: {told}")
        elif what == "full disk":
            (self.folder / "kept").mkdir()
            told = self.told(self.start(name, _isolated("--mount", _SMALL_DISK)))
            shutil.rmtree(self.out)
            (self.folder / "kept").rename(self.out)
        elif what == "read-only folder":
            told = self.told(
                self.start(name, _isolated("--mount", 'mount -t tmpfs -o ro none out && exec "$@"'))
            )
        elif what == "no network":
            told = self.told(
                self.start(name, _isolated("--net", 'ip link set lo up && exec "$@"')), done=True
            )
        elif what == "clock set back":
            places = f"{self.folder / 'clock'}:{_ROOT}"
            told = self.told(
                self.start(name, env=self.environment | {"PYTHONPATH": places}), done=True
            )
        else:
            homeless = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/home/cache"}
            told = self.told(self.start(name, env=self.environment | homeless), done=True)
        self.complete(name, self.check_whole())
        return told

    def told(self, process: subprocess.Popen, *, done: bool = False) -> str:
        """Waits for a command, which must say what failed, if anything, and in words of the library.

        Args:
            process: that of the command.
            done: it must not fail.
        """
        code, error = _wait(process)
        unforeseen = "Traceback" in error or "--debug" in error
        if code and (done or unforeseen or not error):
            raise AccidentError(f"exit code {code}: {error[-2000:]}")
        lines = [line for line in error.splitlines() if line.startswith(("error:", "failed:"))]
        return f"exit code {code} {' '.join(lines[-1:])[:160]}"

    def complete(self, name: str, kept: dict[str, int]) -> None:
        """Runs a command again, to its end, and checks what is there then.

        Args:
            name: of the command.
            kept: what was there before, as `check_whole` gives it.
        """
        command = COMMANDS[name]
        code, error = _wait(self.start(name))
        if code not in (command.complete if kept.keys() == self.names[name] else (0,)):
            raise AccidentError(f"the next run ends with {code}: {error[-2000:]}")
        if "Error reading" in error or "Error writing" in error:
            raise AccidentError(f"the next run says {error[-500:]}")
        if hidden := self.hidden():
            raise AccidentError(f"left-overs after the next run: {hidden}")
        there = self.check_whole()
        if there.keys() != self.names[name]:
            raise AccidentError(f"not the usual results: {there.keys() ^ self.names[name]}")
        if command.keeps:
            anew = [one for one in kept if _is_result(one) and there.get(one) != kept[one]]
            if anew:
                raise AccidentError(f"done anew: {anew}")

    def written(self) -> set[str]:
        """The names of all files with a final name, but for what Orbax and TFDS name at random."""
        return {
            path.relative_to(self.out).as_posix()
            for path in self.out.rglob("*")
            if path.is_file() and "checkpoints" not in path.parts and not _is_hidden(path)
        }

    def hidden(self) -> list[str]:
        """What is there under no final name."""
        return sorted(str(path) for path in self.out.rglob("*") if _is_hidden(path))

    def check_whole(self) -> dict[str, int]:
        """Reads every file with a final name; returns when each was written, in nanoseconds."""
        for name in self.written():
            try:
                _read_whole(self.out / name)
            except Exception as error:
                raise AccidentError(f"{name} is not whole: {error}") from error
        return {name: (self.out / name).stat().st_mtime_ns for name in self.written()}


def _make_inputs(folder: Path) -> None:
    import av

    from adain_jax import weights

    rng = np.random.default_rng(0)
    for kind, count in (("content", _PICTURES), ("style", _STYLES)):
        (folder / kind).mkdir()
        for number in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
            coarse.resize((160, 120)).save(folder / kind / f"{number}.png")
    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=96, height=64, pix_fmt="yuv420p")
        for _ in range(50):
            pixels = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8)).resize((96, 64))
            container.mux(stream.encode(av.VideoFrame.from_image(pixels)))
        container.mux(stream.encode())
    values = {
        kind: {
            key: (0.05 * rng.standard_normal(shape)).astype(np.float32)
            for key, shape in weights.shapes(kind).items()
        }
        for kind in _VGG19
    }
    encoder = weights.nest(values["vgg19-encoder"])
    weights.write(folder / "encoder.safetensors", encoder, "vgg19-encoder")
    np.savez(folder / "decoder.npz", allow_pickle=False, **values["vgg19-decoder"])


def _wait(process: subprocess.Popen) -> tuple[int, str]:
    """The exit code of a process and what it said on stderr."""
    try:
        _, error = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AccidentError(f"did not end within {_SECONDS} s") from None
    return process.returncode, error


def _isolated(what: str, script: str) -> tuple[str, ...]:
    """The beginning of a command that a shell runs as "$@", in a namespace of its own; as root."""
    return ("unshare", what, "sh", "-c", script, "sh")


def _is_hidden(path: Path) -> bool:
    name = path.name
    return name.startswith(".") or name.endswith(".partial") or "orbax-checkpoint-tmp" in name


def _is_result(name: str) -> bool:
    return name.endswith((".png", ".mp4"))


def _read_whole(path: Path) -> None:
    from adain_jax.images import read_picture
    from adain_jax.video import open_clip

    if path.suffix == ".png":
        read_picture(path)
    elif path.suffix == ".mp4":
        for _ in open_clip(path).frames():
            pass
    elif path.suffix == ".json":
        json.loads(path.read_bytes())
    elif path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        load_file(path)
