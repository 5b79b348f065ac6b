"""Whose turn it is: many people, one machine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class BusyError(Exception):
    """Too many are waiting already."""


class Turns:
    """Lets a few in at a time, the others waiting in the order in which they came.

    Args:
        at_once: how many may be in.
        waiting: how many may wait; further ones are sent away.
    """

    def __init__(self, at_once: int, waiting: int):
        self.at_once = at_once
        self.waiting = waiting
        self._line: list[object] = []
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, say: Callable[[int], None]) -> Iterator[None]:
        """Waits for a turn, and holds it for as long as the block takes.

        Args:
            say: called with the number of people in front, again and again, at last with 0. It may
                raise, as Streamlit does when the page was left: the place is then given up.

        Raises:
            BusyError: too many are waiting.
        """
        place = object()
        with self._moved:
            if len(self._line) >= self.at_once + self.waiting:
                raise BusyError
            self._line.append(place)
        try:
            while ahead := self._ahead(place):
                say(ahead)
                with self._moved:
                    self._moved.wait_for(lambda: not self._ahead(place), timeout=0.5)
            say(0)
            yield
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()

    def _ahead(self, place: object) -> int:
        with self._moved:  # a Condition's lock may be taken twice by one thread
            return max(0, self._line.index(place) + 1 - self.at_once)
