"""Pictures in and out: reading, writing, streaming of large ones, contact sheets."""

from adain_jax.images.files import PictureError, read_picture, save_picture

__all__ = ["PictureError", "read_picture", "save_picture"]
