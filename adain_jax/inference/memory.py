"""The engine's memory: what may be used for what, how much is free, and how large tiles may be."""

import ctypes
import math
import sys
from pathlib import Path

import jax
import psutil

from adain_jax.inference.buckets import Size

# On the device. Each holds only as far as memory is free, see where it is used.
WHOLE_PICTURE_BYTES = 1280 << 20  # for computing a picture in one piece
TILE_BYTES = 640 << 20  # for computing a tile, beside which features wait; more is hardly faster
FEATURE_CACHE_BYTES = 2304 << 20  # for the features of a picture in tiles, waiting to be decoded
SLAB_BYTES = 384 << 20  # for a slab of a picture in tiles and its result

# On the host.
UNBATCHED_BYTES = 1 << 30  # for contents that wait for others of their padded shape
UNWRITTEN_BYTES = 256 << 20  # for results that wait for being written

MIN_TILE_SIZE = 128  # pixels per side

CGROUP = Path("/sys/fs/cgroup")  # of the container


def choose_tile_size(size: Size, bytes_per_pixel: int) -> int | None:
    """The side of tiles that fit into the memory that is free; None where the whole picture does."""
    share = free_memory() // 4
    side = math.isqrt(min(share, TILE_BYTES) // bytes_per_pixel)
    whole = size[0] * size[1] * bytes_per_pixel <= min(share, WHOLE_PICTURE_BYTES)
    return None if whole else max(side // 8 * 8, MIN_TILE_SIZE)


def free_memory() -> int:
    """Bytes that are free to compute with: of the accelerator, or else of the host."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_host_memory()


def free_host_memory() -> int:
    """Bytes that are free: of the machine, or of the container around the process."""
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, limit - used + int(stat["inactive_file"]))  # files' pages make room


def trim_malloc() -> None:
    """Gives freed memory back to the system.

    glibc keeps what was freed in pieces for later, such as 200 MiB after compiling a program.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
