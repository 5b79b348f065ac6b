"""Buckets: every picture fits, shapes are few, little is wasted."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adain_jax.inference.buckets import Buckets, FixedBuckets

size = st.tuples(st.integers(1, 3000), st.integers(1, 3000))


def fits(buckets: Buckets, sizes) -> bool:
    shapes = [buckets.bucket_for(size) for size in sizes]
    return all(f[0] >= s[0] and f[1] >= s[1] for f, s in zip(shapes, sizes, strict=True))


@given(st.lists(size, min_size=1, max_size=60), st.lists(size, max_size=60))
@settings(deadline=None)
def test_every_picture_fits_its_bucket_and_planned_buckets_are_few(planned, later):
    buckets = Buckets(limit=8)
    buckets.plan(planned)
    assert len(buckets.shapes) <= 8
    before = list(buckets.shapes)
    assert fits(buckets, planned)
    assert buckets.shapes == before
    assert fits(buckets, later)
    assert all(side % 8 == 0 for shape in buckets.shapes for side in shape)
    assert len(buckets.shapes) <= 8 + 2 * 10  # each further one at least doubles a side


@given(st.lists(size, min_size=1, max_size=300))
@settings(deadline=None)
def test_an_unplanned_stream_opens_few_buckets(stream):
    buckets = Buckets(limit=8)
    assert fits(buckets, stream)
    assert len(buckets.shapes) <= 8 + 2 * 10


def test_planning_wastes_little_on_photographs_of_many_sizes():
    rng = np.random.default_rng(0)
    sizes = [(512, int(512 * r)) for r in rng.uniform(1, 1.8, 250)]
    sizes += [(w, h) for h, w in sizes]
    buckets = Buckets(limit=8)
    buckets.plan(sizes)
    padded = sum(np.prod(buckets.bucket_for(size)) for size in sizes)
    assert padded < 1.12 * sum(h * w for h, w in sizes)


def test_one_size_is_not_padded_beyond_the_multiple():
    assert Buckets().bucket_for((512, 768)) == (512, 768)
    assert Buckets().bucket_for((333, 500)) == (336, 504)


def test_a_fitting_bucket_is_used_again():
    buckets = Buckets()
    buckets.bucket_for((512, 512))
    assert buckets.bucket_for((500, 490)) == (512, 512)
    assert len(buckets.shapes) == 1


def test_the_last_batch_is_filled_up_but_a_new_habit_is_not():
    buckets = Buckets()
    shape = (8, 8)
    assert [buckets.rows_for(shape, n) for n in (8, 8, 4)] == [8, 8, 8]
    assert [buckets.rows_for(shape, n) for n in (8, 1, 1, 1, 4)] == [8, 8, 1, 1, 4]
    assert buckets.rows_for((8, 16), 4) == 4


def test_fixed_shapes_depend_on_the_size_alone_and_waste_little():
    fixed = FixedBuckets()
    shapes = [fixed.bucket_for((side, side))[0] for side in range(1, 2000)]
    for side, shape in enumerate(shapes, start=1):
        assert side <= shape <= max(side + 7, 1.25 * side)
        assert shape % 8 == 0
    assert len(set(shapes)) < 32
    assert fixed.bucket_for((256, 320)) == (256, 320)
    assert [fixed.rows_for((8, 8), n) for n in (8, 4, 1)] == [8, 4, 1]
