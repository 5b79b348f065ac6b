"""Stylising clips: videos, GIFs and folders of frames (extra `video`)."""

from adain_jax.video.reading import Clip, Frame, VideoError, open_clip
from adain_jax.video.stabilizer import Stabilizer
from adain_jax.video.stylising import stylise_clip
from adain_jax.video.writing import writing

__all__ = ["Clip", "Frame", "Stabilizer", "VideoError", "open_clip", "stylise_clip", "writing"]
