"""--grid: a labeled sheet of contents, styles and results."""

from collections.abc import Callable, Sequence
from pathlib import Path

from adain_jax.cli.jobs import Job, Source
from adain_jax.images import Pixels, save_picture
from adain_jax.images.contact_sheet import contact_sheet, shrink

MAX_CELLS = 12  # contents, and styles


class Grid:
    """Collects small versions of results; contents are rows and styles columns.

    Args:
        contents, styles: the inputs, of which the first MAX_CELLS are shown.
        mixed: whether each content has one result, of all styles together.
    """

    def __init__(self, contents: Sequence[Source], styles: Sequence[Source], *, mixed: bool):
        self._contents = contents[:MAX_CELLS]
        self._styles = styles[:1] if mixed else styles[:MAX_CELLS]
        self._mixed = mixed
        self._photographs: dict[Source, Pixels] = {}
        self._results: dict[tuple[Source, Source], Pixels] = {}

    def add(self, job: Job, content: Pixels, result: Pixels) -> None:
        """Keeps a small version of a result, if it is among the first."""
        if job.content in self._contents and job.styles[0] in self._styles:
            self._photographs[job.content] = shrink(content)
            self._results[job.content, job.styles[0]] = shrink(result)

    def write(self, folder: Path, style_picture: Callable[[Source], Pixels | None]) -> None:
        """Writes grid.png, if there is anything in it.

        Args:
            folder: where to.
            style_picture: gives a style's picture, if it has one.

        Raises:
            PictureError: it cannot be written.
        """
        if not self._results:
            return
        rows = [one for one in self._contents if one in self._photographs]
        shown = {style for _, style in self._results}
        columns = [one for one in self._styles if one in shown]
        cells = {(i + 1, 0): self._photographs[content] for i, content in enumerate(rows)}
        for j, style in enumerate(columns, start=1):
            picture = None if self._mixed else style_picture(style)
            if picture is not None:
                cells[0, j] = picture
            for i, content in enumerate(rows, start=1):
                if (content, style) in self._results:
                    cells[i, j] = self._results[content, style]
        labels = ["mix"] if self._mixed else [style.name for style in columns]
        sheet = contact_sheet(cells, ["", *(one.name for one in rows)], ["", *labels])
        save_picture(sheet, folder / "grid.png")
