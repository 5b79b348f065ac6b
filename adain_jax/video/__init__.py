"""Stylising clips: videos, GIFs and folders of frames (extra `video`)."""

from adain_jax.video.reading import Clip, Frame, VideoError, open_clip
from adain_jax.video.stabilizing import Stabilizer
from adain_jax.video.stylizing import stylize_clip
from adain_jax.video.writing import writing

__all__ = ["Clip", "Frame", "Stabilizer", "VideoError", "open_clip", "stylize_clip", "writing"]
