"""`adain pack`: packs a folder of pictures into a data set for training."""

import io
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.cli.command import written
from adain_jax.errors import UsageError


@dataclass(frozen=True)
class Pack:
    """Pack a folder of pictures into a TFDS data set (ArrayRecord) for training.

    After an interruption, the same command resumes.

    Example: adain pack photos packed/photos --size 512
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """A folder of pictures, searched recursively."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")]
    """The folder of the data set to write, which train then reads."""
    size: int = 512
    """Shorter side of the packed pictures, in pixels."""
    quality: int = 90
    """Quality of the JPEG files inside, from 1 to 100."""
    debug: bool = False
    """Show a traceback on failure."""


def pack(options: Pack) -> int:
    """Packs, and says what was done; returns 1 if some pictures could not be read."""
    from adain_jax.data.pack import pack
    from adain_jax.data.sources import import_tfds

    if options.size < 1 or not 1 <= options.quality <= 100:
        raise UsageError("--size must be at least 1 and --quality lie in 1 to 100")
    start = time.monotonic()
    import_tfds().disable_progress_bar()  # ours are enough
    with redirect_stdout(io.StringIO()):  # TFDS announces a download
        bad = pack(options.source, options.target, size=options.size, quality=options.quality)
    for message in bad.values():
        print(f"skipped: {message}", file=sys.stderr)
    seconds = time.monotonic() - start
    print(
        f"packed into {options.target}: {written(options.target)} in {seconds:.1f} s"
        + (f", {len(bad)} skipped" if bad else "")
    )
    return 1 if bad else 0
