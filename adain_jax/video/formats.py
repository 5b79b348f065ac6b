"""The file formats of clips, by suffix. Nothing here needs PyAV."""

from adain_jax.images import SUFFIXES as PICTURE_SUFFIXES

# FFmpeg's names of the containers that can be written.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".gif": "gif",
}
WRITABLE = frozenset(CONTAINERS)

VIDEO_SUFFIXES = (WRITABLE - PICTURE_SUFFIXES) | {
    f".{suffix}"
    for suffix in (
        *("avi", "mpg", "mpeg", "ts", "mts", "m2ts"),
        *("flv", "wmv", "asf", "ogv", "3gp", "3g2"),
    )
}
