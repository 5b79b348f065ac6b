"""Figure 5: AdaIN against concatenated features."""

from adain_jax.reproduce.comparison import draw_losses, measured, table, train_variants
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, judge, lower

VARIANTS = {"AdaIN": {}, "concatenation": {"transform": "concat"}}


def run(lab: Lab) -> Outcome:
    """Trains both."""
    runs = train_variants(lab, VARIANTS)
    numbers = measured(lab, runs)
    signs, words = [], []
    for loss in ("Ls", "Lc"):
        key = f"{loss} at the end"
        pair = numbers["AdaIN"][key], numbers["concatenation"][key]
        signs.append(compare(*pair))
        words.append(f"with AdaIN {loss} is {lower(*pair)}")
    return Outcome(
        f"{judge(signs[:1])} for the style: {', and '.join(words)}.",
        *table(numbers),
        numbers,
        [draw_losses(lab, runs)],
    )


EXPERIMENT = Experiment(
    "concatenation",
    "AdaIN against concatenation",
    "section 7.2, figure 5",
    "A decoder of AdaIN's output reaches a lower style loss than one of content and style features "
    "side by side, which cannot keep the style apart from the content of its picture.",
    "The same decoder is trained on AdaIN's output, and on both features side by side.",
    run,
)
