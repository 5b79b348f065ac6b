"""Batches of content and style crops: shuffled independently, reproducible, resumable anywhere.

A batch depends only on the sources, the seed and the number of the batch. Each source is shuffled
anew in every epoch. Of n processes, each takes every n-th picture, so that together they see the
same batch as a single process would.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import grain
import numpy as np
from jaxtyping import Int32, UInt8

from adain_jax.data.sources import DataError, Pictures

T = TypeVar("T")

_THREADS = 8


class Batch(NamedTuple):
    """One batch of n pairs of pictures.

    `content` and `style` are pictures, uint8 (n, h, w, 3), RGB in 0..255; or, if all pictures are
    kept on the device, the indices of pictures there, int32 (n,). `names` lists the names of the n
    contents, then those of the n styles.
    """

    content: UInt8[np.ndarray, "n h w 3"] | Int32[np.ndarray, " n"]
    style: UInt8[np.ndarray, "n h w 3"] | Int32[np.ndarray, " n"]
    style_index: Int32[np.ndarray, " n"]
    """The styles' indices in their source, for networks that look up styles by index."""
    pair: Int32[np.ndarray, " n"]
    """The index of each pair within the run, from which its random keys are derived."""
    names: list[str]

    def arrays(self) -> dict[str, np.ndarray]:
        """All fields but `names`, by name, as the training step takes them."""
        return {key: value for key, value in self._asdict().items() if key != "names"}


class Batches(Iterator[Batch]):
    """An endless iterator over batches, whose state is a small JSON-serializable dictionary.

    Args:
        content, style: the two sources; the shorter side of their pictures is at least that of
            their crops.
        batch_size: pairs per batch in this process.
        crop: side of the random crops, in pixels.
        seed: seed of the orders, crops and flips.
        flip: mirror each picture left to right with probability 1/2.
        process_index, process_count: the index of this process, and the number of processes.

    Raises:
        DataError: a crop is larger than the shorter side of its pictures.
    """

    def __init__(
        self,
        content: Pictures,
        style: Pictures,
        *,
        batch_size: int,
        crop: int,
        seed: int,
        flip: bool = False,
        process_index: int = 0,
        process_count: int = 1,
    ):
        for name, pictures in (("content", content), ("style", style)):
            if crop > pictures.size:
                raise DataError(
                    f"a crop of {crop} pixels needs pictures whose shorter side is as long, but that "
                    f"of the {name} pictures is {pictures.size}"
                )

        def stream(pictures: Pictures, which: int) -> Any:
            own_seed = int(np.random.SeedSequence([seed, which]).generate_state(1)[0])
            dataset = grain.MapDataset.source(_Numbered(pictures)).seed(own_seed).shuffle().repeat()
            dataset = dataset.random_map(_random_crop(crop, flip))
            dataset = dataset.slice(slice(process_index, None, process_count))
            ahead = max(2 * batch_size, _THREADS)  # pictures
            options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=ahead)
            singles = dataset.to_iter_dataset(options)
            return iter(singles.batch(batch_size, drop_remainder=True, batch_fn=_stack))

        self._streams = stream(content, 0), stream(style, 1)
        self._process = process_index, process_count
        self._batch_size = batch_size
        self._given = 0

    def __next__(self) -> Batch:
        (content, _, names), (style, index, style_names) = (next(s) for s in self._streams)
        first, count = self._process
        pair = (np.arange(self._batch_size) + self._given * self._batch_size) * count + first
        self._given += 1
        return Batch(content, style, index, pair.astype(np.int32), [*names, *style_names])

    def get_state(self) -> dict[str, Any]:
        """The number of batches returned so far, as {"batches": n}; the same in every process."""
        return {"batches": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from a state that `get_state` returned."""
        self._given = state["batches"]
        for stream in self._streams:
            stream.set_state({"next_index": self._given * self._batch_size})


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yields the items in order, each after the next one has been fetched.

    JAX computes asynchronously, so the next item is made, and sent to the device, while the device
    still computes with the previous one.
    """
    try:
        following = next(items)
    except StopIteration:
        return
    for item in items:
        current, following = following, item
        yield current
    yield following


class _Numbered:
    """Pictures with their indices, for networks that look up styles by index."""

    def __init__(self, pictures: Pictures):
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int, str]:
        pixels, name = self._pictures[index]
        return pixels, int(index), name


def _random_crop(crop: int, flip: bool) -> Callable[..., tuple[np.ndarray, int, str]]:
    def cut(record: tuple[np.ndarray, int, str], rng: np.random.Generator) -> Any:
        pixels, index, name = record
        top, left = (int(rng.integers(side - crop + 1)) for side in pixels.shape[:2])
        pixels = pixels[top : top + crop, left : left + crop]
        if flip and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        return pixels, index, name

    return cut


def _stack(records: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
    pixels, indices, names = zip(*records, strict=True)
    return np.stack(pixels), np.array(indices, np.int32), list(names)
