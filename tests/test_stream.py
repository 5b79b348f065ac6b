"""Scheduling: in order, ahead but not far ahead, and one failure stops no other."""

import threading
import time
from itertools import count, islice

import numpy as np
import pytest

from adain_jax import Style, Stylizer
from adain_jax.inference.inputs import make_request
from adain_jax.inference.stream import dispatch_ahead, group, prefetch, write_behind


def test_what_is_prefetched_comes_in_order_and_is_not_far_ahead():
    begun = []

    def read(number):
        begun.append(number)
        time.sleep(0.002 * (number % 3))
        if number == 5:
            raise OSError("broken")
        return number**2

    for i, (number, future) in enumerate(islice(prefetch(read, count(), depth=4), 20)):
        assert number == i
        assert future.exception() if i == 5 else future.result() == i**2
        assert max(begun) <= i + 4


def test_items_of_one_key_come_together_and_few_wait():
    words = ["a", "bb", "c", "dd", "ee", "f", "gg", "ccc"]
    groups = list(group(words, len, lambda key: 1 if key == 3 else 2))
    assert groups == [
        (1, ["a", "c"]),
        (2, ["bb", "dd"]),
        (2, ["ee", "gg"]),
        (3, ["ccc"]),
        (1, ["f"]),
    ]
    # Ten bytes wait at most; beyond that, the largest group goes on as it is.
    groups = list(group([1, 6, 4, 2], lambda n: n, lambda key: 9, lambda n: n, 10))
    assert groups == [(6, [6]), (1, [1]), (4, [4]), (2, [2])]


def test_the_next_is_dispatched_before_a_result_is_taken():
    log = []
    items = dispatch_ahead(lambda item: log.append(item), "abCd", alone=str.isupper)
    for item, _ in items:
        log.append(f"{item} taken")
    # C is computed alone: all before it has been taken, and it before the next is dispatched.
    assert log == ["a", "b", "a taken", "b taken", "C", "C taken", "d", "d taken"]


def test_what_is_written_behind_comes_in_order_once_written_and_little_waits():
    given, written, lock = [], [], threading.Lock()

    def items():
        for number in range(20):
            with lock:
                assert len(given) - len(written) <= 4
            given.append(number)
            yield number

    def write(number):
        time.sleep(0.001 * (number % 3))
        with lock:
            written.append(number)
        if number == 3:
            raise OSError("full")

    ended = []
    for number, future in write_behind(write, items(), nbytes=lambda number: 1, depth=3):
        assert number in written
        assert bool(future.exception()) == (number == 3)
        ended.append(number)
    assert ended == list(range(20))


def test_results_waiting_to_be_written_are_bounded_by_bytes():
    free = threading.Event()
    writing = write_behind(
        lambda item: free.wait(10), iter([5, 4, 3]), nbytes=lambda item: item, depth=9, max_bytes=8
    )
    threading.Timer(0.05, free.set).start()
    item, _ = next(writing)
    assert (item, free.is_set()) == (5, True)


def test_nothing_new_begins_once_nobody_wants_more():
    begun, closed = [], threading.Event()
    items = prefetch(lambda i: begun.append(i) or closed.wait(5), count(), depth=3, threads=1)
    closed.set()
    next(items)
    items.close()
    assert len(begun) <= 4


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer.load(batch_size=2)


def test_a_stream_gives_what_single_calls_give(stylizer):
    rng = np.random.default_rng(0)
    contents = [
        rng.random((*size, 3), np.float32) for size in ((16, 24), (40, 40)) * 2 + ((16, 24),)
    ]
    contents[3] = (contents[3] * 255).astype(np.uint8)
    styles = [stylizer.encode_style(rng.random((20, 20, 3), np.float32)) for _ in range(2)]
    mask = np.tri(40, 40, dtype=np.float32)
    requests = [make_request(i, c, styles[i % 2], 0.8) for i, c in enumerate(contents)]
    masked = (contents[1], Style.stack(styles), 0.8)
    requests.append(make_request(5, *masked, masks=[mask, 1 - mask]))
    results = {request.key: result for request, result in stylizer.stream(iter(requests))}
    assert sorted(results) == [0, 1, 2, 3, 4, 5]
    for i, content in enumerate(contents):
        assert (results[i].shape, results[i].dtype) == (content.shape, content.dtype)
        expected = stylizer(content, styles[i % 2], 0.8)
        np.testing.assert_allclose(results[i], expected, atol=1 if i == 3 else 1e-4)
    expected = stylizer(*masked, masks=[mask, 1 - mask])
    np.testing.assert_allclose(results[5], expected, atol=1e-4)


def test_a_stream_without_end_takes_a_few_pictures_at_a_time(stylizer):
    picture = np.zeros((16, 24, 3), np.uint8)
    style = stylizer.encode_style(picture)
    taken = []

    def requests():
        for i in count():
            taken.append(i)
            yield make_request(i, picture, style)

    for request, _ in islice(stylizer.stream(requests()), 10):
        assert len(taken) <= request.key + 2 * stylizer.pictures_at_once
