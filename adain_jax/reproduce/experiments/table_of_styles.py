"""Section 3.3: one network for 32 styles, by conditional instance normalization."""

from pathlib import Path

import numpy as np

from adain_jax.data.sources import open_source
from adain_jax.evaluation import read_pairs
from adain_jax.images import Picture
from adain_jax.inference.stylizer import Stylizer
from adain_jax.reproduce.figures import panels
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import spread
from adain_jax.style import mix

BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)


def run(lab: Lab) -> Outcome:
    """Trains, paints one content in all styles, and asks which style each result is nearest to."""
    folder = lab.small(lab.style, lab.scale.table, lab.scale.resize, "table")
    runs = [
        lab.train(
            seed,
            "conditional",
            style=str(folder),
            transform="conditional",
            steps=lab.scale.table_steps,
        )
        for seed in lab.seeds
    ]
    content, shown = lab.pairs[0][0], lab.shown[0][0]
    paintings = _paintings(folder, lab.scale.crop)
    own_is_best, ratios = [], []
    matrices = []
    stylizers = [lab.stylizer(one) for one in runs]
    for one in stylizers:
        painted = _paint(one, content)
        matrix = np.array(
            [
                lab.losses(
                    np.broadcast_to(content, painted.shape),
                    np.broadcast_to(painting, painted.shape),
                    painted,
                )["Ls"]
                for painting in paintings
            ]
        )  # by style and by row of the table
        matrices.append(matrix)
        own_is_best.append(100 * float(np.mean(matrix.argmin(1) == np.arange(len(matrix)))))
        others = (matrix.sum(1) - matrix.diagonal()) / (len(matrix) - 1)
        ratios.append(float(np.mean(matrix.diagonal() / others)))
    chance = 100 / len(paintings)
    best, ratio = spread(own_is_best), spread(ratios)
    holds = best.mean - 3 * np.nan_to_num(best.std) > max(50, chance)
    told = best.mean > 3 * chance
    word = "Holds" if holds else "Holds in part" if told else "Too small to tell"
    return Outcome(
        f"{word}: of {len(paintings)} styles in one network, {best} % are best met by their own row of "
        f"the table (by chance {chance:.0f} %), with {ratio} of the style loss of other rows.",
        ["", "styles best met by their own row, %", "Ls of the own row, of other rows'"],
        [["one network", str(best), str(ratio)]],
        {"own row is best, %": own_is_best, "Ls of the own row, of others'": ratios},
        [
            _sheet(lab, _paint(stylizers[0], shown)),
            _blends(lab, stylizers[0], shown),
            _matrix(lab, np.mean(matrices, 0)),
        ],
    )


def _paintings(folder: Path, side: int) -> np.ndarray:
    source = open_source(str(folder))
    return np.stack([one for one, _ in read_pairs(source, source, side)])


def _paint(stylizer: Stylizer, content: np.ndarray) -> np.ndarray:
    """The content by each row of the table."""
    return np.stack([stylizer(content, style) for style in stylizer.styles.values()])


def _sheet(lab: Lab, painted: np.ndarray) -> tuple[str, str]:
    columns = 8
    cells: dict[tuple[int, int], Picture] = {
        divmod(i, columns): one for i, one in enumerate(painted)
    }
    name = lab.sheet(cells, [""] * -(-len(painted) // columns), [""] * columns)
    return name, "The same photograph by every row of the table"


def _blends(lab: Lab, stylizer: Stylizer, content: np.ndarray) -> tuple[str, str]:
    first, second = list(stylizer.styles.values())[:2]
    cells = {
        (0, i): stylizer(content, mix([first, second], [1 - share, share]))
        for i, share in enumerate(BLENDS)
    }
    labels = [f"{share:.0%} of the second" for share in BLENDS]
    return lab.sheet(cells, [""], labels, "-blend"), "Between the first two rows of the table"


def _matrix(lab: Lab, matrix: np.ndarray) -> tuple[str, str]:
    figure = panels(["Ls of every row to every style"], width=4.4, height=3.8)
    (axis,) = figure.axes
    shown = axis.imshow(np.log10(matrix), cmap="gray")
    axis.grid(visible=False)
    axis.set_xlabel("row of the table (number)")
    axis.set_ylabel("style (number)")
    figure.colorbar(shown, label="log10 of Ls (squared difference)")
    return lab.figure(figure), "Dark is near: the diagonal are the styles by their own rows"


EXPERIMENT = Experiment(
    "table_of_styles",
    "One network, 32 styles",
    "section 3.3, equation 7",
    "One network learns 32 styles with the same convolutions, by a scale and a shift of its own for "
    "each; rows of the table can be mixed.",
    "`adain train --transform conditional` on the first paintings of --style. Each result is compared "
    "with all of them by the style loss: is its own the nearest?",
    run,
)
