"""Training pictures that live in device memory: decoded once, cut inside the compiled step."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from adain_jax.data.pipeline import Batch
from adain_jax.data.sources import Pictures
from adain_jax.style import AnyArray


class PicturesOnDevice(NamedTuple):
    """Pictures of any sizes as one row of pixels, so that none is padded to the largest."""

    pixels: UInt8[AnyArray, "pixels 3"]
    """RGB, picture after picture, row after row."""
    first: Int[AnyArray, " n"]
    """Where each picture begins."""
    size: Int[AnyArray, "n 2"]
    """Height and width of each picture."""


def crop_windows(
    pictures: PicturesOnDevice,
    index: Int[Array, " n"],
    keys: Array,
    side: int,
    flip: bool,
) -> UInt8[Array, "n side side 3"]:
    """A random square out of each chosen picture, half of them mirrored with `flip`.

    Args:
        pictures: their shorter sides are at least `side`.
        index: which pictures.
        keys: one random key for each.
        side: of the squares, in pixels.
        flip: whether to mirror.
    """

    def crop(index: Array, key: Array) -> Array:
        corner_key, flip_key = jax.random.split(key)
        height, width = pictures.size[index]
        top, left = jax.random.randint(corner_key, (2,), 0, jnp.stack([height, width]) - (side - 1))
        rows, columns = top + jnp.arange(side), left + jnp.arange(side)
        if flip:
            columns = jnp.where(jax.random.bernoulli(flip_key), columns[::-1], columns)
        return pictures.pixels[pictures.first[index] + rows[:, None] * width + columns]

    return jax.vmap(crop)(index, keys)


def load_all(pictures: Pictures) -> tuple[PicturesOnDevice, list[str]]:
    """Decodes all pictures of a source: NumPy arrays, ready for `jax.device_put`, and their names.

    Raises:
        DataError: not one picture can be read.
    """
    with ThreadPoolExecutor() as pool:  # Pillow decodes without the interpreter's lock
        read = list(pool.map(pictures.__getitem__, range(len(pictures))))
    decoded, names = [pixels for pixels, _ in read], [name for _, name in read]
    size = np.array([pixels.shape[:2] for pixels in decoded], np.int32)
    ends = np.cumsum(size.prod(1, dtype=np.int64))
    first = np.concatenate([[0], ends[:-1]]).astype(np.int32)
    pixels = np.concatenate([pixels.reshape(-1, 3) for pixels in decoded])
    return PicturesOnDevice(pixels, first, size), names


def estimated_bytes(pictures: Pictures, sample: int = 32) -> int:
    """About how much memory all pictures of a source take, from evenly spaced ones."""
    numbers = np.linspace(0, len(pictures) - 1, min(sample, len(pictures))).astype(int)
    return int(np.mean([pictures[int(i)][0].nbytes for i in numbers]) * len(pictures))


class NumberedBatches(Iterator[Batch]):
    """Batches of the pictures' numbers, for pictures that live on the device.

    Shuffled, reproducible and resumable like `adain_jax.data.pipeline.Batches`: a batch is a function
    of the numbers of pictures, the seed and its own number; several processes take turns.

    Args:
        content_names, style_names: of all pictures of each source, in their order.
        batch_size: pairs per batch in this process.
        seed: of the orders.
        process_index, process_count: this process and how many there are.
    """

    def __init__(
        self,
        content_names: list[str],
        style_names: list[str],
        *,
        batch_size: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ):
        self._names = content_names, style_names
        self._seed = seed
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        self._batch_size = batch_size
        self._process = process_index, process_count
        self._given = 0

    def __next__(self) -> Batch:
        index, count = self._process
        positions = np.arange(self._batch_size) + self._given * self._batch_size
        pairs = positions * count + index
        content, style = (
            np.array([self._picture(which, pair) for pair in pairs.tolist()], np.int32)
            for which in (0, 1)
        )
        self._given += 1
        names = [
            own[i]
            for own, numbers in zip(self._names, (content, style), strict=True)
            for i in numbers
        ]
        return Batch(content, style, style, pairs.astype(np.int32), names)

    def get_state(self) -> dict[str, Any]:
        """The position: the next call gives the batch after it. The same in every process."""
        return {"batches": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position that `get_state` gave."""
        self._given = state["batches"]

    def _picture(self, which: int, pair: int) -> int:
        """The picture of a pair of the run: each epoch of each source has its own order."""
        length = len(self._names[which])
        epoch, position = divmod(pair, length)
        if (which, epoch) not in self._orders:
            rng = np.random.default_rng([self._seed, which, epoch])
            before = {key: order for key, order in self._orders.items() if key[1] >= epoch - 1}
            self._orders = before | {(which, epoch): rng.permutation(length)}
        return int(self._orders[which, epoch][position])
