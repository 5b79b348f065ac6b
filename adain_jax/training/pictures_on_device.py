"""Training pictures in device memory: decoded once, cropped inside the compiled step."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from adain_jax.data.pipeline import Batch
from adain_jax.data.sources import DataError, Pictures
from adain_jax.style import AnyArray


class PicturesOnDevice(NamedTuple):
    """Pictures of any sizes as one array of pixels, so that none is padded to the largest."""

    pixels: UInt8[AnyArray, "pixels 3"]
    """RGB, picture after picture, row after row."""
    first: Int[AnyArray, " n"]
    """The index of the first pixel of each picture, int32."""
    size: Int[AnyArray, "n 2"]
    """Height and width of each picture in pixels, int32."""


MAX_PIXELS = 2**31 - 1
"""Of all pictures together: pixels are found by 32-bit numbers, JAX's default."""


def crop_windows(
    pictures: PicturesOnDevice,
    index: Int[Array, " n"],
    keys: Array,
    side: int,
    flip: bool,
) -> UInt8[Array, "n side side 3"]:
    """Cuts a random square out of each chosen picture.

    Args:
        pictures: pictures whose shorter sides are at least `side`.
        index: the numbers of the chosen pictures, int (n,).
        keys: one random key for each of them, (n,).
        side: height and width of the squares in pixels.
        flip: whether to mirror half of the squares, at random.

    Returns:
        uint8 (n, side, side, 3).
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
    """Decodes all pictures of a source.

    Returns:
        The pictures, as NumPy arrays ready for `jax.device_put`, and their names.

    Raises:
        DataError: no picture can be read, or all together have more than MAX_PIXELS.
    """
    with ThreadPoolExecutor() as pool:  # Pillow releases the GIL while it decodes
        read = list(pool.map(pictures.__getitem__, range(len(pictures))))
    decoded, names = [pixels for pixels, _ in read], [name for _, name in read]
    size = np.array([pixels.shape[:2] for pixels in decoded], np.int32)
    ends = np.cumsum(size.prod(1, dtype=np.int64))
    if ends[-1] > MAX_PIXELS:
        raise DataError(
            f"{ends[-1]} pixels are too many for one array on a device, which takes {MAX_PIXELS}; "
            "--pictures stream reads them as they are needed",
            "--pictures device",
        )
    first = np.concatenate([[0], ends[:-1]]).astype(np.int32)
    pixels = np.concatenate([pixels.reshape(-1, 3) for pixels in decoded])
    return PicturesOnDevice(pixels, first, size), names


def estimated_bytes(pictures: Pictures, sample: int = 32) -> int:
    """Estimates the size in bytes of all decoded pictures of a source.

    Args:
        pictures: the source.
        sample: how many pictures to decode, evenly spaced.

    Raises:
        DataError: no picture can be read.
    """
    numbers = np.linspace(0, len(pictures) - 1, min(sample, len(pictures))).astype(int)
    return int(np.mean([pictures[int(i)][0].nbytes for i in numbers]) * len(pictures))


class NumberedBatches(Iterator[Batch]):
    """An endless iterator over batches of picture numbers, for pictures in device memory.

    It is shuffled, reproducible and resumable like `adain_jax.data.pipeline.Batches`. A batch
    depends only on the sizes of the sources, the seed and its own number. Several processes take
    turns. In place of pictures, a batch holds their numbers, int32 (n,).

    Args:
        content_names, style_names: the names of all pictures of each source, in their order.
        batch_size: pairs per batch in this process.
        seed: the random seed for the orders.
        process_index, process_count: the number of this process, and how many there are.
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
        """The position after the last batch, as JSON values. It is the same in every process."""
        return {"batches": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position that `get_state` returned."""
        self._given = state["batches"]

    def _picture(self, which: int, pair: int) -> int:
        """The number of a pair's picture; each epoch of each source has its own order."""
        length = len(self._names[which])
        epoch, position = divmod(pair, length)
        if (which, epoch) not in self._orders:
            rng = np.random.default_rng([self._seed, which, epoch])
            before = {key: order for key, order in self._orders.items() if key[1] >= epoch - 1}
            self._orders = before | {(which, epoch): rng.permutation(length)}
        return int(self._orders[which, epoch][position])
