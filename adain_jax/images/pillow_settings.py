"""Pillow's process-wide settings while this package reads a picture.

Pillow guards against decompression bombs with a global, `Image.MAX_IMAGE_PIXELS`. Here the caller's
`max_pixels` takes its place, and is checked before anything is decoded. Another global,
`PngImagePlugin.MAX_TEXT_CHUNK`, refuses PNG files whose color profile is larger than 1 MB, as some
are. Pillow also warns about unusual metadata, which is common in large collections. As of Pillow 13,
none of these can be set for a single call. They are therefore changed when the first of several
threads starts to read, and restored when the last one ends. `tests/test_guest.py` checks that a host
program finds them as they were.
"""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from PIL import Image, PngImagePlugin

_IGNORE_UNUSUAL_METADATA = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)

_MAX_TEXT_CHUNK = 1 << 24

_lock = threading.Lock()
_readers = 0
_host_limits: tuple[int | None, int] = (None, 0)


@contextmanager
def reading_settings() -> Iterator[None]:
    """Suspends Pillow's own limits and its warnings about metadata, for reading pictures."""
    global _readers, _host_limits
    with _lock:
        if not _readers:
            _host_limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, _MAX_TEXT_CHUNK
            _warning_filters().insert(0, _IGNORE_UNUSUAL_METADATA)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = _host_limits
                # The host may have installed other filters meanwhile: remove only ours.
                with suppress(ValueError):
                    _warning_filters().remove(_IGNORE_UNUSUAL_METADATA)


def _warning_filters() -> list[Any]:
    # `warnings.catch_warnings` would undo changes that other threads make meanwhile.
    return cast(list[Any], warnings.filters)
