"""Measures the phases of a run, for --timing."""

import time
from itertools import pairwise


class Timing:
    """The phases of a run and when each one ended. The first begins with the process."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float]] = []
        self.mark("start")

    def mark(self, name: str) -> None:
        """Records that a phase ends now."""
        self.parts.append((name, time.perf_counter()))

    def summary(self) -> str:
        """One line to print at the end."""
        began = time.perf_counter() - age_of_process()
        times = [began, *(moment for _, moment in self.parts)]
        parts = [
            f"{name} {after - before:.2f} s"
            for (name, _), (before, after) in zip(self.parts, pairwise(times), strict=True)
        ]
        return f"timing: {', '.join(parts)}; together {times[-1] - began:.2f} s"


def age_of_process() -> float:
    """For how many seconds this process has been there."""
    import psutil  # not at the top: it would slow down --help

    start = psutil.Process().create_time()
    # Linux counts from the boot, whose time psutil adds; the wall clock may be set meanwhile.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - (start - psutil.boot_time())
    return time.time() - start  # noqa: TID251 (other systems note the wall clock)
