"""How long XLA compiles, which is no part of the time of a painting."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jax import monitoring

# What JAX reports as it has traced, translated and compiled a program; the second comes before XLA,
# which takes nearly all of the time, begins.
_STEPS = "/jax/core/compile/"
_TRANSLATED = f"{_STEPS}jaxpr_to_mlir_module_duration"


@contextmanager
def watch_compilation(on_start: Callable[[], None]) -> Iterator[Callable[[], float]]:
    """Watches what this thread compiles; yields a function that tells the seconds so far.

    Args:
        on_start: called whenever a compilation begins.
    """
    thread = threading.get_ident()
    spans: list[tuple[float, float]] = []  # apart from each other, in order

    def on_duration(event: str, duration_secs: float, **_: object) -> None:
        if threading.get_ident() != thread or not event.startswith(_STEPS):
            return
        end = time.perf_counter()
        start = end - duration_secs
        while (
            spans and spans[-1][1] > start
        ):  # functions within functions are reported by themselves
            start = min(start, spans.pop()[0])
        spans.append((start, end))
        if event == _TRANSLATED:
            on_start()

    monitoring.register_event_duration_secs_listener(on_duration)
    try:
        yield lambda: sum(end - start for start, end in spans)
    finally:
        monitoring.unregister_event_duration_listener(on_duration)
