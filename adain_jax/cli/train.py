"""`train.py`: trains a decoder or a light network."""

from adain_jax.cli.command import parse, refuse_urls, run
from adain_jax.training.config import Config


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0 (done, or stopped by a signal), 1 or 2 (bad usage)."""
    config = parse(Config, "train.py", arguments)

    def command() -> None:
        from adain_jax.training.loop import train

        refuse_urls(config)
        train(config)

    run(command, debug=config.debug)
