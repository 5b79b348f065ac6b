"""The command `adain`, also `python -m adain_jax`: one way to everything the package does.

Each command is a dataclass of options and the function that takes it. Neither imports JAX, so that the
help comes at once; the functions import what they need.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from adain_jax import __version__
from adain_jax.cli import (
    app,
    convert_vgg,
    dataset,
    evaluate,
    infer,
    pack,
    reproduce,
    train,
    training_tools,
)
from adain_jax.cli.command import parse_one_of, run

COMMANDS: dict[str, tuple[type, Callable[[Any], int | None]]] = {
    "stylize": (infer.Options, infer.stylize),
    "app": (app.Options, app.serve),
    "convert": (convert_vgg.Options, convert_vgg.convert),
    "dataset": (dataset.Options, dataset.stylize),
    "train": (train.Config, train.train),
    "recipe": (training_tools.FollowRecipe, training_tools.follow_recipe),
    "pack": (pack.Pack, pack.pack),
    "mirror": (training_tools.Mirror, training_tools.mirror),
    "plot": (training_tools.Plot, training_tools.plot),
    "export": (training_tools.Export, training_tools.export),
    "evaluate": (evaluate.Options, evaluate.evaluate),
    "reproduce": (reproduce.Options, reproduce.reproduce),
}

ABOUT = """Arbitrary style transfer: any photograph in the style of any painting.

Example: adain stylize -c photo.jpg -s painting.jpg -o result.jpg

More of a command: adain stylize --help

The version: adain --version

Completion for bash, zsh, tcsh or fish: adain --tyro-write-completion bash FILE"""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0, 1 (failure) or 2 (bad usage)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(f"adain {__version__}")
        return
    kinds = {name: options for name, (options, _) in COMMANDS.items()}
    options = parse_one_of(kinds, "adain", arguments, ABOUT)
    run(partial(_action(options), options), debug=options.debug)


def _action(options: object) -> Callable[[Any], int | None]:
    return next(action for kind, action in COMMANDS.values() if isinstance(options, kind))


if __name__ == "__main__":
    main()
