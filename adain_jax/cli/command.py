"""How every command ends: one line for an expected failure, a traceback only with --debug."""

import atexit
import gc
import sys
from collections.abc import Callable


class UsageError(Exception):
    """Options that do not fit together; exit code 2."""


def run(command: Callable[[], int | None], *, debug: bool) -> None:
    """Runs a command and exits with its code: 0 or what it returns, 1 on failure, 2 on bad usage."""
    # Or else Python looks through all that was imported for garbage before it ends: half a second.
    atexit.register(gc.freeze)
    try:
        code = command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except UsageError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except Exception as error:
        if debug:
            raise
        print(f"error: {_describe(error)}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _describe(error: Exception) -> str:
    if type(error).__module__.startswith("adain_jax."):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error} (--debug shows where)"
