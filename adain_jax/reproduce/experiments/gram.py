"""Equation 13: means and deviations against Gram matrices."""

import json

from adain_jax.reproduce.comparison import draw_losses, sheet_of, table, train_variants
from adain_jax.reproduce.lab import STYLE_WEIGHT, Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, lower, spread

STATISTICS = ("moments", "gram")


def run(lab: Lab) -> Outcome:
    """Trains by either, and measures both by both."""
    contents, styles = lab.pairs
    # Pictures as they are, before any training: there both losses are to have the same weight.
    begin = {
        name: sum(lab.losses(contents, styles, contents, statistic=name)["Ls"])
        for name in STATISTICS
    }
    weight = STYLE_WEIGHT * begin["moments"] / begin["gram"]
    runs = train_variants(
        lab, {"moments": {}, "gram": {"style_statistic": "gram", "style_weight": weight}}
    )
    numbers: dict[str, dict[str, list[float]]] = {}
    stylizers = {name: [lab.stylizer(one) for one in own] for name, own in runs.items()}
    for name, own in stylizers.items():
        results = [one(contents, styles) for one in own]
        by = {
            other: [lab.losses(contents, styles, one, statistic=other) for one in results]
            for other in STATISTICS
        }
        numbers[name] = {
            "Lc": [spread(one["Lc"]).mean for one in by["moments"]],
            **{
                f"Ls by {other}": [
                    spread(one["Ls"]).mean / begin[other] * len(contents) for one in by[other]
                ]
                for other in STATISTICS
            },
            "seconds of training": [
                json.loads((one / "seconds.json").read_text()) for one in runs[name]
            ],
        }
    by_gram = [numbers[name]["Ls by gram"] for name in STATISTICS]
    by_moments = [numbers[name]["Ls by moments"] for name in STATISTICS]
    signs = compare(*by_gram), compare(*by_moments)
    found = {
        True: "Holds: trained by moments",
        False: "Does not hold here: trained by moments",
    }[signs[0] <= 0 and signs[1] <= 0]
    if signs == (0, 0):
        found = "Too small to tell apart, as the claim has it: trained by moments"
    return Outcome(
        f"{found}, the style loss by Gram matrices is {lower(*by_gram)}, and by moments "
        f"{lower(*by_moments)}, of what it is of the contents themselves.",
        *table(numbers),
        {**numbers, "weight of the Gram loss": weight},
        [
            draw_losses(lab, runs),
            sheet_of(lab, {name: own[0] for name, own in stylizers.items()}),
        ],
    )


EXPERIMENT = Experiment(
    "gram",
    "Moments against Gram matrices",
    "section 6.2, equation 13",
    "A style loss of means and standard deviations gives results like one of Gram matrices, and is "
    "simpler.",
    "The decoder is trained with either, weighted so that both begin alike; both are measured by both, "
    "as a share of the loss of the contents themselves.",
    run,
)
