"""The report of `infer.py` on every input and result."""

import json
import math
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adain_jax.cli.command import describe, written
from adain_jax.cli.infer_options import Options
from adain_jax.cli.jobs import Job, PassedOver, Source
from adain_jax.errors import printable
from adain_jax.files import check_can_write, exists, write_atomically
from adain_jax.images import PictureError, TooManyPixelsError


@dataclass
class Report:
    """The outcome of every input and result.

    Attributes:
        contents, styles: the outcome of each input, by its path.
        outputs: one entry for each result, as in the JSON file.
        failures: how many errors were reported.
        seconds: how long the run took, see `timed`.
    """

    debug: bool = False
    """Whether failures come with a traceback."""
    contents: dict[str, str] = field(default_factory=dict)
    styles: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)
    """Files in folders and globs that are no inputs, and the folder of the results among them."""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[Job, None] = field(default_factory=dict)
    """The jobs, in order, of which nothing is noted yet."""
    bad_inputs: int = 0
    """How many inputs cannot be used."""
    failures: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    """The sizes (height, width) of the results."""
    frames: int = 0
    """How many frames of clips have been stylized."""
    seconds: float = 0.0

    def fail(self, error: Exception) -> None:
        """Counts a failure and prints it immediately."""
        self.failures += 1
        if self.debug:
            traceback.print_exception(error)
        print(f"failed: {_describe(error)}", file=sys.stderr)

    def found(
        self, inputs: Iterable[Source | PassedOver | PictureError], outcomes: dict[str, str]
    ) -> list[Source]:
        """Returns the inputs that were found and adds them to `outcomes`; reports the errors."""
        sources = []
        for found in inputs:
            if isinstance(found, PictureError):
                self.bad_inputs += 1
                self.fail(found)
            elif isinstance(found, PassedOver):
                self.passed_over.append(str(found.path))
            else:
                outcomes[str(found.path)] = "unused"
                sources.append(found)
        return sources

    def without_existing(self, jobs: Iterable[Job], options: Options) -> list[Job]:
        """Returns the jobs whose file can be written, and is not there yet or may be replaced.

        Records the others.
        """
        kept = []
        for job in jobs:
            there = exists(job.output)
            if there and options.skip_existing:
                self.result(job, "skipped")
            elif there and not options.overwrite:
                self.job_ended(
                    job, PictureError("exists; give --overwrite or --skip-existing", job.output)
                )
            else:
                try:
                    check_can_write(job.output)
                except OSError as error:
                    reason = f"cannot be written ({describe(error)})"
                    self.job_ended(job, PictureError(reason, job.output))
                else:
                    kept.append(job)
        self.waiting = dict.fromkeys(kept)
        return kept

    def content_failed(self, content: Source, jobs: Iterable[Job], error: Exception) -> None:
        """Records that a content cannot be used, so that all its jobs fail."""
        self.contents[str(content.path)] = _describe(error)
        self.bad_inputs += 1
        self.fail(error)
        for job in jobs:
            self.result(job, "failed", _describe(error))

    def style_failed(self, style: Source, error: Exception) -> None:
        """Records that a style cannot be used."""
        self.styles[str(style.path)] = _describe(error)
        self.bad_inputs += 1
        self.fail(error)

    def job_ended(
        self, job: Job, error: Exception | None, size: tuple[int, int] | None = None
    ) -> None:
        """Records that a job is done, with the size (height, width) of its result, or why it failed."""
        if error:
            self.result(job, "failed", _describe(error))
            self.fail(error)
        else:
            self.result(job, "done")
            if size:
                self.sizes.add(size)
            self.contents[str(job.content.path)] = "stylized"

    def result(self, job: Job, outcome: str, error: str | None = None) -> None:
        """Records the outcome of a job."""
        self.waiting.pop(job, None)
        self.outputs.append(_entry(job, outcome) | ({"error": error} if error else {}))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measures the seconds that the block takes, even if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds = time.perf_counter() - start

    def count(self, outcome: str) -> int:
        """How many results have this outcome."""
        return sum(entry["outcome"] == outcome for entry in self.outputs)

    def summary(self) -> str:
        """One line to print at the end: what was done, and where it is."""
        done = [Path(entry["output"]) for entry in self.outputs if entry["outcome"] == "done"]
        parts = [f"{_count(len(done), 'result')} in {self.seconds:.1f} s"]
        if done:
            count, what = (self.frames, "frames") if self.frames else (len(done), "pictures")
            if count > 1:
                parts[0] += f" ({count / self.seconds:.2f} {what}/s)"
            parts += [self._sizes(), written(*done)]
        if self.count("skipped"):
            parts.append(f"{self.count('skipped')} skipped, they exist")
        if self.passed_over:
            parts.append(f"{len(self.passed_over)} passed over")
        if failed := self.count("failed"):
            parts.append(f"{_count(failed, 'result')} failed")
        if self.bad_inputs:
            parts.append(f"{_count(self.bad_inputs, 'input')} cannot be used")
        if len(done) == 1:
            return f"{printable(done[0])}: {', '.join(parts)}"
        if done:
            folder = os.path.commonpath([path.parent for path in done])
            parts[0] = f"{printable(folder)}: {parts[0]}"
        return ", ".join(parts)

    def _sizes(self) -> str:
        """The size of the results, or those of the smallest and the largest."""
        least, most = (f"{w} x {h}" for h, w in (f(self.sizes, key=math.prod) for f in (min, max)))
        return f"{least} pixels" if least == most else f"{least} to {most} pixels"

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        outputs = [*self.outputs, *(_entry(job, "not done") for job in self.waiting)]
        content = {
            "contents": self.contents,
            "styles": self.styles,
            "passed_over": self.passed_over,
            "outputs": outputs,
            "seconds": round(self.seconds, 3),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1).encode())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _entry(job: Job, outcome: str) -> dict[str, Any]:
    return {
        "output": str(job.output),
        "content": str(job.content.path),
        "styles": [str(style.path) for style in job.styles],
        "alpha": job.alpha,
        "outcome": outcome,
    }


def _describe(error: Exception) -> str:
    """The message of an error, with the option of `infer.py` that helps, if there is one."""
    if isinstance(error, TooManyPixelsError):
        return f"{error} (--max-pixels raises it)"
    return describe(error)
