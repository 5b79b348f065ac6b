"""Buckets: the few padded shapes in which pictures of many sizes are computed.

XLA compiles one program per shape. Pictures of 500 different sizes are therefore put into the top
left corners of arrays of at most `limit` different shapes (plus a few if larger and larger pictures
follow). The layers take the valid sizes and give the same result as without padding: see
`adain_jax.nn.valid_size`.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np

Size = tuple[int, int]
"""Height and width in pixels."""

MULTIPLE = 8  # padded shapes are multiples of the networks' coarsest stride

# The cost of one more program, in padded pixels: about the time to compile it on CPU.
PIXELS_PER_PROGRAM = 512 * 512


class Buckets:
    """Chooses a padded shape for every picture size.

    Calling `plan` with all expected sizes wastes the least. A size that was not planned goes into
    an existing shape that holds it if that wastes little or if there are `limit` shapes already;
    otherwise it gets a new shape.

    Attributes:
        limit: how many shapes to choose, if all sizes fit into them.
        shapes: the padded shapes chosen so far, height and width in pixels.
    """

    def __init__(self, limit: int = 8):
        self.limit = limit
        self.shapes: list[Size] = []
        self._bucket_of: dict[Size, Size] = {}
        self._rows: dict[Size, int] = {}

    def plan(self, sizes: Iterable[Size]) -> None:
        """Chooses shapes for pictures of these sizes (one per picture) that waste little in total.

        Sizes are merged in pairs, each time the pair whose common shape adds the fewest padded
        pixels, until the shapes are few enough and the next merge would cost more than a program.
        """
        counts = Counter(size for size in sizes if self._existing_bucket(size) is None)
        if not counts or len(self.shapes) >= self.limit:
            return
        step, groups = MULTIPLE, Counter[Size]()
        while not groups or len(groups) > 128:  # limits the number of pairs to compare
            groups = Counter()
            for size, count in counts.items():
                groups[_round_up(size, step)] += count
            step *= 2
        shapes = _merge(groups, self.limit - len(self.shapes))
        self.shapes += [shape for shape in shapes if shape not in self.shapes]
        for size in counts:
            self._bucket_of[size] = self._smallest_holding(size)

    def bucket_for(self, size: Size) -> Size:
        """Returns the padded shape for a picture of this size; adds one if none is suitable."""
        if size not in self._bucket_of:
            self._bucket_of[size] = self._existing_bucket(size) or self._open(size)
        return self._bucket_of[size]

    def rows_for(self, shape: Size, own: int) -> int:
        """Returns the number of rows of a batch in this padded shape whose pictures need `own` rows.

        The first batch that is smaller than the one before it gets as many rows as that one: it is
        most likely the last of many, which is not worth another program.
        """
        rows = max(own, self._rows.get(shape, own))
        self._rows[shape] = own
        return rows

    def _existing_bucket(self, size: Size) -> Size | None:
        """An existing shape that is suitable for this size, or None."""
        if size in self._bucket_of:
            return self._bucket_of[size]
        full = len(self.shapes) >= self.limit
        if any(_holds(shape, size) for shape in self.shapes):
            shape = self._smallest_holding(size)
            if full or _area(shape) <= 1.25 * _area(_round_up(size, MULTIPLE)):
                return shape
        return None

    def _open(self, size: Size) -> Size:
        height, width = _round_up(size, MULTIPLE)
        # Beyond the limit, hold all sizes seen so far: growing sizes then add few more shapes.
        if len(self.shapes) >= self.limit:
            height, width = (
                MULTIPLE * power_of_two(-(-max(sides) // MULTIPLE))
                for sides in zip(size, *self.shapes, strict=True)
            )
        shape = height, width
        self.shapes.append(shape)
        return shape

    def _smallest_holding(self, size: Size) -> Size:
        return min((shape for shape in self.shapes if _holds(shape, size)), key=_area)


class FixedBuckets:
    """Padded shapes that depend on each picture's size alone, not on what else there is.

    So its result is the same to the bit in whatever company, at the price of more programs: sides are
    rounded up to four steps per octave, multiples of 8 at least.
    """

    def plan(self, sizes: Iterable[Size]) -> None:
        """There is nothing to plan."""

    def bucket_for(self, size: Size) -> Size:
        """Returns the padded shape for a picture of this size (height, width), in pixels."""
        height, width = (_round_to_step(side) for side in size)
        return height, width

    def rows_for(self, shape: Size, own: int) -> int:
        """Returns the number of rows of a batch whose pictures need `own` rows: no more than those."""
        return own


def _round_to_step(side: int) -> int:
    """The next multiple of a quarter of the power of two below it, and of 8."""
    step = max(MULTIPLE, power_of_two(side) // 8)
    return -(-side // step) * step


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
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _round_up(size: Size, step: int) -> Size:
    return -(-size[0] // step) * step, -(-size[1] // step) * step


def _holds(shape: Size, size: Size) -> bool:
    return shape[0] >= size[0] and shape[1] >= size[1]


def _area(size: Size) -> int:
    return size[0] * size[1]
