"""How much memory there is, and what of a picture fits into it."""

import ctypes
import math
import sys
from pathlib import Path

from adain_jax.inference.buckets import Size

WHOLE = 1280 << 20  # bytes that the computation of a picture in one piece may take
MEMORY = 640 << 20  # and that of a tile, beside which features wait; larger ones are hardly faster
SMALLEST = 128  # pixels per side of a tile
CGROUP = Path("/sys/fs/cgroup")  # of the container


def automatic_side(size: Size, bytes_per_pixel: int) -> int | None:
    """The side of tiles that fit into the memory that is free; None where the whole picture does."""
    share = free_memory() // 4
    side = math.isqrt(min(share, MEMORY) // bytes_per_pixel)
    whole = size[0] * size[1] * bytes_per_pixel <= min(share, WHOLE)
    return None if whole else max(side // 8 * 8, SMALLEST)


def free_memory() -> int:
    """Bytes that are free to compute with: of the accelerator, or else of the host."""
    import jax

    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_host_memory()


def free_host_memory() -> int:
    """Bytes that are free: of the machine, or of the container around the process."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, limit - used + int(stat["inactive_file"]))  # files' pages make room


def release_memory() -> None:
    """Gives the system back what is freed; glibc keeps, for one, 200 MiB after compiling a program."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
