"""--grid: a labeled sheet of contents, styles and results."""

from collections.abc import Callable, Sequence
from pathlib import Path

from adain_jax.cli.jobs import Job, Source
from adain_jax.images import Pixels, save_picture
from adain_jax.images.contact_sheet import contact_sheet, shrink

MAX_CELLS = 12  # at most this many rows and this many columns


class Grid:
    """Collects small versions of results; contents are rows and styles columns.

    Args:
        contents, styles: the inputs; only the first MAX_CELLS of each are shown.
        alphas: the strengths; each style has a column for each.
        mixed: whether each content has a single result that combines all styles.
    """

    def __init__(
        self,
        contents: Sequence[Source],
        styles: Sequence[Source],
        alphas: Sequence[float],
        *,
        mixed: bool,
    ):
        self._contents = contents[:MAX_CELLS]
        self._columns = [
            (style, alpha) for style in (styles[:1] if mixed else styles) for alpha in alphas
        ][:MAX_CELLS]
        self._several = len(alphas) > 1
        self._mixed = mixed
        self._photographs: dict[Source, Pixels] = {}
        self._results: dict[tuple[Source, tuple[Source, float]], Pixels] = {}

    def add(self, job: Job, content: Pixels, result: Pixels) -> None:
        """Keeps small versions of a content and its result, if both belong to the sheet."""
        column = job.styles[0], job.alpha
        if job.content in self._contents and column in self._columns:
            self._photographs[job.content] = shrink(content)
            self._results[job.content, column] = shrink(result)

    def write(self, folder: Path, style_picture: Callable[[Source], Pixels | None]) -> None:
        """Writes grid.png, unless there are no results.

        Args:
            folder: the folder to write to.
            style_picture: returns a style's picture, or None if the style has none.

        Raises:
            PictureError: grid.png cannot be written, or `style_picture` fails.
        """
        if not self._results:
            return
        rows = [one for one in self._contents if one in self._photographs]
        shown = {column for _, column in self._results}
        columns = [one for one in self._columns if one in shown]
        cells = {(i + 1, 0): self._photographs[content] for i, content in enumerate(rows)}
        for j, column in enumerate(columns, start=1):
            picture = None if self._mixed else style_picture(column[0])
            if picture is not None:
                cells[0, j] = picture
            for i, content in enumerate(rows, start=1):
                if (content, column) in self._results:
                    cells[i, j] = self._results[content, column]
        labels = [
            ("mix" if self._mixed else style.name) + (f" {alpha:g}" if self._several else "")
            for style, alpha in columns
        ]
        sheet = contact_sheet(cells, ["", *(one.name for one in rows)], ["", *labels])
        save_picture(sheet, folder / "grid.png")
