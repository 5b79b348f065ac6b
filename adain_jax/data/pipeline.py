"""Batches of content and style crops: shuffled independently, reproducible, resumable anywhere.

A batch is a function of the sources, the seed and its number alone. Each epoch of each source has its
own order; several processes take turns in it, so that together they see the batch that one would.
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
    """One batch of pairs of pictures.

    Pictures are uint8 (n, h, w, 3), RGB; where they live on the device, their numbers, int32 (n,).
    """

    content: UInt8[np.ndarray, "n h w 3"] | Int32[np.ndarray, " n"]
    style: UInt8[np.ndarray, "n h w 3"] | Int32[np.ndarray, " n"]
    style_index: Int32[np.ndarray, " n"]
    """The styles' numbers, for networks that know their styles by number."""
    pair: Int32[np.ndarray, " n"]
    """The number of each pair in the run, which its random keys are drawn from."""
    names: list[str]

    def arrays(self) -> dict[str, np.ndarray]:
        """All but the names, as the training step takes it."""
        return {key: value for key, value in self._asdict().items() if key != "names"}


class Batches(Iterator[Batch]):
    """An endless iterator over batches, whose state is a small dictionary for JSON.

    Args:
        content, style: the two sources, their shorter sides at least `crop`.
        batch_size: pictures per batch in this process.
        crop: side of the random crops of contents in pixels.
        style_crop: side of those of styles, the same by default.
        flip: mirror half of the pictures.
        seed: of the orders, crops and flips.
        process_index, process_count: this process and how many there are.

    Raises:
        DataError: the crop is larger than the pictures.
    """

    def __init__(
        self,
        content: Pictures,
        style: Pictures,
        *,
        batch_size: int,
        crop: int,
        style_crop: int | None = None,
        seed: int,
        flip: bool = False,
        process_index: int = 0,
        process_count: int = 1,
    ):
        if crop > min(content.size, style.size):
            raise DataError(
                f"a crop of {crop} pixels needs pictures whose shorter side is as long, "
                f"not {min(content.size, style.size)}"
            )

        def stream(pictures: Pictures, which: int, crop: int) -> Any:
            own_seed = int(np.random.SeedSequence([seed, which]).generate_state(1)[0])
            dataset = grain.MapDataset.source(_Numbered(pictures)).seed(own_seed).shuffle().repeat()
            dataset = dataset.random_map(_random_crop(crop, flip))
            dataset = dataset.slice(slice(process_index, None, process_count))
            ahead = max(2 * batch_size, _THREADS)  # pictures
            options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=ahead)
            singles = dataset.to_iter_dataset(options)
            return iter(singles.batch(batch_size, drop_remainder=True, batch_fn=_stack))

        self._streams = stream(content, 0, crop), stream(style, 1, style_crop or crop)
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
        """The position: the next call gives the batch after it. The same in every process."""
        return {"batches": self._given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a position that `get_state` gave."""
        self._given = state["batches"]
        for stream in self._streams:
            stream.set_state({"next_index": self._given * self._batch_size})


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """The items, each made (and sent to the device) while the one before it is computed with."""
    try:
        following = next(items)
    except StopIteration:
        return
    for item in items:
        current, following = following, item
        yield current
    yield following


class _Numbered:
    """Pictures with their numbers, for networks that know their styles by number."""

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
