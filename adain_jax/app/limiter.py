"""A queue for many users of one machine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adain_jax.errors import AdainError

OnWait = Callable[[int], None]


class BusyError(AdainError):
    """Too many users are waiting already."""


class Limiter:
    """Lets a few users in at a time, while the others wait in the order in which they came.

    Args:
        slots: how many users may be in at a time.
        waiting: how many may wait; any more are turned away.
    """

    def __init__(self, slots: int, waiting: int):
        self.slots = slots
        self.waiting = waiting
        self._queue: list[object] = []
        self._moved = threading.Condition()

    @contextmanager
    def slot(self, on_wait: OnWait) -> Iterator[None]:
        """Waits for a slot and holds it while the block runs.

        Args:
            on_wait: called repeatedly with the number of users ahead, and finally with 0. If it
                raises, as Streamlit does after the page was left, the place in the queue is freed.

        Raises:
            BusyError: too many are waiting.
        """
        place = object()
        with self._moved:
            if len(self._queue) >= self.slots + self.waiting:
                raise BusyError("too many users are waiting")
            self._queue.append(place)
        try:
            while ahead := self._ahead(place):
                on_wait(ahead)
                with self._moved:
                    self._moved.wait_for(lambda: not self._ahead(place), timeout=0.5)
            on_wait(0)
            yield
        finally:
            with self._moved:
                self._queue.remove(place)
                self._moved.notify_all()

    def _ahead(self, place: object) -> int:
        with self._moved:  # a Condition's lock is reentrant
            return max(0, self._queue.index(place) + 1 - self.slots)
