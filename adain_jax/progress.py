"""How far long work is: on a terminal a bar with rate and time left, elsewhere a line now and then.

It goes to stderr, so that what a command prints stays as it is.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0

# What JAX reports as it has translated a program, before XLA compiles it, and after that.
_TRANSLATED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"
# What `note_part` reports, through the same channel.
_PART = "/adain_jax/part"

Advance = Callable[..., None]
"""Called with the number of things that have been done since, and perhaps `note=` for a text, or
`total=` for how many there are, as far as is known by now."""

_running: list[Progress] = []
"""The bar of this process, if there is one: work inside of other work gets a line of its own in it."""


@contextmanager
def progress(what: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
    """Shows how much of some work is done; yields the function that advances it.

    Args:
        what: the work, in one or two words.
        total: the number of things to do; None if that is not known.
        done: how many of them are done already.
    """
    if _running:
        with _task(_running[0], what, total, done) as advance:
            yield advance
        return
    console = Console(stderr=True)
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20)),
        *(MofNCompleteColumn(), _Rate(), TextColumn("{task.fields[note]}")),
        *(TimeElapsedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        _running.append(bar)
        try:
            with _task(bar, what, total, done) as advance, _news_of_jax(bar):
                yield advance
        finally:
            _running.clear()


def track(what: str, things: Iterable[T], total: int | None) -> Iterator[T]:
    """The things one after another; shows how many of them the caller has done."""
    with progress(what, total) as advance:
        for thing in things:
            yield thing
            advance()


def note_part(share: float) -> None:
    """Says that this share of a thing is done, such as a tile of a large picture."""
    import jax

    jax.monitoring.record_scalar(_PART, share)


@contextmanager
def _task(bar: Progress, what: str, total: int | None, done: int) -> Iterator[Advance]:
    number = bar.add_task(what, total=total, completed=done, note="", what=what, whole=done)
    (task,) = (one for one in bar.tasks if one.id == number)

    def advance(count: float = 1, note: str = "", total: float | None = None) -> None:
        whole = task.fields["whole"] + count
        if total is not None:
            task.total = max(whole, round(total))  # `update` would forget the rate
        bar.update(number, completed=whole, whole=whole, note=note)

    ended = threading.Event()
    if not bar.console.is_terminal:
        threading.Thread(target=_say_lines, args=(task, ended), daemon=True).start()
    try:
        yield advance
    finally:
        ended.set()
        if len(bar.tasks) > 1:
            bar.remove_task(number)


@contextmanager
def _news_of_jax(bar: Progress) -> Iterator[None]:
    """Shows, of the innermost work, when it waits for a compilation, and what parts are done."""
    if "jax" not in sys.modules:  # importing it takes longer than much of what needs no JAX
        yield
        return
    from jax import monitoring

    def on_duration(event: str, duration_secs: float, **_: object) -> None:
        task = bar.tasks[-1]
        if event == _TRANSLATED:
            bar.update(task.id, description=f"{task.fields['what']}, compiling for this size, once")
        elif event == _COMPILED:
            bar.update(task.id, description=task.fields["what"])

    def on_scalar(event: str, value: float | int, **_: object) -> None:
        if event == _PART:
            bar.advance(bar.tasks[-1].id, value)

    monitoring.register_event_duration_secs_listener(on_duration)
    monitoring.register_scalar_listener(on_scalar)
    try:
        yield
    finally:
        monitoring.unregister_event_duration_listener(on_duration)
        monitoring.unregister_scalar_listener(on_scalar)


def _say_lines(task: Task, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_LINES):
        of = "" if task.total is None else f" of {task.total:.0f}"
        parts = [f"{task.description}: {task.completed:.4g}{of} after {task.elapsed:.0f} s"]
        parts += [text for text in (_rate(task), task.fields["note"]) if text]
        if task.time_remaining:
            parts.append(f"about {task.time_remaining:.0f} s left")
        print(", ".join(parts), file=sys.stderr, flush=True)


def _rate(task: Task) -> str:
    return f"{task.speed:.3g}/s" if task.speed else ""


class _Rate(ProgressColumn):
    """Things per second."""

    def render(self, task: Task) -> Text:
        return Text(_rate(task), style="progress.data.speed")
