"""Buckets: the few padded frame sizes that pictures of many sizes are computed in.

XLA compiles one program per shape. Pictures of 500 different sizes therefore lie in the corners of
at most `limit` different frames (plus a few if ever larger ones turn up later); the layers are told
the real sizes and give the same result as without padding (`adain_jax.nn.layers`).
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

Size = tuple[int, int]

# What opening one more program is worth, in padded pixels: about the time of compiling it on CPU.
PIXELS_PER_PROGRAM = 512 * 512


class Buckets:
    """Chooses a frame for every picture size, all frames being multiples of `multiple`.

    `plan` with all sizes that will come wastes least. Sizes that were not planned are fitted into an
    open frame where that wastes little, or once `limit` frames are open.
    """

    def __init__(self, limit: int = 8, multiple: int = 8):
        self.limit = limit
        self.multiple = multiple
        self.frames: list[Size] = []
        self._assigned: dict[Size, Size] = {}

    def plan(self, sizes: Iterable[Size]) -> None:
        """Opens frames for pictures of these (height, width), so that all together waste little.

        Sizes are merged in pairs, each time the pair whose common frame adds the fewest padded
        pixels, until the frames are few enough and the next merge would cost more than a program.
        """
        counts = Counter(size for size in sizes if self._fitting(size) is None)
        if not counts or len(self.frames) >= self.limit:
            return
        step, groups = self.multiple, Counter[Size]()
        while not groups or len(groups) > 128:  # pairs are compared: keep the rounded sizes few
            groups = Counter()
            for size, count in counts.items():
                groups[_round_up(size, step)] += count
            step *= 2
        frames = _merge(groups, self.limit - len(self.frames))
        self.frames += [frame for frame in frames if frame not in self.frames]
        for size in counts:
            self._assigned[size] = self._smallest_holding(size)

    def fit(self, size: Size) -> Size:
        """The frame for a picture of this (height, width); opens one if none will do."""
        if size not in self._assigned:
            self._assigned[size] = self._fitting(size) or self._open(size)
        return self._assigned[size]

    def _fitting(self, size: Size) -> Size | None:
        """An open frame that will do."""
        if size in self._assigned:
            return self._assigned[size]
        full = len(self.frames) >= self.limit
        if any(_holds(frame, size) for frame in self.frames):
            frame = self._smallest_holding(size)
            if full or _area(frame) <= 1.25 * _area(_round_up(size, self.multiple)):
                return frame
        return None

    def _open(self, size: Size) -> Size:
        height, width = _round_up(size, self.multiple)
        if len(self.frames) >= self.limit:  # hold all yet seen, so that growing sizes open few more
            height, width = (
                self.multiple * power_of_two(-(-max(sides) // self.multiple))
                for sides in zip(size, *self.frames, strict=True)
            )
        frame = height, width
        self.frames.append(frame)
        return frame

    def _smallest_holding(self, size: Size) -> Size:
        return min((frame for frame in self.frames if _holds(frame, size)), key=_area)


def _merge(groups: Counter[Size], limit: int) -> list[Size]:
    sides = np.array(list(groups), np.int64)
    counts = np.array(list(groups.values()), np.int64)
    while len(sides) > 1:
        joined = np.maximum(sides[:, None], sides[None])
        padded = counts * sides.prod(-1)
        added = joined.prod(-1) * (counts[:, None] + counts) - padded[:, None] - padded
        np.fill_diagonal(added, np.iinfo(np.int64).max)
        i, j = np.unravel_index(added.argmin(), added.shape)
        if len(sides) <= limit and added[i, j] > PIXELS_PER_PROGRAM:
            break
        sides[i], counts[i] = joined[i, j], counts[i] + counts[j]
        sides, counts = np.delete(sides, j, 0), np.delete(counts, j)
    return [(int(h), int(w)) for h, w in sides]


def power_of_two(number: int) -> int:
    """The next one, from `number` on."""
    return 1 << (number - 1).bit_length()


def _round_up(size: Size, step: int) -> Size:
    return -(-size[0] // step) * step, -(-size[1] // step) * step


def _holds(frame: Size, size: Size) -> bool:
    return frame[0] >= size[0] and frame[1] >= size[1]


def _area(size: Size) -> int:
    return size[0] * size[1]
