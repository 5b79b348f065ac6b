"""docs/reproduction.md, written from the results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adain_jax.files import write_atomically
from adain_jax.reproduce.lab import Experiment
from adain_jax.reproduce.verdicts import STANDARD_ERRORS

HEAD = f"""# The paper's claims, tried

Every claim of the review as an experiment with this package. This page is written by

```bash
adain reproduce all --scale laptop --content photos --style paintings
```

from the results beside it (in `docs/reproduction/`, one JSON file each). `--scale laptop` is for
two cores, each experiment for at most 15 minutes; `--scale gpu` is for one large card. The command goes
on where it was stopped, and does not repeat what is done: delete a result to run it again.
`python -m adain_jax.reproduce` is the same.

At laptop scale pictures are small and networks far from trained: what shows is how training *begins*.
Numbers are means ± standard deviations over seeds. Runs of one seed see the same batches, so variants
are compared seed by seed: a difference counts if its mean is more than {STANDARD_ERRORS:g} of its
standard errors; what does not count is called not different, and a claim that hangs on it too small to
tell. Losses are averages over channels: Lc the squared difference of relu4_1 to AdaIN's output
(eq. 12), Ls that of means and standard deviations (eq. 13). Pairs to measure on were not trained on.
"""


def write_page(
    path: Path,
    experiments: Mapping[str, Experiment],
    results: Mapping[str, Mapping[str, Any]],
    folder: str,
) -> None:
    """Writes the page: a summary, and a section for each experiment.

    Args:
        path: the file to write.
        experiments: all that there are, in order.
        results: of those that were run, as their JSON files hold them.
        folder: where the figures are, relative to the page.
    """
    summary = [
        [
            f"[{one.title}](#{_anchor(one.title)})",
            one.section,
            results[name]["verdict"].split(":")[0].rstrip(".")
            if name in results and ":" in results[name]["verdict"]
            else "measured"
            if name in results
            else "not run",
        ]
        for name, one in experiments.items()
    ]
    parts = [HEAD, _table(["", "in the paper", "verdict"], summary)]
    parts += [_section(one, results.get(name), folder) for name, one in experiments.items()]
    write_atomically(path, "\n".join(parts).encode())


def _section(experiment: Experiment, result: Mapping[str, Any] | None, folder: str) -> str:
    lines = [
        f"## {experiment.title}",
        "",
        f"**Claim** ({experiment.section}). {experiment.claim}",
        "",
        f"**Experiment.** {experiment.how}",
        "",
    ]
    if result is None:
        return "\n".join([*lines, "Not run yet.", ""])
    steps = f"{result['steps']:,} training steps in all, {result['seeds']} seeds, "
    minutes = max(1, round(result["seconds"] / 60))
    lines += [
        f"`{result['command']}`: {steps if result['steps'] else ''}{minutes} {result['unit']} on "
        f"{result['machine']}.",
        "",
        _table(result["columns"], result["rows"]),
    ]
    for file, caption in result["figures"]:
        lines += [f"![{caption}]({folder}/{file})", "", f"*{caption}.*", ""]
    return "\n".join([*lines, f"**Verdict.** {result['verdict']}", ""])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")
