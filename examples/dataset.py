"""A stylized data set for a Ray pipeline: python examples/dataset.py [FOLDER].

Needs the extra `cluster`. Rows are made as they are asked for, by processes on this machine,
or on the cluster that `ray.init` has connected to.
"""

import sys
from pathlib import Path

from adain_jax.dataset import Recipe, stylized

HERE = Path(__file__).parent


def main() -> None:
    """Stylizes each picture of a folder in two random styles, and goes through the results."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(HERE / "content")
    recipe = Recipe(content_size=128, random_styles=2, alpha=(0.5, 1.0))
    dataset = stylized(folder, [str(HERE / "style")], recipe)
    for batch in dataset.iter_batches(batch_size=4):
        for key, image in zip(batch["__key__"], batch["image"], strict=True):
            print(key, len(image), "bytes")  # a training loop would decode and use it


if __name__ == "__main__":
    main()
