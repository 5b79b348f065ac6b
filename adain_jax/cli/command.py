"""Runs a command and turns its failure into one line, or into a traceback with --debug."""

import atexit
import gc
import sys
from collections.abc import Callable

from adain_jax.errors import AdainError, UsageError


def run(command: Callable[[], int | None], *, debug: bool) -> None:
    """Runs a command and exits with its return value, or 0 if that is None.

    The exit code is 1 on failure, 2 on bad usage and 130 after Ctrl-C.
    """
    # Without this, the garbage collection of all imported modules at exit takes half a second.
    atexit.register(gc.freeze)
    try:
        code = command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except Exception as error:
        if debug:
            raise
        print(f"error: {_describe(error)}", file=sys.stderr)
        code = 2 if isinstance(error, UsageError) else 1
    sys.exit(code)


def _describe(error: Exception) -> str:
    if isinstance(error, AdainError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error} (--debug shows where)"
