"""The progress bar of commands that stylize."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

Advance = Callable[[int], None]


@contextmanager
def progress_bar(total: int | None) -> Iterator[Advance]:
    """Shows a progress bar if stderr is a terminal; yields the function that advances it.

    A total that is not known is None.
    """
    console = Console(stderr=True)
    columns = ("stylizing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
