"""What became of every input and result of `infer.py`."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adain_jax.cli.jobs import Job
from adain_jax.files import write_atomically
from adain_jax.images import TooManyPixelsError


def describe(error: Exception) -> str:
    """An error in words, with the option of `infer.py` that helps, where there is one."""
    if isinstance(error, TooManyPixelsError):
        return f"{error} (--max-pixels raises it)"
    return str(error)


@dataclass
class Report:
    """The outcome of every input and result."""

    contents: dict[str, str] = field(default_factory=dict)
    styles: dict[str, str] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0
    frames: int = 0
    """Of clips."""
    seconds: float = 0.0

    def fail(self, message: str) -> None:
        """Counts a failure and says it at once."""
        self.failures += 1
        print(f"failed: {message}", file=sys.stderr)

    def result(self, job: Job, names: list[str], outcome: str, error: str | None = None) -> None:
        """Notes what became of a job."""
        entry = {"output": str(job.output), "content": names[0], "styles": names[1:]}
        self.outputs.append({**entry, "outcome": outcome, **({"error": error} if error else {})})

    def count(self, outcome: str) -> int:
        """How many results have this outcome."""
        return sum(entry["outcome"] == outcome for entry in self.outputs)

    def summary(self) -> str:
        """One line for the end."""
        done = self.count("done")
        parts = [f"{done} stylised in {self.seconds:.1f} s"]
        if done:
            count, what = (self.frames, "frames") if self.frames else (done, "pictures")
            parts[0] += f" ({count / self.seconds:.2f} {what}/s)"
        if self.count("skipped"):
            parts.append(f"{self.count('skipped')} skipped, they exist")
        if self.failures:
            parts.append(f"{self.failures} failed")
        return ", ".join(parts)

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        content = {
            "contents": self.contents,
            "styles": self.styles,
            "outputs": self.outputs,
            "seconds": round(self.seconds, 3),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1).encode())
