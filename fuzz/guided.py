"""Damage that is led by coverage: what reaches new lines of this project is damaged further.

    python -m fuzz.guided pictures|weights|clips|styles|checkpoints --seconds N [--seed S]

Needs `pip install atheris`. Whatever is found ends it, and is kept in --keep: a byte that chooses the
name, then the file. It is a program of its own because Atheris has to be there before what it watches.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["adain_jax"]):
    from fuzz.children import MOST_BYTES, MOST_SECONDS
    from fuzz.readers import KINDS, outcome

_LONGEST = 1 << 16  # bytes of a file to begin with: longer ones take most of the time


def main() -> None:
    """Runs for as long as is asked, or until something is found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.guided", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"))
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()

        def read(data: bytes) -> None:
            if data:
                path = Path(folder, names[data[0] % len(names)])
                path.write_bytes(data[1:])
                outcome(options.kind, path)

        with atheris.instrument_imports(include=["adain_jax"]):  # what is imported only when used
            seeds = KINDS[options.kind].seeds()
            seeds = {name: data for name, data in seeds.items() if len(data) <= _LONGEST}
            names = sorted(seeds)
            for number, name in enumerate(names):
                whole = bytes([number]) + seeds[name]
                (corpus / name).write_bytes(whole)
                read(whole)
        limits = {
            "max_total_time": options.seconds,
            "seed": options.seed,
            "timeout": MOST_SECONDS,
            "rss_limit_mb": MOST_BYTES >> 20,
            "max_len": 1 + max(map(len, seeds.values())),
            "artifact_prefix": f"{options.keep}/{options.kind}-",
            "print_final_stats": 1,
        }
        flags = [f"-{name}={value}" for name, value in limits.items()]
        atheris.Setup([sys.argv[0], *flags, str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
