"""How a large picture is cut so that its parts together give what the whole would.

Each tile is computed with a halo as wide as the network sees, so that what is missing beyond it never
reaches what is kept. At the picture's border there is no halo: the network mirrors there, as it does
for the whole. All tiles of a picture have one size, so that one program computes them.
"""

import ctypes
import math
import sys
from pathlib import Path
from typing import NamedTuple

from adain_jax.buckets import Size

WHOLE = 1280 << 20  # bytes that the computation of a picture in one piece may take
MEMORY = 640 << 20  # and that of a tile, beside which features wait; larger ones are hardly faster
SMALLEST = 128
CGROUP = Path("/sys/fs/cgroup")  # of the container


class Window(NamedTuple):
    """A stretch of rows or columns: computed from start to stop, kept from first to last."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def computed(self) -> slice:
        """What is computed, of the picture."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """What is kept, of the picture."""
        return slice(self.first, self.last)

    @property
    def core(self) -> slice:
        """What is kept, of what is computed."""
        return slice(self.first - self.start, self.last - self.start)


class Tile(NamedTuple):
    """A part of a picture."""

    rows: Window
    columns: Window


def cut(size: Size, side: int, halo: int, multiple: int) -> list[Tile]:
    """Tiles that cover a picture, in reading order.

    Args:
        size: height and width of the picture.
        side: what is kept of a tile has about this many pixels per side, or fewer.
        halo: how far tiles reach beyond what is kept of them.
        multiple: tiles begin at multiples of so many pixels, the network's last stride.
    """
    rows, columns = (_windows(length, side, halo, multiple) for length in size)
    return [Tile(row, column) for row in rows for column in columns]


def _windows(length: int, side: int, halo: int, multiple: int) -> list[Window]:
    """Windows of one extent, spread so that neighbours share twice the halo or more."""

    def up(number: int) -> int:
        return -(-number // multiple) * multiple

    whole, halo = up(length), up(halo)
    n = -(-whole // side)
    extent = up(-(-(whole + (n - 1) * 2 * halo) // n))
    if extent >= whole:
        n, extent = 1, whole
    else:  # fewer may do, as the extent was rounded up
        n = -(-(whole - 2 * halo) // (extent - 2 * halo))
    starts = [min(i * (extent - 2 * halo), whole - extent) for i in range(n)]
    lasts = [*(start + extent - halo for start in starts[:-1]), length]
    firsts = [0, *lasts[:-1]]
    return [
        Window(start, min(start + extent, length), first, last)
        for start, first, last in zip(starts, firsts, lasts, strict=True)
    ]


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
