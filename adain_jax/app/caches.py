"""What is kept to be used again, within bounds of memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from adain_jax.app.request import RenderRequest, RenderResult
from adain_jax.inference.stylizer import Content


class ResultCache:
    """The results that were asked for last, of at most `limit` bytes together."""

    def __init__(self, limit: int):
        self.limit = limit
        self._results: OrderedDict[RenderRequest, RenderResult] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, request: RenderRequest) -> RenderResult | None:
        """The result, if it is still kept."""
        with self._lock:
            if request in self._results:
                self._results.move_to_end(request)
            return self._results.get(request)

    def put(self, request: RenderRequest, result: RenderResult) -> RenderResult:
        """Keeps a result and drops the oldest ones beyond the limit; returns the result."""
        with self._lock:
            self._results[request] = result
            while sum(one.pixels.nbytes for one in self._results.values()) > self.limit:
                self._results.popitem(last=False)
        return result


class ContentCache:
    """The encoded content of each of the last few users, one per user, as they are large."""

    def __init__(self, users: int):
        self._users = users
        self._contents: WeakKeyDictionary[object, tuple[Hashable, Content]] = WeakKeyDictionary()

    def get(self, user: object, key: Hashable, encode: Callable[[], Content]) -> Content:
        """The user's content if `key` is still the same, otherwise a new one in its place."""
        known = self._contents.pop(user, None)
        if known is None or known[0] != key:
            known = key, encode()
        self._contents[user] = known
        while len(self._contents) > self._users:
            self._contents.pop(next(iter(self._contents.keys())))
        return known[1]
