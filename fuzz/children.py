"""Damaged files are read in a child process, which may crash or hang; another takes its place."""

import multiprocessing
import re
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from fuzz.readers import KINDS, mutant, outcome

MOST_SECONDS = 10  # of computing
MOST_BYTES = 2 << 30
_LONGEST_WAIT = 60  # seconds, of a child that computes nothing
_ADDRESS_SPACE = 8 << 30  # a backstop for the machine, well above what is asserted


@dataclass(frozen=True)
class Result:
    """What became of a damaged file.

    Attributes:
        number: the file can be made again from it.
        told: what the library said, or None if the file could be read.
        finding: what is wrong with that, or None.
        seconds: of computing.
        peak: the process's memory at its highest, in bytes.
    """

    number: int
    told: str | None = None
    finding: str | None = None
    seconds: float = 0
    peak: int = 0


def results(name: str, seed: int, numbers: range, keep: Path) -> Iterator[Result]:
    """Reads the damaged files of a kind one after the other.

    Args:
        name: of the kind.
        seed, numbers: what the files depend on.
        keep: a folder in which those stay that were not read as they should be.
    """
    keep.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    left = list(numbers)
    while left:
        ours, theirs = context.Pipe()
        child = context.Process(target=_work, args=(theirs, name, seed, left, keep), daemon=True)
        child.start()
        theirs.close()
        try:
            assert ours.recv() == "ready"
            while left:
                result = _wait(ours, child.pid or 0, left[0])
                left.pop(0)
                yield result
                if result.finding and not result.seconds:  # its process is of no use any more
                    break
        finally:
            child.kill()
            child.join()


def _wait(connection: Connection, pid: int, number: int) -> Result:
    process = psutil.Process(pid)
    start = sum(process.cpu_times()[:2])
    for _ in range(2 * _LONGEST_WAIT):  # not by the clock, which goes on while all is stopped
        try:
            if connection.poll(0.5):
                result = connection.recv()
                assert isinstance(result, Result)
                return result
            if sum(process.cpu_times()[:2]) - start > MOST_SECONDS:
                return Result(number, finding=f"computes for more than {MOST_SECONDS} s")
        except (EOFError, ConnectionError, psutil.NoSuchProcess):
            return Result(number, finding="ends the process")
    return Result(number, finding="hangs")


def _work(connection: Connection, name: str, seed: int, numbers: list[int], keep: Path) -> None:
    """The child: reads one file after the other and sends what became of each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        whole = KINDS[name].seeds()
        for label, data in whole.items():  # also imports all that reading needs
            path = Path(folder) / label
            path.write_bytes(data)
            outcome(name, path)
        used = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (used + _ADDRESS_SPACE, resource.RLIM_INFINITY))
        connection.send("ready")
        for number in numbers:
            label, data = mutant(name, seed, number)
            kept = keep / f"{name}-{seed}-{label}"
            kept.write_bytes(data)  # before it is read, which may end this process
            result = _result(name, number, label, data)
            if not result.finding:
                kept.unlink()
            connection.send(result)


def _result(name: str, number: int, label: str, data: bytes) -> Result:
    with tempfile.TemporaryDirectory() as own:
        path = Path(own) / label
        path.write_bytes(data)
        told = finding = None
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        start = time.process_time()
        try:
            told = outcome(name, path)
        except Exception as error:
            finding = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - start
    peak = _peak()
    if seconds > MOST_SECONDS:
        finding = f"computes for {seconds:.0f} s"
    if peak > MOST_BYTES:
        finding = f"takes {peak >> 20} MiB"
    return Result(number, told, finding, seconds, peak)


def _peak() -> int:
    """The most memory that this process had at a time since it was counted anew, in bytes."""
    kibibytes = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert kibibytes
    return int(kibibytes[1]) << 10
