"""Section 6.2: AdaIN's output as the target of the content loss, or the content's own features."""

from adain_jax.reproduce.comparison import (
    draw_losses,
    measured,
    sheet_of,
    table,
    train_variants,
)
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, judge, lower

VARIANTS = {"AdaIN's output": {}, "content's features": {"content_target": "content"}}


def run(lab: Lab) -> Outcome:
    """Trains both; compares what both targets are not, the style loss along the curve."""
    runs = train_variants(lab, VARIANTS)
    numbers = measured(lab, runs)
    key = "Ls along the curve"
    pair = numbers["AdaIN's output"][key], numbers["content's features"][key]
    return Outcome(
        f"{judge([compare(*pair)])}: with AdaIN's output as the target, the mean of Ls along the "
        f"curve is {lower(*pair)}.",
        *table(numbers),
        numbers,
        [
            draw_losses(lab, runs),
            sheet_of(lab, {name: lab.stylizer(own[0]) for name, own in runs.items()}),
        ],
    )


EXPERIMENT = Experiment(
    "content_target",
    "The target of the content loss",
    "section 6.2",
    "With AdaIN's output as the target of the content loss, training converges somewhat faster than "
    "with the content's own features.",
    "The decoder is trained towards both. Lc is always measured to AdaIN's output, which favors the "
    "first, so that the verdict is by the style loss.",
    run,
)
