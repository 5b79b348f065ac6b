"""Stylizing clips: videos, GIFs and folders of frames (extra `video`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adain_jax.video.reader import Clip, Frame, VideoError, open_clip
    from adain_jax.video.stabilizer import Stabilizer
    from adain_jax.video.stylize import stylize_clip
    from adain_jax.video.stylize import stylize_clip as stylise_clip
    from adain_jax.video.writer import writing

__all__ = [
    "Clip",
    "Frame",
    "Stabilizer",
    "VideoError",
    "open_clip",
    "stylise_clip",  # the former name of stylize_clip
    "stylize_clip",
    "writing",
]

_HOME = {
    **dict.fromkeys(("Clip", "Frame", "VideoError", "open_clip"), "reader"),
    "Stabilizer": "stabilizer",
    "stylize_clip": "stylize",
    "writing": "writer",
}


def __getattr__(name: str) -> Any:
    """Imports the public names on first use, so that `formats` can be used without PyAV."""
    name = "stylize_clip" if name == "stylise_clip" else name
    if name in _HOME:
        return getattr(import_module(f"adain_jax.video.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
