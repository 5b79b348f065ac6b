"""Fetching one file from one address: it goes on where it broke off, and is never endless.

Not by a library: of pooch, fsspec and huggingface_hub's `http_get` none keeps what a broken
connection has brought for the next call, and none stops at a server that never ends (docs/notebook.md
has what each did). What arrives is checked by whoever reads it.
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from adain_jax.convert.errors import ConversionError

TIMEOUT = 30.0
"""Seconds without a byte after which a server is given up."""
LARGEST = 200_000_000
"""Bytes; the largest published file has 80 million."""
_CHUNK = 1 << 18
_ATTEMPTS = 5


def download(url: str, folder: Path, *, timeout: float = TIMEOUT, largest: int = LARGEST) -> Path:
    """Fetches a file into `folder`, named by the last part of its address, with a progress bar.

    Where a connection breaks, the next one goes on, as long as something arrives. What has arrived in
    the end is kept in a `.part` file, and the next call goes on from there.

    Raises:
        ConversionError: there is no network, or the server does not send the file.
    """
    target = folder / url.rsplit("/", 1)[1]
    # What came from one address is not gone on with from another.
    part = folder / f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        before = _size(part)
        try:
            _fetch(url, part, timeout, largest)
            return part.replace(target)
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                    return part.replace(target)  # all is here
            raise ConversionError(f"the server answers {error.code} {error.reason}", url) from None
        except (OSError, http.client.HTTPException) as error:
            if _size(part) > before and attempt + 1 < _ATTEMPTS:
                continue
            reason = getattr(error, "reason", None) or error
            here = f"; {_size(part) / 1e6:.1f} MB are here, and the same command goes on from there"
            raise ConversionError(
                f"cannot be fetched ({reason}){here if part.exists() else ''}", url
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _fetch(url: str, part: Path, timeout: float, largest: int) -> None:
    """Appends the missing rest of the file to `part`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise http.client.HTTPException("it sends another part than the one asked for")
        else:
            have = 0
        length = answer.length
        with (
            part.open("ab" if have else "wb") as file,
            Progress(*columns, console=Console(stderr=True)) as bar,
        ):
            task = bar.add_task(part.stem, total=length and have + length, completed=have)
            while chunk := answer.read1(_CHUNK):  # read() would drop what came before a failure
                file.write(chunk)
                bar.advance(task, len(chunk))
                if file.tell() > largest:
                    break
    if _size(part) > largest:
        part.unlink()
        raise http.client.HTTPException(f"it sends more than {largest / 1e6:.0f} MB")
    if length and _size(part) < have + length:
        raise ConnectionError("the connection broke off")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
