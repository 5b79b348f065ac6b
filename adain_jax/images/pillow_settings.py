"""Pillow's process-wide settings while this package reads a picture.

Pillow guards against decompression bombs with a global, `Image.MAX_IMAGE_PIXELS`. Here the caller's
`max_pixels` takes its place, and is checked before anything is decoded. Pillow also warns about
unusual metadata, which is common in large collections. As of Pillow 13, neither can be set for a
single call. Both are therefore changed when the first of several threads starts to read, and
restored when the last one ends. `tests/test_guest.py` checks that a host program finds them as they
were.
"""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from PIL import Image

_IGNORE_UNUSUAL_METADATA = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)

_lock = threading.Lock()
_readers = 0
_host_limit: int | None = None


@contextmanager
def reading_settings() -> Iterator[None]:
    """Suspends Pillow's own pixel limit and its warnings about metadata, for reading pictures."""
    global _readers, _host_limit
    with _lock:
        if not _readers:
            _host_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            _warning_filters().insert(0, _IGNORE_UNUSUAL_METADATA)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                Image.MAX_IMAGE_PIXELS = _host_limit
                # The host may have installed other filters meanwhile: remove only ours.
                with suppress(ValueError):
                    _warning_filters().remove(_IGNORE_UNUSUAL_METADATA)


def _warning_filters() -> list[Any]:
    # `warnings.catch_warnings` would undo changes that other threads make meanwhile.
    return cast(list[Any], warnings.filters)
