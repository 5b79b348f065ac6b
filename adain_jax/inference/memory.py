"""The engine's memory: limits for each purpose, the free memory, and the size of tiles."""

import ctypes
import math
import sys
from pathlib import Path

import jax
import psutil

from adain_jax.inference.buckets import Size

# Limits on the device, in bytes. Where they are used, the free memory may lower them.
WHOLE_PICTURE_BYTES = 1280 << 20  # for computing a picture in one piece
TILE_BYTES = 640 << 20  # for computing a tile, besides cached features; more is hardly faster
FEATURE_CACHE_BYTES = 2304 << 20  # for the cached features of a picture in tiles
SLAB_BYTES = 384 << 20  # for a slab of a picture in tiles and its result

# Limits on the host, in bytes.
UNBATCHED_BYTES = 1 << 30  # for contents that wait for a full batch of their padded shape
UNWRITTEN_BYTES = 256 << 20  # for results that are not written yet

MIN_TILE_SIZE = 128  # pixels per side

CGROUP = Path("/sys/fs/cgroup")  # the control group of the container


def choose_tile_size(size: Size, bytes_per_pixel: int) -> int | None:
    """Chooses the tiles for a picture from the free memory.

    Args:
        size: height and width of the picture in pixels.
        bytes_per_pixel: the memory that the network needs, see `StyleNetwork.bytes_per_pixel`.

    Returns:
        The side of the tiles in pixels, at least MIN_TILE_SIZE; None if the whole picture fits.
    """
    share = free_memory() // 4
    side = math.isqrt(min(share, TILE_BYTES) // bytes_per_pixel)
    whole = size[0] * size[1] * bytes_per_pixel <= min(share, WHOLE_PICTURE_BYTES)
    return None if whole else max(side // 8 * 8, MIN_TILE_SIZE)


def free_memory() -> int:
    """Returns the free memory in bytes: of the accelerator, or of the host if there is none."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return free_host_memory()


def free_host_memory() -> int:
    """Returns the free memory of the host, or of the container if that has a limit, in bytes."""
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, limit - used + int(stat["inactive_file"]))  # cached files can be evicted


def trim_malloc() -> None:
    """Returns freed memory to the operating system. Does nothing without glibc.

    glibc keeps memory that was freed in small pieces, such as 200 MiB after compiling a program.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
