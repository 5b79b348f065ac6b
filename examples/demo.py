"""Stylizes the example pictures, `make demo`: results in examples/results, all of them in grid.png."""

from pathlib import Path

from adain_jax.cli import infer

HERE = Path(__file__).parent


def main() -> None:
    """Stylizes with the model that ships, and says where the results are."""
    results = HERE / "results"
    pictures = ["--content", str(HERE / "content"), "--style", str(HERE / "style")]
    print("Stylizing 4 photographs in 10 styles ...")
    try:
        infer.main([*pictures, "--output", str(results), "--grid", "--overwrite"])
    except SystemExit as exit_:
        if exit_.code:
            raise
    print(f"The results are in {results}; {results / 'grid.png'} shows them all.")


if __name__ == "__main__":
    main()
