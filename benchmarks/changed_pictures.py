"""What a decoder has learned by heart: its losses on pictures it was trained on, changed in many ways.

    python -m benchmarks.changed_pictures --content DIR --style DIR --decoder FILE --beside FILE

Prints Lc and Ls (equations 12 and 13, the latter averaged over channels) of both decoders, and the
ratio of their Lc + 1.35 Ls. Another decoder's pictures tell how hard a change makes a picture for any:
where the ratio to it rises, the first one leans on what the change took away. The pictures are as many
from each folder as --pairs says, evenly chosen by name, central squares of 256 pixels.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adain_jax import weights
from adain_jax.data.sources import open_source
from adain_jax.evaluation import central_square
from adain_jax.losses import adain_losses
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder
from adain_jax.progress import track
from adain_jax.style import adain, statistics
from adain_jax.training.style_augmentation import AXES, in_palette, other_palette, poster, vivid

DRAWN = Path(__file__).parent.parent / "examples" / "style"
SIDE = 256
ZOOM = 1.25
STYLE_WEIGHT = 1.35

Pictures = Sequence[Float[np.ndarray, "256 256 3"]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in ("--content", "--style", "--decoder", "--beside"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=60)
    options = parser.parse_args()
    encoder = weights.read(weights.default_path("vgg19-encoder"), "vgg19-encoder")
    decoders = [weights.read(path, "vgg19-decoder") for path in (options.decoder, options.beside)]
    contents, styles = (squares(path, options.pairs) for path in (options.content, options.style))
    jitted = jax.jit(losses)
    print(f"{'':42}{options.decoder.stem:>16}{options.beside.stem:>16}   ratio")
    for name, changed in changes(contents, styles).items():
        pairs = list(zip(*changed, strict=False))
        rows = [
            jitted(encoder, decoders, content[None], style[None])
            for content, style in track(name, pairs, len(pairs))
        ]
        means = np.mean(np.asarray(rows, np.float64), axis=0)
        totals = means @ [1, STYLE_WEIGHT]
        figures = "".join(f"{f'{lc:.3f} / {ls:.3f}':>16}" for lc, ls in means)
        print(f"{name:42}{figures}   {totals[0] / totals[1]:.3f}", flush=True)


def squares(folder: Path, count: int) -> Pictures:
    """Central squares of pictures that are evenly chosen from a folder."""
    source = open_source(str(folder))
    return [central_square(source, i * len(source) // count, SIDE) for i in range(count)]


def changes(contents: Pictures, styles: Pictures) -> dict[str, tuple[Pictures, Pictures]]:
    """The contents and styles of each row, by what was done to them."""
    keys = jax.random.split(jax.random.key(0), len(styles))

    def random(change: Callable[..., Any]) -> Pictures:
        return [np.asarray(change(key, x)) for key, x in zip(keys, styles, strict=True)]

    others = [*styles[7:], *styles[:7]]
    return {
        "as they are": (contents, styles),
        "styles zoomed": (contents, [zoomed(x) for x in styles]),
        "styles upside down": (contents, [x[::-1].copy() for x in styles]),
        "photographs as styles": (contents, [*contents[7:], *contents[:7]]),
        "styles in each other's palettes": (
            contents,
            [in_palette_of(x, other) for x, other in zip(styles, others, strict=True)],
        ),
        "styles in drawn palettes": (contents, random(other_palette)),
        "styles in vivid colors": (contents, random(vivid)),
        "styles as posters": (contents, random(poster)),
        "the example styles": (contents, squares(DRAWN, 10)),
        "contents zoomed": ([zoomed(x) for x in contents], styles),
        "contents in each other's palettes": (
            [in_palette_of(x, y) for x, y in zip(contents, contents[::-1], strict=True)],
            styles,
        ),
        "paintings as contents": (others, styles),
    }


def zoomed(picture: Float[np.ndarray, "256 256 3"]) -> Float[np.ndarray, "256 256 3"]:
    """The middle of a picture, enlarged to its size."""
    side = round(SIDE / ZOOM)
    first = (SIDE - side) // 2
    middle = picture[first : first + side, first : first + side]
    return np.clip(jax.image.resize(middle, picture.shape, "cubic"), 0, 1)


def in_palette_of(
    picture: Float[np.ndarray, "256 256 3"], other: Float[np.ndarray, "256 256 3"]
) -> Float[np.ndarray, "256 256 3"]:
    """A picture all the way in the colors of another."""
    colors = other @ AXES.T
    return np.asarray(in_palette(jnp.asarray(picture), colors.mean((0, 1)), colors.std((0, 1))))


def losses(
    encoder_params: Any, decoders: Sequence[Any], content: Array, style: Array
) -> Float[Array, "decoders 2"]:
    """Lc and Ls of what each decoder makes of a pair, as it is seen."""
    encoder = bind(VGG19Encoder, encoder_params)
    features, taps = encoder(content).relu4_1, encoder(style)
    target = adain(features, statistics(taps.relu4_1))
    measured = [
        adain_losses(
            encoder(jnp.clip(bind(Decoder, params)(target), 0, 1)),
            features,
            taps,
            mean_over_channels=True,
        )
        for params in decoders
    ]
    return jnp.stack([jnp.stack([m["content_loss"], m["style_loss"]]) for m in measured])


if __name__ == "__main__":
    main()
