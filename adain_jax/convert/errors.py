"""The errors of converting weights, and how they name keys."""

from collections.abc import Sequence

from adain_jax import errors


class ConversionError(errors.AdainError):
    """A weight file that cannot be converted.

    `reason` lists everything that is wrong with it, one problem per line; each line of the message
    names the file.
    """

    def __str__(self) -> str:
        # What is wrong may be quoted from a file that holds anything.
        problems = map(printable, self.reason.split("\n"))
        place = "" if self.path is None else f"{errors.printable(self.path)}: "
        return "\n".join(place + problem for problem in problems)


class UnknownConventionError(ConversionError):
    """An encoder that needs a `convention`: its key names do not tell which pictures it expects."""


def some(keys: Sequence[str], most: int = 24) -> str:
    """The first keys, on one line."""
    rest = [f"{len(keys) - most} more"] if len(keys) > most else []
    return ", ".join([*keys[:most], *rest]) or "nothing at all"


def printable(text: str) -> str:
    """The text on one line, with nothing that a terminal obeys."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
