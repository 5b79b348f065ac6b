"""Figure 6: normalization layers in the decoder."""

from adain_jax.reproduce.comparison import (
    draw_losses,
    measured,
    sheet_of,
    table,
    train_variants,
)
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import compare, judge, lower

VARIANTS = {"none": {}, "IN": {"norm": "instance"}, "BN": {"norm": "batch"}}


def run(lab: Lab) -> Outcome:
    """Trains all three, and paints with their exported decoders."""
    runs = train_variants(lab, VARIANTS)
    numbers = measured(lab, runs)
    key = "Ls at the end"
    others = {name: (numbers["none"][key], numbers[name][key]) for name in ("IN", "BN")}
    words = [f"beside {name} {lower(*pair)}" for name, pair in others.items()]
    return Outcome(
        f"{judge([compare(*pair) for pair in others.values()])}: without normalization, "
        f"Ls is {' and '.join(words)}.",
        *table(numbers),
        numbers,
        [
            draw_losses(lab, runs),
            sheet_of(lab, {name: lab.stylizer(own[0]) for name, own in runs.items()}),
        ],
    )


EXPERIMENT = Experiment(
    "decoder_norms",
    "No normalization in the decoder",
    "section 7.2, figure 6",
    "Normalization layers in the decoder hurt: instance normalization normalizes each picture to a "
    "single style, batch normalization a batch of pictures to one.",
    "The decoder is trained without them, with instance and with batch normalization.",
    run,
)
