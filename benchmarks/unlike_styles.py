"""Collects styles that differ from those that networks are trained on.

    python -m benchmarks.unlike_styles --style DIR --output DIR [--count 15]

They are the project's own drawn styles, and paintings of DIR whose hue, channels, contrast and
scale are changed (`adain_jax.training.style_augmentation`). With them, `adain_jax.evaluation
--style` measures how well a network generalizes beyond the paintings that it was trained on.
"""

import argparse
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from adain_jax.images import read_picture, save_picture
from adain_jax.training.style_augmentation import augment_styles

DRAWN = Path(__file__).parent.parent / "examples" / "style"
SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=15)
    options = parser.parse_args()
    options.output.mkdir(parents=True)
    for path in sorted(DRAWN.iterdir()):
        shutil.copy(path, options.output / f"drawn_{path.name}")
    key = jax.random.key(0)
    kept = 0
    for path in sorted(options.style.iterdir()):
        if kept == options.count:
            break
        window = np.asarray(read_picture(path, size=SIDE))[:SIDE, :SIDE, :3]
        key, own = jax.random.split(key)
        result = augment_styles(own[None], jnp.asarray(window)[None], SIDE)[0]
        # Skips those that keep their colors, about half: they are no test.
        if np.abs(np.asarray(result).mean((0, 1)) - window.mean((0, 1))).max() < 0.1:
            continue
        save_picture(np.asarray(result), options.output / f"changed_{path.stem}.png")
        kept += 1


if __name__ == "__main__":
    main()
