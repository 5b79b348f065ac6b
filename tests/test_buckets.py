"""Frames: every picture fits, few are opened, little is wasted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adain_jax.inference.buckets import Buckets

size = st.tuples(st.integers(1, 3000), st.integers(1, 3000))


def fits(buckets: Buckets, sizes) -> bool:
    frames = [buckets.fit(size) for size in sizes]
    return all(f[0] >= s[0] and f[1] >= s[1] for f, s in zip(frames, sizes, strict=True))


@given(st.lists(size, min_size=1, max_size=60), st.lists(size, max_size=60))
@settings(deadline=None)
def test_every_picture_fits_its_frame_and_planned_frames_are_few(planned, later):
    buckets = Buckets(limit=8)
    buckets.plan(planned)
    assert len(buckets.frames) <= 8
    before = list(buckets.frames)
    assert fits(buckets, planned)
    assert buckets.frames == before
    assert fits(buckets, later)
    assert all(side % 8 == 0 for frame in buckets.frames for side in frame)
    assert len(buckets.frames) <= 8 + 2 * 10  # each further one at least doubles a side


@given(st.lists(size, min_size=1, max_size=300))
@settings(deadline=None)
def test_an_unplanned_stream_opens_few_frames(stream):
    buckets = Buckets(limit=8)
    assert fits(buckets, stream)
    assert len(buckets.frames) <= 8 + 2 * 10


def test_planning_wastes_little_on_photographs_of_many_sizes():
    rng = np.random.default_rng(0)
    sizes = [(512, int(512 * r)) for r in rng.uniform(1, 1.8, 250)]
    sizes += [(w, h) for h, w in sizes]
    buckets = Buckets(limit=8)
    buckets.plan(sizes)
    padded = sum(np.prod(buckets.fit(size)) for size in sizes)
    assert padded < 1.12 * sum(h * w for h, w in sizes)


def test_one_size_is_not_padded_beyond_the_multiple():
    assert Buckets(multiple=8).fit((512, 768)) == (512, 768)
    assert Buckets(multiple=8).fit((333, 500)) == (336, 504)


def test_a_fitting_frame_is_used_again():
    buckets = Buckets()
    buckets.fit((512, 512))
    assert buckets.fit((500, 490)) == (512, 512)
    assert len(buckets.frames) == 1
