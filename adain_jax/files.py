"""Atomic writing of files, and the metadata of safetensors files."""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def exists(path: str | Path) -> bool:
    """Whether there is such a file or folder; no, where `Path.exists` raises: for too long names."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | Path) -> bool:
    """Whether there is such a folder; no, where `Path.is_dir` raises: for too long names."""
    return os.path.isdir(path)  # noqa: PTH112


def nearest_folder(path: Path) -> Path:
    """The folder in which the first missing part of a path would be made."""
    folder = path.parent
    while not exists(folder):
        folder = folder.parent
    return folder


def check_can_write(path: Path) -> None:
    """Checks what can be known beforehand of writing a file, of which folders may still be missing.

    Raises:
        OSError: a name is too long, a folder may not be written to, or it is a file.
    """
    folder = nearest_folder(path)
    if not is_folder(folder):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "may not be written to", str(folder))
    longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for name in path.parts[len(folder.parts) :]:
        if len(os.fsencode(name)) > longest:
            raise OSError(
                errno.ENAMETOOLONG, f"holds no names of over {longest} bytes", str(folder)
            )


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to `path` on success and removed on failure."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def safetensors_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, from its bytes; empty if it has none."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else {}
