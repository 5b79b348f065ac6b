"""The pictures below a folder, and what else is there."""

import os
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from adain_jax.images.errors import PictureError
from adain_jax.images.formats import SUFFIXES


@dataclass
class Found:
    """What a search found.

    Attributes:
        pictures: files with a picture's suffix, sorted by path.
        others: the other files, and the folder that was left out, sorted by path.
        unreadable: an error for each folder that cannot be read.
    """

    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    unreadable: list[PictureError] = field(default_factory=list)


def search(
    folder: str | Path, *, suffixes: Set[str] = SUFFIXES, leave_out: Path | None = None
) -> Found:
    """Searches a folder recursively, through links too, but each folder only once.

    A folder that several links lead to is found at its own place, if that lies below `folder` too.
    Hidden files and folders are passed over.

    Args:
        folder: where to search.
        suffixes: of the files that count as pictures, in lower case.
        leave_out: a folder below `folder` that is not searched.

    Raises:
        PictureError: `folder` is not a folder.
    """
    if not Path(folder).is_dir():
        raise PictureError("not a folder", folder)
    found = Found()
    skip = leave_out.resolve() if leave_out else None
    folders, links = [Path(folder)], list[Path]()
    seen = set()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        real = current.resolve()
        if real in seen:
            continue
        seen.add(real)
        if real == skip and current != Path(folder):
            found.others.append(current)
            continue
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable.append(PictureError(error.strerror or str(error), current))
            continue
        for entry in entries:
            path = current / entry.name
            if entry.name.startswith("."):
                continue
            is_link = entry.is_symlink()
            if os.path.isdir(path) if is_link else entry.is_dir(follow_symlinks=False):  # noqa: PTH112
                (links if is_link else folders).append(path)
            elif path.suffix.lower() in suffixes:
                found.pictures.append(path)
            else:
                found.others.append(path)
    found.pictures.sort()
    found.others.sort()
    return found


def find_pictures(folder: str | Path) -> list[Path]:
    """All files below a folder with a picture's suffix, as `search` finds them, sorted by path.

    Raises:
        PictureError: it is not a folder, or it or one below it cannot be read.
    """
    found = search(folder)
    if found.unreadable:
        raise found.unreadable[0]
    return found.pictures
