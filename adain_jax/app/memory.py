"""Giving memory back to the system, as glibc by itself does only in part."""

import ctypes
import sys
from contextlib import suppress


def give_back() -> None:
    """Returns free memory to the system, where the C library can (glibc)."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
