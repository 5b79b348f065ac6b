"""The clock of a file that was joined from several recordings, such as transport streams.

Joined byte by byte, each part keeps its own clock: times jump at every joint, usually back. Here they
go on over it, in all streams alike, so that sound and picture stay together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

# The containers whose clocks may jump (FFmpeg: AVFMT_TS_DISCONT). In others, a long step is meant.
JUMPING = frozenset({"mpegts", "mpeg"})
_BACK, _AHEAD = Fraction(1, 2), 10  # seconds; smaller steps are of a disturbed recording


@dataclass
class Clock:
    """Follows one stream from part to part.

    Args:
        offsets: what is added to the times of each part, in seconds.
    """

    offsets: Sequence[Fraction]
    _part: int = 0
    _last: Fraction | None = None

    def __call__(self, time: Fraction) -> Fraction:
        """A time of the stream, in seconds, as if there were one part only; called in their order."""
        last = time if self._last is None else self._last
        if self._part + 1 < len(self.offsets) and _jumps(last, time):
            self._part += 1
        self._last = time
        return time + self.offsets[self._part]


@dataclass
class Joints:
    """Finds the joints of a file from the times of its packets, in the order of the file."""

    _part: dict[int, int] = field(default_factory=dict)
    _last: dict[int, Fraction] = field(default_factory=dict)
    _starts: list[Fraction] = field(default_factory=list)
    _ends: list[Fraction] = field(default_factory=list)

    def add(self, stream: int, decoded: Fraction, shown: Fraction, duration: Fraction) -> None:
        """Adds a packet of a stream: when it is decoded, shown, and for how long, in seconds.

        A duration of 0 is unknown, and taken to be the time since the packet before.
        """
        last = self._last.get(stream, decoded)
        part = self._part.get(stream, 0) + _jumps(last, decoded)
        duration = duration or max(decoded - last, Fraction(0))
        self._part[stream], self._last[stream] = part, decoded
        if part == len(self._starts):
            self._starts.append(shown)
            self._ends.append(shown)
        self._starts[part] = min(self._starts[part], shown)
        self._ends[part] = max(self._ends[part], shown + duration)

    def offsets(self) -> list[Fraction]:
        """What to add to the times of each part, so that it begins where the one before it ends.

        Where not all streams jump as often, times are damaged, and nothing is joined.
        """
        offsets = [Fraction(0)]
        if len(set(self._part.values())) > 1:
            return offsets
        for end, start in zip(self._ends, self._starts[1:], strict=False):
            offsets.append(offsets[-1] + end - start)
        return offsets


def _jumps(last: Fraction, time: Fraction) -> bool:
    return not -_BACK < time - last < _AHEAD
