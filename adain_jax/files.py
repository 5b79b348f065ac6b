"""Atomic writing of files, digests of them, and the metadata of safetensors files."""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adain_jax.errors import AdainError


class InUseError(AdainError):
    """A folder in which another run is at work; the message names it."""


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
    """An empty temporary file in the same folder, renamed to `path` on success, else removed.

    A killed process leaves its temporary file behind; the next one that writes to `path` removes it.
    Where several write to `path` at once, the last one's file stays.
    """
    path = Path(path)
    with _claimed(path, path.suffix, _open_file) as temporary:
        try:
            temporary.write_bytes(b"")
            yield temporary
            temporary.replace(path)
        finally:
            _remove(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder beside `path`, which takes its place on success, else is removed.

    A folder that is there goes last. What a killed process left behind is removed, and the folder
    that it was about to replace is put back.
    """
    with _claimed(path, "", _open_folder) as temporary:
        replaced = temporary.with_name(f"{temporary.name}.old")
        _put_back(replaced, path)
        try:
            temporary.mkdir(exist_ok=True)
            for left in temporary.iterdir():
                _remove(left)
            yield temporary
            if path.exists():
                path.rename(replaced)
            temporary.rename(path)
        finally:
            _remove(temporary)
            _put_back(replaced, path)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps it for one: whoever else asks for it meanwhile is refused.

    The folder itself is locked, so nothing is left in it; and the system takes the lock away with the
    process, however that ends. Where folders cannot be locked, as on NFS and on Windows, nobody is
    refused.

    Raises:
        InUseError: somebody else has it.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = None
    try:
        import fcntl

        opened = _open_folder(folder)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)  # type: ignore[arg-type]
        raise InUseError(
            "another run is at work in this folder; wait for its end or take another folder", folder
        ) from None
    except (ImportError, OSError):  # Windows, and file systems without locks
        pass
    try:
        yield
    finally:
        if opened is not None:
            os.close(opened)


def _put_back(replaced: Path, path: Path) -> None:
    """Puts a folder back in its place, or removes it if there is another."""
    if path.exists():
        _remove(replaced)
    elif replaced.exists():
        replaced.rename(path)


def _remove(path: Path) -> None:
    if is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _claimed(path: Path, suffix: str, open_: Callable[[Path], int]) -> Iterator[Path]:
    """A hidden path beside `path` that nobody else uses.

    Its name follows from that of `path`, so that what a killed process left there is found again. It
    is a random one where another process is at work there, or where nothing can be locked.
    """

    def hidden(mark: str) -> Path:
        return path.with_name(f".{path.stem[:40]}.{mark}{suffix}")

    usual = hidden(hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8])
    lock = _locked(usual, open_)
    try:
        yield hidden(secrets.token_hex(4)) if lock is None else usual
    finally:
        if lock is not None:
            os.close(lock)


def _locked(path: Path, open_: Callable[[Path], int]) -> int | None:
    """The open file or folder at a path, locked until it is closed; None if that cannot be."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    opened = open_(path)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(opened), path.stat()):
            return opened
    except (BlockingIOError, FileNotFoundError):  # it is in use, or has just got its final name
        pass
    except OSError:  # a file system without locks
        _remove(path)
    os.close(opened)
    return None


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _open_folder(path: Path) -> int:
    path.mkdir(exist_ok=True)
    return os.open(path, os.O_RDONLY)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all.

    Raises:
        OSError: it cannot be written; `filename` is `path`.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        error.filename = str(path)  # instead of the temporary one, or none where the disk is full
        raise


def digest(data: bytes) -> str:
    """A name that bytes have and no others: 16 digits of their SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def safetensors_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, from its bytes; empty if it has none."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else {}
