"""Stylises the example pictures, `make demo`: results in examples/results, a sheet of all in grid.png.

Until trained weights ship with the package, this needs the published VGG19 encoder and decoder. It
takes converted ones, or converts those in the folder named by ADAIN_JAX_TEST_WEIGHTS.
"""

import os
import sys
from pathlib import Path

from adain_jax import weights
from adain_jax.cli import convert_vgg, infer

HERE = Path(__file__).parent
PUBLISHED = {"vgg19-encoder": "vgg_normalised.pth", "vgg19-decoder": "decoder.pth"}


def prepare_weights() -> None:
    """Converts the published weights, unless that was done before."""
    published = os.environ.get("ADAIN_JAX_TEST_WEIGHTS") or "."
    for kind, name in PUBLISHED.items():
        if weights.default_path(kind).exists():  # type: ignore[arg-type]
            continue
        source = Path(published) / name
        if not source.exists():
            sys.exit(
                f"The demo was skipped: there are no {kind} weights. Get the published {name} and "
                f"run `python convert_vgg.py {name}` once."
            )
        try:
            convert_vgg.main([str(source)])
        except SystemExit as exit_:
            if exit_.code:
                raise


def main() -> None:
    """Converts, stylises, and says where the results are."""
    prepare_weights()
    results = HERE / "results"
    pictures = ["--content", str(HERE / "content"), "--style", str(HERE / "style")]
    print("Stylising 4 photographs in 10 styles ...")
    try:
        infer.main(
            [*pictures, "--output", str(results), "--content-size", "384", "--grid", "--overwrite"]
        )
    except SystemExit as exit_:
        if exit_.code:
            raise
    print(f"The results are in {results}; {results / 'grid.png'} shows them all.")


if __name__ == "__main__":
    main()
