"""Damage to files, as bits rot, as programs err, and as strangers mean it."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence

_PNG = b"\x89PNG\r\n\x1a\n"
_NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    1 << 20,
    (1 << 31) - 1,
    (1 << 32) - 1,
)
_HEADS = (64, 1024)  # bytes in which most of a file's numbers are
_LONGEST_PIECE = 256


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip file, uncompressed and without dates, so that it is the same at any time."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    """The members of a zip file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random, *, inside: bool) -> bytes:
    """A damaged copy of a file.

    Checksums would hide most damage from the code behind them. So half of the zip files get theirs
    from damaged members, and half of the PNG files have theirs corrected.

    Args:
        data: a file.
        others: files of which pieces may be put into it.
        rng: decides on everything.
        inside: damage a member of what is a zip file, never the zip file.
    """
    if data.startswith(b"PK") and (inside or rng.random() < 0.5):
        members = unzipped(data)
        name = rng.choice(sorted(members))
        return zipped({**members, name: _damaged(members[name], others, rng)})
    damaged = _damaged(data, others, rng)
    if damaged.startswith(_PNG) and rng.random() < 0.5:
        return _PNG + b"".join(_chunks(damaged))
    return damaged


def _damaged(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(1 + int(rng.expovariate(0.5))):
        start = rng.randrange(rng.choice((*_HEADS, len(out) + 1))) % (len(out) + 1)
        end = min(len(out), start + rng.randrange(1, _LONGEST_PIECE))
        way = rng.randrange(7)
        if way == 0 and start < len(out):
            out[start] ^= 1 << rng.randrange(8)
        elif way == 1 and start < len(out):
            out[start] = rng.randrange(256)
        elif way == 2:
            layout = rng.choice("<>") + rng.choice("BHIQ")
            width = struct.calcsize(layout)
            out[start : start + width] = struct.pack(
                layout, rng.choice(_NUMBERS) % (1 << 8 * width)
            )
        elif way == 3:
            del out[start:end]
        elif way == 4:
            out[start:start] = out[start:end]
        elif way == 5:
            other = rng.choice(others)
            where = rng.randrange(len(other) + 1)
            out[start:end] = other[where : where + end - start]
        elif rng.random() < 0.3:
            del out[start:]
    return bytes(out)


def _chunks(png: bytes) -> Iterator[bytes]:
    """The chunks of a PNG file, each with the checksum that fits it."""
    position = len(_PNG)
    while position + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, position)
        end = min(position + 8 + length, len(png) - 4)
        body = png[position + 4 : end]
        yield png[position : position + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        position = end + 4
