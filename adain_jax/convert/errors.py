"""What goes wrong when weights are converted."""


class ConversionError(Exception):
    """A weight file that cannot be converted; the message lists everything that is wrong with it."""
