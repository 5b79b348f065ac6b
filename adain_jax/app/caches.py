"""Caches of results and of encoded contents, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

import jax

from adain_jax.app.request import RenderResult
from adain_jax.inference.stylizer import Content


class ResultCache:
    """Keeps the most recently used results, with at most `limit` bytes of pixels in total."""

    def __init__(self, limit: int):
        self.limit = limit
        self._results: OrderedDict[Hashable, RenderResult] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> RenderResult | None:
        """Returns the result if it is cached, otherwise None."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, key: Hashable, result: RenderResult) -> RenderResult:
        """Adds a result and drops the least recently used beyond the limit; returns the result."""
        with self._lock:
            self._results[key] = result
            while sum(one.pixels.nbytes for one in self._results.values()) > self.limit:
                self._results.popitem(last=False)
        return result

    def clear(self) -> None:
        """Drops all results."""
        with self._lock:
            self._results.clear()


class ContentCache:
    """Keeps the encoded contents of the last users, one each, with at most `limit` bytes in total.

    They go with their users.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._contents: WeakKeyDictionary[object, tuple[Hashable, Content]] = WeakKeyDictionary()

    def get(self, user: object, key: Hashable, encode: Callable[[], Content]) -> Content:
        """Returns the user's content if its key is still `key`; otherwise encodes a new one."""
        known = self._contents.pop(user, None)
        if known is None or known[0] != key:
            known = None  # the old one goes before the new one comes
            known = key, encode()
        self._contents[user] = known
        while sum(_bytes(content) for _, content in self._contents.values()) > self.limit:
            self._contents.pop(next(iter(self._contents.keys())))
        return known[1]

    def clear(self) -> None:
        """Drops all contents."""
        self._contents.clear()


def _bytes(content: Content) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves((content.picture, content.encoded)))
