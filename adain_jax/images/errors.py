"""The errors and warnings of reading and writing pictures."""

from adain_jax.errors import AdainError


class PictureError(AdainError):
    """A picture that cannot be read or written; `path` names it."""


class TooManyPixelsError(PictureError):
    """A picture, stored or resized, with more pixels than the caller allows."""


class NoRoomError(AdainError):
    """The temporary folder has no room for a picture; the message names the folder."""


class PictureWarning(UserWarning):
    """A picture that was read, but perhaps not as it was meant."""
