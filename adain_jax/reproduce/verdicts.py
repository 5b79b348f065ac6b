"""What can be concluded from a few seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

STANDARD_ERRORS = 3.0
"""A mean difference counts if it is more than so many of its standard errors."""

TOO_SMALL = "too small to tell"


class Spread(NamedTuple):
    """A mean over seeds and the sample standard deviation; that is not a number of one seed."""

    mean: float
    std: float
    seeds: int

    @property
    def standard_error(self) -> float:
        """Of the mean; not a number of one seed."""
        return self.std / math.sqrt(self.seeds)

    def __str__(self) -> str:
        if not self.std > 0:
            return f"{self.mean:.3g}"
        decimals = min(4, max(0, -math.floor(math.log10(self.std))))
        return f"{self.mean:.{decimals}f} ± {self.std:.{decimals}f}"


def spread(values: Sequence[float]) -> Spread:
    """The mean and deviation of one value per seed."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return Spread(mean, math.nan, n)
    return Spread(mean, math.sqrt(sum((x - mean) ** 2 for x in values) / (n - 1)), n)


def compare(a: Sequence[float], b: Sequence[float]) -> int:
    """-1 where a is lower than b, 1 where it is higher, 0 where the seeds are too few to tell.

    Values are compared seed by seed: runs of one seed see the same batches, so that what a batch does
    to both is no noise of their difference.
    """
    difference = spread([own - other for own, other in zip(a, b, strict=True)])
    error = difference.standard_error
    if math.isnan(error) or abs(difference.mean) <= STANDARD_ERRORS * error:
        return 0
    return -1 if difference.mean < 0 else 1


def lower(a: Sequence[float], b: Sequence[float]) -> str:
    """How much lower a is than b, in words, with the means and deviations of both.

    Such as "12 % lower (0.44 ± 0.01 against 0.5 ± 0.02)".
    """
    own, other = spread(a), spread(b)
    numbers = f"({own} against {other})"
    sign = compare(a, b)
    if not sign:
        return f"not different beyond the seeds {numbers}"
    percent = 100 * abs(own.mean / other.mean - 1) if other.mean else math.inf
    return f"{percent:.0f} % {'lower' if sign < 0 else 'higher'} {numbers}"


def judge(signs: Sequence[int], claimed: int = -1) -> str:
    """One verdict of several comparisons, each as `compare` gives it, where `claimed` is expected."""
    if all(sign == claimed for sign in signs):
        return "Holds"
    if -claimed not in signs:
        return "Holds in part" if claimed in signs else TOO_SMALL.capitalize()
    return "Holds in part" if claimed in signs else "Does not hold here"
