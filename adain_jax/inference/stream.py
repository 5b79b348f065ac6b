"""Scheduling, of which there is no other: what is read, computed and written when.

Four generators, each taking an iterator and giving one, hold only a few items at a time however many
there are, and are put together as needed:

    items -> prefetch -> group -> dispatch_ahead -> write_behind -> items, done
             threads      the device, one batch ahead   threads

What goes wrong with one item in a thread is that item's `Future`, and stops no other.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from adain_jax.inference.memory import UNWRITTEN_BYTES

T = TypeVar("T")
R = TypeVar("R")
Key = TypeVar("Key", bound=Hashable)


def prefetch(
    function: Callable[[T], R], items: Iterable[T], *, depth: int, threads: int = 4
) -> Iterator[tuple[T, "Future[R]"]]:
    """Items, in order, with function(item), begun in threads for at most `depth` items in advance."""
    with _threads(threads) as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > depth:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def group(
    items: Iterable[T],
    key: Callable[[T], Key],
    limit: Callable[[Key], int],
    nbytes: Callable[[T], int] = lambda item: 0,
    max_bytes: float = math.inf,
) -> Iterator[tuple[Key, list[T]]]:
    """Items of one key together, in order: `limit(key)` of them, or fewer of the last.

    Items that wait for others have at most `max_bytes` together: beyond that, the largest group goes
    on as it is.
    """
    waiting: dict[Key, list[T]] = {}
    sizes: dict[Key, int] = {}
    for item in items:
        its_key = key(item)
        waiting.setdefault(its_key, []).append(item)
        sizes[its_key] = sizes.get(its_key, 0) + nbytes(item)
        full = len(waiting[its_key]) >= limit(its_key)
        if full or sum(sizes.values()) > max_bytes:
            chosen = its_key if full else max(sizes, key=sizes.__getitem__)
            del sizes[chosen]
            yield chosen, waiting.pop(chosen)
    while waiting:
        first = next(iter(waiting))
        yield first, waiting.pop(first)


def dispatch_ahead(
    dispatch: Callable[[T], R], items: Iterable[T], *, alone: Callable[[T], bool]
) -> Iterator[tuple[T, R]]:
    """Items with dispatch(item), each once the next is dispatched: the device never waits for the host.

    For an item that is to be computed alone, nothing else is on the device.
    """
    in_flight: deque[tuple[T, R]] = deque()
    for item in items:
        if in_flight and alone(item):
            yield in_flight.popleft()
        in_flight.append((item, dispatch(item)))
        if len(in_flight) > 1 or alone(item):
            yield in_flight.popleft()
    yield from in_flight


def write_behind(
    write: Callable[[T], None],
    items: Iterable[T],
    *,
    nbytes: Callable[[T], int],
    depth: int,
    threads: int = 4,
    max_bytes: int = UNWRITTEN_BYTES,
) -> Generator[tuple[T, "Future[None]"], None, None]:
    """Items, in order, once write(item) has ended, which runs in threads while further items come.

    At most `depth` items of `max_bytes` together are not written yet; a larger one waits alone.
    """
    with _threads(threads) as pool:
        waiting: deque[tuple[T, Future[None]]] = deque()

        def finished() -> tuple[T, "Future[None]"]:
            item, future = waiting.popleft()
            future.exception()  # waits for it
            return item, future

        for item in items:
            waiting.append((item, pool.submit(write, item)))
            while len(waiting) > depth or sum(nbytes(item) for item, _ in waiting) > max_bytes:
                yield finished()
        while waiting:
            yield finished()


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that, when something goes wrong or nobody wants the rest, begin nothing new."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
