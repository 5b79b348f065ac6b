"""Records that end the process that works on them: each is tried twice alone, then given up.

A picture that crashes a decoder, or memory that runs out, ends a worker without an exception. So a
worker leaves a note before it begins a part, and takes it away when it is done. Where a note is
found, the part ended a worker before: its records are then done one by one, with a note for each.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adain_jax.dataset.storage import Place
from adain_jax.files import digest

T = TypeVar("T")
R = TypeVar("R")

TRIES = 2


@dataclass(frozen=True)
class Attempts:
    """The notes of all workers, files of one folder.

    A worker that was killed for another reason leaves a note too. Then the part is only slower, since a
    record is given up after two more.
    """

    place: Place

    def guarded(
        self,
        part: str,
        items: Sequence[T],
        key: Callable[[T], str],
        compute: Callable[[Sequence[T]], list[R]],
        give_up: Callable[[T, str], R],
    ) -> list[R]:
        """compute(items), or of one after the other if that ended a process before.

        Args:
            part: what notes call this work.
            items: to be computed.
            key: what notes call an item.
            compute: gives a result for each of the items.
            give_up: what becomes of an item that ended its process, and why.
        """
        if not self._notes(part):
            return self._noted(part, lambda: compute(items))
        results: list[R] = []
        for item in items:
            name = f"{part}.{digest(key(item).encode())}"
            if len(self._notes(name)) >= TRIES:
                reason = f"ended the process that worked on it, {TRIES} times"
                results.append(give_up(item, reason))
            else:
                results += self._noted(name, lambda item=item: compute([item]))  # type: ignore[misc]
        self._forget(part)
        return results

    def _noted(self, name: str, function: Callable[[], list[R]]) -> list[R]:
        note = self.place.under(f"{name}/{secrets.token_hex(4)}")
        note.write(b"")
        try:
            return function()
        finally:  # an exception is no crash
            note.delete()

    def _notes(self, name: str) -> list[str]:
        """The notes of this name, not those of single records of it."""
        folder = self.place.under(name)
        return [note for note in folder.files() if "/" not in note]

    def _forget(self, name: str) -> None:
        for note in self._notes(name):
            self.place.under(f"{name}/{note}").delete()
