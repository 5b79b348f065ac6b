"""What goes wrong when weights are converted."""

from adain_jax.errors import AdainError


class ConversionError(AdainError):
    """A weight file that cannot be converted.

    `reason` lists everything that is wrong with it, one problem a line; the message names the file in
    each line.
    """

    def __str__(self) -> str:
        if self.path is None:
            return self.reason
        return "\n".join(f"{self.path}: {problem}" for problem in self.reason.splitlines())


class UnknownConventionError(ConversionError):
    """An encoder whose names do not tell which pictures it expects, for want of a `convention`."""
