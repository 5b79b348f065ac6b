"""`AdainError`, the base class of this package's own errors, and those that many modules raise."""

from pathlib import Path


class AdainError(Exception):
    """A problem that the caller can fix; a traceback would not help.

    Attributes:
        reason: what is wrong, in the library's terms.
        path: the file, folder or data set that it is about, or None.
    """

    def __init__(self, reason: str, path: str | Path | None = None):
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        # The reason may quote what a file holds.
        reason = printable(self.reason)
        return reason if self.path is None else f"{printable(self.path)}: {reason}"


class UsageError(AdainError, ValueError):
    """Options, or arguments, that do not fit together."""


class StyleError(AdainError):
    """A style file or a mixture of styles that cannot be used."""


def printable(path: str | Path) -> str:
    """Text for a message of one line: what is no printable character is escaped, as Python does."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(path)
    )
