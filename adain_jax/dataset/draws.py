"""What a record gets is drawn from (seed, key) alone: not from its place or from other records."""

import hashlib
import re

import numpy as np

from adain_jax.errors import UsageError


def generator(seed: int, key: str) -> np.random.Generator:
    """Random numbers that belong to a key, such as a picture's path below its data set.

    They are the same on every machine, in every order, and whatever other keys there are.
    """
    return np.random.default_rng(_digest(f"{seed}:{key}"))


def in_shard(key: str, shard: tuple[int, int]) -> bool:
    """Whether a key belongs to shard (I, N): its digest modulo N is I modulo N.

    So numbers may be counted from 0 or from 1.
    """
    number, of = shard
    return _digest(key) % of == number % of


def parse_shard(text: str) -> tuple[int, int]:
    """I/N as two numbers.

    Raises:
        UsageError: it is not two numbers with 0 <= I <= N and N >= 1.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, of = map(int, match.groups()) if match else (0, 0)
    if of == 0 or number > of:
        raise UsageError(
            f"--shard {text} must be I/N, with I from 1 to N or from 0 to N - 1, such as 3/8"
        )
    return number, of


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest())
