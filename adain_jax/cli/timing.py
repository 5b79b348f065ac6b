"""Where the time of a call goes, for --timing."""

import time
from itertools import pairwise


class Timing:
    """The parts of a call and when each one ended, from the start of the process."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []
        self.mark("start")

    def mark(self, name: str) -> None:
        """A part has ended here."""
        self.parts.append((name, time.time()))

    def summary(self) -> str:
        """One line for the end."""
        began = start_of_process()
        times = [began, *(moment for _, moment in self.parts)]
        parts = [
            f"{name} {after - before:.2f} s"
            for (name, _), (before, after) in zip(self.parts, pairwise(times), strict=True)
        ]
        return f"timing: {', '.join(parts)}; together {times[-1] - began:.2f} s"


def start_of_process() -> float:
    """In seconds, as `time.time` counts them."""
    import psutil  # not at the top: --help does not wait for it

    start = psutil.Process().create_time()
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux rounds the time of booting to seconds
        start += time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - psutil.boot_time()
    return start
