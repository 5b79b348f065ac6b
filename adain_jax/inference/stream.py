"""Scheduling: this module alone decides what is read, computed and written when.

Four generators, each from an iterator to an iterator, hold only a few items at a time. They are
combined as needed:

    items -> prefetch -> group -> dispatch_ahead -> write_behind -> items, done
             threads      the device, one batch ahead   threads

An error with one item in a thread is kept in that item's `Future` and does not stop other items.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

from adain_jax.inference.memory import UNWRITTEN_BYTES

T = TypeVar("T")
R = TypeVar("R")
Key = TypeVar("Key", bound=Hashable)


def prefetch(
    function: Callable[[T], R], items: Iterable[T], *, depth: int, threads: int = 4
) -> Iterator[tuple[T, "Future[R]"]]:
    """Calls function(item) in threads, for at most `depth` items in advance.

    Yields:
        Each item, in order, with the future of its call, which may still be running.
    """
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
    """Groups items with the same key.

    Args:
        items: the items.
        key: the key of an item.
        limit: the number of items of a full group, by key.
        nbytes: the size of an item in bytes.
        max_bytes: if the items of incomplete groups are larger than this together, the largest
            group is yielded as it is.

    Yields:
        Each key with its items in order: full groups first, incomplete ones at the end.
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
    """Dispatches each item before the previous result is used, so that the device is never idle.

    Args:
        dispatch: starts the computation of an item and returns its result without waiting.
        items: the items.
        alone: whether an item must have the device for itself. Such an item is dispatched after the
            previous result was yielded, and yielded before the next item is dispatched.

    Yields:
        Each item, in order, with the result of its dispatch.
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
    """Calls write(item) in threads, while further items are computed.

    Args:
        write: writes an item.
        items: the items.
        nbytes: the size of an item in bytes.
        depth: at most this many items may be pending.
        threads: number of threads.
        max_bytes: pending items may have at most this size together. A larger item is written
            before the next one is taken.

    Yields:
        Each item, in order, with the future of its call, which has ended.
    """
    with _threads(threads) as pool:
        waiting: deque[tuple[T, Future[None]]] = deque()

        def finished() -> tuple[T, "Future[None]"]:
            item, future = waiting.popleft()
            future.exception()  # waits until it has ended
            return item, future

        for item in items:
            waiting.append((item, pool.submit(write, item)))
            while len(waiting) > depth or sum(nbytes(item) for item, _ in waiting) > max_bytes:
                yield finished()
        while waiting:
            yield finished()


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that starts no new tasks after an error, or if its user stops early."""
    pool = ThreadPoolExecutor(number)
    everyone = Barrier(number + 1)
    try:
        # All threads are started now: a signal's exception that comes while the pool starts one for
        # an item would leave a thread that `shutdown` does not wait for (Python 3.11 to 3.13).
        for _ in range(number):
            pool.submit(everyone.wait)
        everyone.wait()
        yield pool
    finally:
        everyone.abort()
        pool.shutdown(cancel_futures=True)
