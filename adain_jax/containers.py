"""The containers of clips, by the suffixes of their files; known without PyAV."""

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "mts", "m2ts"),
        *("flv", "wmv", "asf", "ogv", "3gp", "3g2"),
    )
)
"""Of videos that can be read."""

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's names of the video formats that can be written."""

WRITABLE_SUFFIXES = frozenset({*FORMATS, ".gif"})
"""Of clips that can be written as one file."""
