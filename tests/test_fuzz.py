"""The beginning of the long runs of `python -m fuzz`: damaged files are read, or refused with words."""

import random

import pytest

from fuzz.mutation import mutate, unzipped, zipped
from fuzz.readers import KINDS, mutant, outcome

COUNTS = {"pictures": 400, "weights": 200, "clips": 40, "styles": 100, "checkpoints": 20}


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_read_or_refused_in_one_line(kind, tmp_path):
    if kind == "clips":
        pytest.importorskip("av", reason="PyAV is not installed: pip install 'adain-jax[video]'")
    read = 0
    for number in range(COUNTS[kind]):
        name, data = mutant(kind, 0, number)
        (tmp_path / name).write_bytes(data)
        read += outcome(kind, tmp_path / name) is None
    assert 0 < read < COUNTS[kind]  # neither is all of it destroyed, nor all of it harmless


@pytest.mark.parametrize("kind", ["pictures", "weights"])
def test_whole_files_are_read(kind, tmp_path):
    for name, data in KINDS[kind].seeds().items():
        (tmp_path / name).write_bytes(data)
        assert outcome(kind, tmp_path / name) is None, name


def test_a_damaged_file_is_made_again_by_its_number():
    assert [mutant("weights", 3, 5) for _ in range(2)] == [mutant("weights", 3, 5)] * 2
    assert mutant("weights", 3, 5) != mutant("weights", 4, 5)


def test_members_of_zip_files_are_damaged_with_their_checksums_right():
    whole = zipped({"a": bytes(100), "b": bytes(50)})
    damaged = mutate(whole, [b"other"], random.Random(1), inside=True)
    assert unzipped(damaged) != unzipped(whole)
    assert unzipped(damaged).keys() == {"a", "b"}
