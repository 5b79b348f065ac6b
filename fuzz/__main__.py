"""The command line: damaged files are read, or runs are ended, at random.

    python -m fuzz pictures|weights|clips|styles|checkpoints --count N [--seed S] [--first K]
    python -m fuzz accidents --count N [--seed S] [--only COMMAND...]
    python -m fuzz hindrances [--only COMMAND...]

A damaged file depends on its kind, the seed and its number alone: `--first K --count 1` makes and
reads it again (but for checkpoints, in which Orbax names files at random). Those that were not read
as they should be are kept in --keep. Linux only.
"""

import argparse
import sys
import time
from pathlib import Path

from fuzz import accidents
from fuzz.children import results
from fuzz.readers import KINDS


def main() -> int:
    """Runs the command; returns 1 if something was found, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("kind", choices=[*KINDS, "accidents", "hindrances"])
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"))
    commands = list(accidents.COMMANDS)
    parser.add_argument("--only", nargs="+", choices=commands, default=commands, metavar="COMMAND")
    options = parser.parse_args()
    if options.kind == "accidents":
        return accidents.end_at_random(options.only, options.count, options.seed)
    if options.kind == "hindrances":
        return accidents.hinder(options.only)
    return _fuzz(options.kind, options.seed, options.first, options.count, options.keep)


def _fuzz(kind: str, seed: int, first: int, count: int, keep: Path) -> int:
    start, done, read, findings = time.monotonic(), 0, 0, 0
    slowest = largest = None
    for result in results(kind, seed, range(first, first + count), keep):
        done += 1
        read += result.told is None and result.finding is None
        slowest = max(slowest or result, result, key=lambda one: one.seconds)
        largest = max(largest or result, result, key=lambda one: one.peak)
        if result.finding:
            findings += 1
            print(f"{kind} {result.number}: {result.finding}", flush=True)
        if done % 1000 == 0:
            print(f"{done} of {count}, {findings} findings", file=sys.stderr, flush=True)
    assert slowest
    assert largest
    print(
        f"{kind}, seed {seed}, numbers {first} to {first + count - 1}: {read} read, "
        f"{done - read - findings} refused, {findings} findings; "
        f"slowest {slowest.seconds:.2f} s (number {slowest.number}), "
        f"largest {largest.peak >> 20} MiB (number {largest.number}); "
        f"{time.monotonic() - start:.0f} s in all"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
