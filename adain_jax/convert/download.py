"""Downloads published weights from their authors; resumable, with a checksum."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from adain_jax.convert.errors import ConversionError

# The address in models/download_models.sh of the original release.
ENCODER_URL = "https://s3.amazonaws.com/xunhuang-public/adain/vgg_normalised.t7"
ENCODER_MD5 = "c637adfa9cee4b33b59c5a754883ba82"

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 18


def download(url: str, folder: Path, *, md5: str) -> Path:
    """Downloads a file into `folder`, named by the last part of its address, with a progress bar.

    An interrupted download is kept in a `.part` file, and the next call resumes it. The file gets
    its final name only once its checksum is right.

    Raises:
        ConversionError: there is no network, the server does not send the file, or its checksum is
            wrong.
    """
    target = folder / url.rsplit("/", 1)[1]
    if target.exists() and _md5(target) == md5:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(url, part)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # 416: all is here
            raise ConversionError(
                f"the server answers {error.code} {error.reason}",
                url,
            ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        again = "try again later"
        if part.exists():
            have = part.stat().st_size / 1e6
            again = f"{have:.0f} MB are here, the same command goes on from there"
        raise ConversionError(
            f"cannot be fetched ({reason}); {again}. Or get the file on another machine "
            f"and run `python convert_vgg.py {target.name}`",
            url,
        ) from error
    if _md5(part) != md5:
        part.unlink()
        raise ConversionError("has not the checksum of the published file; deleted", url)
    return part.replace(target)


def _fetch(url: str, part: Path) -> None:
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

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        length = answer.length
        with (
            part.open("ab" if resumed else "wb") as file,
            Progress(*columns, console=Console(stderr=True)) as bar,
        ):
            task = bar.add_task(part.stem, total=length and have + length, completed=have)
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
    if length and part.stat().st_size < have + length:
        raise ConnectionError("the connection broke")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
