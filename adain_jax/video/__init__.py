"""Stylising clips: videos, GIFs and folders of frames (extra `video`)."""

from adain_jax.video.reader import Clip, Frame, VideoError, open_clip
from adain_jax.video.stabilizer import Stabilizer
from adain_jax.video.stylize import stylize_clip
from adain_jax.video.writer import writing

stylise_clip = stylize_clip  # its name before, for those who use it

__all__ = [
    "Clip",
    "Frame",
    "Stabilizer",
    "VideoError",
    "open_clip",
    "stylise_clip",
    "stylize_clip",
    "writing",
]
