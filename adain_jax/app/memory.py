"""Giving memory back to the system, as glibc by itself does only in part."""

import ctypes
import sys
from contextlib import suppress


def give_back() -> None:
    """Returns free memory to the system, where the C library can (glibc).

    Measured with the fast network in all sizes and both orientations, one after another: 636 instead of
    745 MiB at the end.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
