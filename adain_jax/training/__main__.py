"""`python -m adain_jax.training plot RUN...` and `export RUN`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.cli.run import run

_Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Plot:
    """Draw the curves of one or more runs into one picture."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders."""
    output: Path = Path("curves.png")
    """Where to write it."""
    debug: bool = False
    """Show a traceback on failure."""


@dataclass(frozen=True)
class Export:
    """Write the weights of a checkpoint for infer.py --decoder (or, of --model fast, --network)."""

    folder: _Run
    """A run folder."""
    step: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Of which checkpoint; by default the newest."""
    output: Path = Path("decoder.safetensors")
    """Where to write it."""
    half: bool = False
    """In float16, as the weights that ship."""
    debug: bool = False
    """Show a traceback on failure."""


def main(arguments: list[str] | None = None) -> None:
    """The command; exits with 0, 1 or 2."""
    options = tyro.extras.subcommand_cli_from_dict(
        {"plot": Plot, "export": Export},
        prog="python -m adain_jax.training",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    action = _plot if isinstance(options, Plot) else _export
    run(lambda: action(options), debug=options.debug)


def _plot(options: Plot) -> None:
    from adain_jax.training.records import plot

    plot(options.runs, options.output)
    print(f"curves in {options.output}")


def _export(options: Export) -> None:
    import json

    from adain_jax.training.checkpoints import Checkpoints, export
    from adain_jax.training.config import Config
    from adain_jax.training.records import RunError
    from adain_jax.training.step import initial_state

    file = options.folder / "config.json"
    if not file.exists():
        raise RunError(f"{options.folder}: no run in this folder")
    config = Config(**json.loads(file.read_text()))
    if config.norm != "none" or config.transform != "adain":
        raise RunError(f"{options.folder}: infer.py cannot use a decoder with other layers")
    state, _ = Checkpoints(options.folder / "checkpoints").restore(
        initial_state(config, 1), options.step
    )
    export(state, options.output, config, half=options.half)
    print(f"weights of step {int(state.step)} in {options.output}")


if __name__ == "__main__":
    main()
