"""The errors of converting weights, and how they name keys."""

from collections.abc import Sequence

from adain_jax.errors import AdainError


class ConversionError(AdainError):
    """A weight file that cannot be converted.

    `reason` lists everything that is wrong with it, one problem per line; each line of the message
    names the file.
    """

    def __str__(self) -> str:
        if self.path is None:
            return self.reason
        return "\n".join(f"{self.path}: {problem}" for problem in self.reason.splitlines())


class UnknownConventionError(ConversionError):
    """An encoder that needs a `convention`: its key names do not tell which pictures it expects."""


def some(keys: Sequence[str], most: int = 24) -> str:
    """The first keys, which come from a file that may hold anything, on one line."""
    shown = [printable(key) or "nothing" for key in keys[:most]]
    rest = [f"{len(keys) - most} more"] if len(keys) > most else []
    return ", ".join(shown + rest) or "nothing at all"


def printable(key: str) -> str:
    """The key as it may be printed: no line breaks, nothing that a terminal obeys, not endless."""
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in key
    )
    return shown if len(shown) <= 120 else f"{shown[:119]}…"
