"""`adain train`, which `train.py` is too: trains a decoder or a light network."""

from functools import partial

from adain_jax.cli.command import parse, refuse_urls, run, signals_held
from adain_jax.training.config import Config


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0 (done, or stopped by a signal), 1 or 2 (bad usage)."""
    config = parse(Config, "train.py", arguments)
    run(partial(train, config), debug=config.debug)


def train(config: Config) -> None:
    """Trains."""
    with signals_held():
        from adain_jax.training import loop

    refuse_urls(config)
    loop.train(config)
