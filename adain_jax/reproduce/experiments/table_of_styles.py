"""Section 3.3: one network for 32 styles, by conditional instance normalization."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from adain_jax.images import Picture
from adain_jax.inference.stylizer import Stylizer
from adain_jax.losses import content_loss, style_losses
from adain_jax.nn import bind
from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder
from adain_jax.progress import track
from adain_jax.reproduce.figures import panels
from adain_jax.reproduce.lab import STYLE_WEIGHT, Experiment, Lab, Outcome
from adain_jax.reproduce.verdicts import STANDARD_ERRORS, spread
from adain_jax.style import Style, adain, mix, statistics

RATE = 0.03
"""Learning rate of Adam for the table, whose values are about 1."""
PHOTOGRAPHS = 64
"""Contents to train on."""
BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)


@jax.jit
def _step(
    state: tuple[Style, Any],
    encoder_params: Any,
    decoder_params: Any,
    index: Int[Array, " n"],
    content_relu4_1: Features,
    styles: tuple[Style, ...],
) -> tuple[Style, Any]:
    """A step of Adam; returns the table and the optimizer's state after it."""
    rows, moments = state

    def loss(rows: Style) -> Array:
        result = bind(Decoder, decoder_params)(adain(content_relu4_1, rows[index]))
        taps = bind(VGG19Encoder, encoder_params)(result)
        by_layer = style_losses(taps, styles, mean_over_channels=True)
        target = adain(content_relu4_1, styles[-1])
        return content_loss(taps.relu4_1, target) + STYLE_WEIGHT * sum(by_layer.values())

    updates, moments = optax.adam(RATE).update(jax.grad(loss)(rows), moments)
    return optax.apply_updates(rows, updates), moments


def learn(lab: Lab, decoder: Any, paintings: Float[np.ndarray, "k h w 3"], seed: int) -> Style:
    """The table: a shift and a scale for each painting, float32 (k, 512) (equation 7).

    All rows begin alike, as the photographs' own mean statistics.
    """
    contents = lab.encode(lab.photographs(PHOTOGRAPHS)).relu4_1
    styles = tuple(statistics(tap) for tap in lab.encode(paintings))
    number = len(paintings)
    rows = jax.tree.map(lambda x: jnp.tile(x.mean(0), (number, 1)), statistics(contents))
    state = rows, optax.adam(RATE).init(rows)
    rng = np.random.default_rng(seed)
    size = min(lab.scale.batch, number)
    for step in track("training", range(lab.scale.table_steps), lab.scale.table_steps):
        if step % (number // size) == 0:
            order = rng.permutation(number)
        index = order[step % (number // size) * size :][:size]
        content = contents[rng.choice(len(contents), size)]
        own = tuple(style[index] for style in styles)
        state = _step(state, lab.encoder_params, decoder, index, content, own)
    lab.steps += lab.scale.table_steps
    return jax.device_get(state[0])


def run(lab: Lab) -> Outcome:
    """Trains, paints one content in all styles, and asks which style each result is nearest to."""
    content, shown = lab.pairs[0][0], lab.shown[0][0]
    paintings = lab.squares(lab.style, lab.scale.table, lab.scale.crop, "table")
    own_is_best, ratios = [], []
    matrices = []
    stylizer = Stylizer.load("vgg19", encoder=lab.encoder)
    tables = [learn(lab, stylizer.params["decoder"], paintings, seed) for seed in lab.seeds]
    for rows in tables:
        painted = _paint(stylizer, rows, content)
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
    beyond = STANDARD_ERRORS * np.nan_to_num(best.standard_error)
    holds = best.mean - beyond > max(50, chance)
    told = best.mean - beyond > chance
    word = "Holds" if holds else "Holds in part" if told else "Too small to tell"
    return Outcome(
        f"{word}: of {len(paintings)} styles in one network, {best} % are best met by their own row of "
        f"the table (by chance {chance:.0f} %), with {ratio} of the style loss of other rows.",
        ["", "styles best met by their own row, %", "Ls of the own row, of other rows'"],
        [["one network", str(best), str(ratio)]],
        {"own row is best, %": own_is_best, "Ls of the own row, of others'": ratios},
        [
            _sheet(lab, _paint(stylizer, tables[0], shown)),
            _blends(lab, stylizer, tables[0], shown),
            _matrix(lab, np.mean(matrices, 0)),
        ],
    )


def _paint(stylizer: Stylizer, rows: Style, content: np.ndarray) -> np.ndarray:
    """The content by each row of the table."""
    return np.stack([stylizer(content, rows[i]) for i in range(len(rows.mean))])


def _sheet(lab: Lab, painted: np.ndarray) -> tuple[str, str]:
    columns = 8
    cells: dict[tuple[int, int], Picture] = {
        divmod(i, columns): one for i, one in enumerate(painted)
    }
    name = lab.sheet(cells, [""] * -(-len(painted) // columns), [""] * columns)
    return name, "The same photograph by every row of the table"


def _blends(lab: Lab, stylizer: Stylizer, rows: Style, content: np.ndarray) -> tuple[str, str]:
    first, second = rows[0], rows[1]
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
    "The convolutions are those of the decoder that ships. A scale and a shift for each of the first "
    "paintings of --style, all alike at first, are trained by the losses (`adain train --transform "
    "conditional` trains the convolutions too, which takes longer). Each result is compared with all "
    "paintings by the style loss: is its own the nearest?",
    run,
)
