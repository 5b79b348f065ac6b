"""`train.py`: trains a decoder or a light network."""

import tyro

from adain_jax.cli.command import run
from adain_jax.training.config import Config


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0 (done, or stopped by a signal), 1 or 2 (bad usage)."""
    config = tyro.cli(
        Config, prog="train.py", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )

    def command() -> None:
        from adain_jax.training.loop import train

        train(config)

    run(command, debug=config.debug)
