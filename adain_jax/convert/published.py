"""The published weights: where they are served, and how they are recognized.

The Torch7 release of the paper's authors (`vgg_normalised.t7`, `decoder.t7`) is no longer served from
its first address, which stays as the last. Others serve the same values in PyTorch's format. So
not the bytes of a file are checked, but the values in it.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from adain_jax.convert import Converted, convert
from adain_jax.convert.download import TIMEOUT, download
from adain_jax.convert.errors import ConversionError
from adain_jax.weights import Kind, converted_path

# Files of the release of https://github.com/naoto0804/pytorch-AdaIN.
_PYTORCH = "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0"
# The address in models/download_models.sh of https://github.com/xunhuang1995/AdaIN-style.
_TORCH7 = "https://s3.amazonaws.com/xunhuang-public/adain"


@dataclass(frozen=True)
class Published:
    """One published network.

    Attributes:
        kind: what it is.
        addresses: where it is served, the best first.
        values: its `Converted.values`.
    """

    kind: Kind
    addresses: tuple[str, ...]
    values: str


ENCODER = Published(
    "vgg19-encoder",
    (f"{_PYTORCH}/vgg_normalised.pth", f"{_TORCH7}/vgg_normalised.t7"),
    "ef93bb1095d6d868f240a67a6bf08a07b19a33aa2efface74dc38b18d8aea3d2",
)
DECODER = Published(
    "vgg19-decoder",
    (f"{_PYTORCH}/decoder.pth", f"{_TORCH7}/decoder.t7"),
    "5a36a8012e28f7972d5c2320bfd52d61ec4bd2ef47809bc08f68ecf60119f6b5",
)


def fetch(published: Published, *, timeout: float = TIMEOUT) -> tuple[Converted, str]:
    """Fetches and converts a published network, from the first source that has it.

    The environment variable ADAIN_JAX_MIRROR names a source to use instead of the published
    addresses: a folder, or a http address, with files of the same names.

    Args:
        published: `ENCODER` or `DECODER`.
        timeout: seconds without a byte after which a server is given up.

    Returns:
        The weights, and the address or the file that they came from.

    Raises:
        ConversionError: no source has it; what each one did is listed, one per line.
    """
    failures = []
    for source in _sources(published):
        print(f"fetching {source}", file=sys.stderr)
        try:
            return _from(source, published, timeout), source
        except ConversionError as error:
            failures.append(error)
    names = " or ".join(address.rsplit("/", 1)[1] for address in published.addresses)
    listed = "\n".join(str(error) for error in failures)
    raise ConversionError(
        f"{listed}\nno source has it: get {names} on another machine and give it to `adain convert`, "
        "or name a folder or an address that has it by ADAIN_JAX_MIRROR"
    )


def _sources(published: Published) -> list[str]:
    mirror = os.environ.get("ADAIN_JAX_MIRROR", "").rstrip("/")
    if not mirror:
        return list(published.addresses)
    return [f"{mirror}/{address.rsplit('/', 1)[1]}" for address in published.addresses]


def _from(source: str, published: Published, timeout: float) -> Converted:
    """The network from one source; nothing stays on the disk but parts of what broke off."""
    if not source.startswith(("http://", "https://")):
        return _recognized(Path(source), published, source)
    folder = converted_path(published.kind).parent / "downloads"
    path = download(source, folder, timeout=timeout)
    try:
        found = _recognized(path, published, source)
    finally:
        path.unlink()
    shutil.rmtree(folder)
    return found


def _recognized(path: Path, published: Published, source: str) -> Converted:
    """Converts a file, if it holds the published values."""
    try:
        found = convert(path)
    except ConversionError as error:
        reason = error.reason.split("\n")[0]
        raise ConversionError(f"serves no {published.kind} ({reason})", source) from error
    if found.values != published.values:
        raise ConversionError(f"serves another {found.kind} than the published one", source)
    return found
