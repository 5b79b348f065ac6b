"""Files of data sets, local or at s3:// and gs:// addresses, through pyarrow's file systems."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adain_jax.errors import AdainError
from adain_jax.files import write_atomically


class StorageError(AdainError):
    """A place that cannot be read or written; `path` names it."""


class Place(NamedTuple):
    """A folder or file of some file system.

    Attributes:
        system: a `pyarrow.fs.FileSystem`.
        path: as the file system knows it.
        url: as the user knows it.
    """

    system: Any
    path: str
    url: str

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return self.system.type_name == "local"

    def under(self, name: str) -> "Place":
        """A file below this folder."""
        return Place(self.system, f"{self.path}/{name}", f"{self.url.rstrip('/')}/{name}")

    def kind(self) -> str:
        """ "file", "folder" or "missing".

        Raises:
            StorageError: the file system cannot tell.
        """
        from pyarrow import fs

        try:
            found = self.system.get_file_info(self.path).type
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error
        names = {fs.FileType.File: "file", fs.FileType.Directory: "folder"}
        return names.get(found, "missing")

    def files(self) -> list[str]:
        """The names of all files below this folder, relative to it, sorted; none if it is missing.

        Raises:
            StorageError: the folder cannot be listed.
        """
        from pyarrow import fs

        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        try:
            found = self.system.get_file_info(selector)
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error
        start = len(self.path.rstrip("/")) + 1
        return sorted(info.path[start:] for info in found if info.type == fs.FileType.File)

    def size(self, names: Sequence[str]) -> int:
        """The bytes of some files below this folder, together.

        Raises:
            StorageError: the file system cannot tell.
        """
        try:
            found = self.system.get_file_info([f"{self.path}/{name}" for name in names])
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error
        return sum(info.size or 0 for info in found)

    def read(self) -> bytes:
        """The whole file.

        Raises:
            StorageError: it cannot be read.
        """
        try:
            with self.system.open_input_stream(self.path) as stream:
                return stream.readall()
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error

    def open(self) -> Any:
        """A binary file to be read from its beginning to its end.

        Raises:
            StorageError: it cannot be opened.
        """
        try:
            return self.system.open_input_stream(self.path)
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error

    def write(self, data: bytes) -> None:
        """Writes the file, whole or not at all; folders above it are made.

        Objects of S3 and Google Cloud appear when they are complete. Local files are written beside
        their place and renamed.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            if self.is_local:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self.path, data)
            else:
                with self.system.open_output_stream(self.path) as stream:
                    stream.write(data)
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error

    def delete(self) -> None:
        """Deletes the file, or the folder with all that is in it, if it is there."""
        try:
            kind = self.kind()
            if kind == "file":
                self.system.delete_file(self.path)
            elif kind == "folder":
                self.system.delete_dir(self.path)
        except FileNotFoundError:
            pass  # a folder of Google Cloud, without an object of its own, has gone with its files
        except OSError as error:
            raise StorageError(first_line(error), self.url) from error


def locate(url: str) -> Place:
    """The place behind a local path or an address such as s3://bucket/folder.

    Raises:
        StorageError: there is no file system for such addresses, or it cannot be reached.
    """
    from pyarrow import fs

    if "://" not in url:
        return Place(fs.LocalFileSystem(), str(Path(url).absolute()), url)
    try:
        system, path = fs.FileSystem.from_uri(url)
    except (OSError, ValueError) as error:
        raise StorageError(f"is no place that can be reached ({first_line(error)})", url) from error
    return Place(system, path.rstrip("/"), url)


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().splitlines()[0]
