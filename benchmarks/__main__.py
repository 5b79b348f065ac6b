"""All measurements of inference: `python -m benchmarks` writes docs/performance.json and its plots.

    python -m benchmarks [inference] [large] [startup] [--json FILE] [options of these]

Run it on an idle machine. On a GPU, for instance:

    python -m benchmarks inference --dtype bfloat16 --batches 1 8 32 --sides 256 512 1024 2048 \\
        --json docs/performance-gpu.json

Training, data, video and exported models have their own: `python -m benchmarks.training`, `.data`,
`.video` and `.export`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import cluster, inference, large, simulate, startup

PARTS = {
    "inference": inference.measure,
    "large": large.measure,
    "startup": startup.measure,
    "cluster": cluster.measure,
    "simulate": simulate.measure,
}


def plot(figures: dict[str, Any], file: Path) -> None:
    """Plots time and memory against pixels for each model, and times relative to PyTorch's."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (times, memory, ratios) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for model in dict.fromkeys(row["model"] for row in figures.get("large", [])):
        rows = [r for r in figures["large"] if r["model"] == model and r["tile"] == "auto"]
        pixels = [row["side"] ** 2 / 2**20 for row in rows]
        times.loglog(pixels, [row["seconds"] for row in rows], "o-", label=model)
        memory.loglog(pixels, [row["peak_mib"] for row in rows], "o-", label=model)
    times.set(xlabel="megapixels", ylabel="seconds", title="one picture")
    memory.set(xlabel="megapixels", ylabel="peak MiB", title="memory of the process")
    for axes in (times, memory):
        if axes.lines:
            axes.legend()
        axes.grid(alpha=0.3, which="both")
    rows = [row for row in figures.get("inference", []) if "ratio_both" in row]
    labels = list(dict.fromkeys(f"{row['batch']} x {row['side']}" for row in rows))
    for i, model in enumerate(dict.fromkeys(row["project"] for row in rows)):
        heights = [row["ratio_both"] for row in rows if row["project"] == model]
        positions = [x + 0.4 * i for x in range(len(heights))]
        bars = ratios.bar(positions, heights, 0.38, label=model)
        ratios.bar_label(bars, fmt="%.2f", fontsize=7)
    ratios.axhline(1, color="black", lw=0.8)
    ratios.set_xticks([x + 0.2 for x in range(len(labels))], labels, rotation=30)
    ratios.set(ylabel="seconds / PyTorch VGG19's", title="style and content encoded")
    if rows:
        ratios.legend()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, default=Path("docs/performance.json"))
    inference.add_options(parser)
    large.add_options(parser)
    cluster.add_options(parser)
    simulate.add_options(parser)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures: dict[str, Any] = {}
    if options.json.exists():  # keeps parts that are not measured now
        figures = json.loads(options.json.read_text())
    info = inference.machine()
    print(", ".join(f"{key} {value}" for key, value in info.items()))
    for part in options.parts or PARTS:
        print(f"\n{part}")
        figures[part] = PARTS[part](options)
        figures["machine"] = info
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    plot(figures, options.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
