"""The errors of converting weights."""

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
