"""Sources, the pipeline and packing, on real files."""

import io
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adain_jax import __main__ as command
from adain_jax.data.pack import pack
from adain_jax.data.pipeline import Batches, prefetch
from adain_jax.data.sources import DataError, Encoded, Pictures, open_source
from adain_jax.files import exclusive

ROOT = Path(__file__).parent.parent


def draw(folder: Path, count: int, side: int = 24) -> Path:
    """Pictures told apart by their red value, which is their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (side, side + i, 3), np.uint8)
        pixels[..., 0] = i
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture
def folders(tmp_path):
    return draw(tmp_path / "content", 7), draw(tmp_path / "style", 5)


def batches(folders, seed=0, size=24, **options):
    content, style = (Pictures(open_source(str(folder)), size) for folder in folders)
    options = {"batch_size": 3, "crop": 16, **options}
    return Batches(content, style, seed=seed, **options)


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.content, b.content)
        np.testing.assert_array_equal(a.style, b.style)
        assert a.names == b.names


def test_batches_are_a_function_of_the_seed(folders):
    assert_same(take(batches(folders), 6), take(batches(folders), 6))
    other = take(batches(folders, seed=1), 6)
    assert any(a.names != b.names for a, b in zip(take(batches(folders), 6), other, strict=True))


def test_batches_hold_uint8_crops_of_the_named_pictures(folders):
    for batch in take(batches(folders), 5):
        assert batch.content.shape == batch.style.shape == (3, 16, 16, 3)
        assert batch.content.dtype == np.uint8
        pictures = [*batch.content, *batch.style]
        for pixels, name in zip(pictures, batch.names, strict=True):
            with Image.open(name) as image:
                whole = np.asarray(image)
            windows = np.lib.stride_tricks.sliding_window_view(whole, pixels.shape).reshape(
                -1, *pixels.shape
            )
            assert (windows == pixels).all((1, 2, 3)).any()
        assert [int(s[0, 0, 0]) for s in batch.style] == batch.style_index.tolist()


def test_flips_mirror_about_half(folders):
    flipped = take(batches(folders, crop=24, flip=True), 20)
    # Full-height crops of the square picture 0 are the picture or its mirror.
    with Image.open(folders[0] / "000.png") as image:
        whole = np.asarray(image)
    seen = [
        pixels
        for batch in flipped
        for pixels, name in zip(batch.content, batch.names[:3], strict=True)
        if name.endswith("000.png")
    ]
    mirrored = [np.array_equal(pixels, whole[:, ::-1]) for pixels in seen]
    assert any(mirrored)
    assert not all(mirrored)


def test_every_picture_comes_once_an_epoch_in_another_order_each_time(folders):
    names = [name for batch in take(batches(folders), 14) for name in batch.names[:3]]
    epochs = [names[i : i + 7] for i in range(0, 42, 7)]
    assert all(len(set(epoch)) == 7 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_contents_and_styles_are_shuffled_independently(tmp_path):
    folder = draw(tmp_path / "both", 8)
    pairs = Counter()
    for batch in take(batches((folder, folder), batch_size=4), 32):
        pairs.update(zip(batch.names[:4], batch.names[4:], strict=True))
    assert len(pairs) > 24  # one order for both would give 8


@pytest.mark.essential
@pytest.mark.parametrize("position", range(6))
def test_resuming_anywhere_gives_the_same_sequence(folders, position):
    expected = take(batches(folders), position + 5)
    first = batches(folders)
    take(first, position)
    state = first.get_state()
    again = batches(folders)
    again.set_state(state)
    assert_same(take(again, 5), expected[position:])


def test_prefetching_gives_every_item_in_order_one_ahead():
    made = []
    items = prefetch(iter_recorded(made, 4))
    assert next(items) == 0
    assert made == [0, 1]
    assert list(items) == [1, 2, 3]
    assert list(prefetch(iter(()))) == []


def iter_recorded(made, count):
    for i in range(count):
        made.append(i)
        yield i


def test_processes_share_the_batch_of_one(folders):
    whole = take(batches(folders, batch_size=4), 5)
    shares = [
        take(batches(folders, batch_size=2, process_index=i, process_count=2), 5) for i in (0, 1)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        for i, part in enumerate(parts):
            np.testing.assert_array_equal(part.content, batch.content[i::2])
            np.testing.assert_array_equal(part.style, batch.style[i::2])
            np.testing.assert_array_equal(part.style_index, batch.style_index[i::2])


def test_bad_pictures_are_replaced_and_said_once(folders, capsys):
    (folders[0] / "003.png").write_bytes(b"rubbish")
    iterator = batches(folders)
    names = [name for batch in take(iterator, 7) for name in batch.names[:3]]
    assert not any(name.endswith("003.png") for name in names)
    error = capsys.readouterr().err
    assert error.count("003.png: not a picture") == 1
    assert_same(take(batches(folders), 4), take(batches(folders), 4))


def test_folders_without_a_readable_picture_are_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no picture in this folder"):
        open_source(str(tmp_path / "empty"))
    (tmp_path / "empty" / "a.png").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="can be read"):
        Pictures(open_source(str(tmp_path / "empty")), 16)
    with pytest.raises(DataError, match="none: no such folder"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(DataError, match="neither a folder nor a data set"):
        open_source("no_such_data_set", data_dir=str(tmp_path))


def test_folders_may_have_an_at_sign_but_no_splits(tmp_path):
    assert len(open_source(str(draw(tmp_path / "a@b", 2)))) == 2
    with pytest.raises(DataError, match="folder of pictures, which has no splits"):
        open_source(str(draw(tmp_path / "plain", 2)) + "@validation")


def test_known_data_sets_that_are_not_prepared_are_said_to_be(tmp_path):
    with pytest.raises(DataError, match=f"^mnist: .* not prepared in {tmp_path}$"):
        open_source("mnist", data_dir=str(tmp_path))


def test_crops_larger_than_the_pictures_are_errors(folders):
    content, style = (open_source(str(folder)) for folder in folders)
    with pytest.raises(DataError, match=r"a crop of 32 pixels needs .* the style pictures is 24"):
        Batches(Pictures(content, 32), Pictures(style, 24), batch_size=3, crop=32, seed=0)


def test_bad_records_are_named_by_the_record(capsys):
    class Records:
        def __len__(self):
            return 1

        def read(self, index):
            return Encoded(io.BytesIO(b"rubbish"), "set:a.png")

    with pytest.raises(DataError):
        Pictures(Records(), 16)
    expected = "skipped: set:a.png: not a picture that can be read\n"
    assert capsys.readouterr().err == expected


def test_cached_pictures_are_the_same(folders):
    source = open_source(str(folders[0]))
    plain, cached = Pictures(source, 20), Pictures(source, 20, cache_bytes=3000)
    for _ in range(2):
        for i in range(7):
            np.testing.assert_array_equal(plain[i][0], cached[i][0])
    assert 0 < sum(pixels.nbytes for pixels, _ in cached._cache.values()) <= 3000


@pytest.mark.essential
def test_packing_and_reading_back(tmp_path, folders, capsys):
    (folders[0] / "bad.png").write_bytes(b"rubbish")
    target = tmp_path / "packed"
    with pytest.raises(SystemExit) as exit_:
        command.main(["pack", str(folders[0]), str(target), "--size", "20", "--quality", "100"])
    assert exit_.value.code == 1  # one was bad
    assert "bad.png: not a picture" in capsys.readouterr().err
    source = open_source(str(target))
    assert len(source) == 7
    names = sorted(source.read(i).name.split(":")[-1] for i in range(7))
    assert names == [f"{i:03}.png" for i in range(7)]
    for i in range(7):
        with Image.open(source.read(i).file) as image:
            assert min(image.size) == 20
    assert not (tmp_path / "packed.partial").exists()
    assert take(batches((target, folders[1])), 2)[0].content.shape == (3, 16, 16, 3)
    (tmp_path / "packed.partial").mkdir()  # as if killed before its last step
    with pytest.raises(DataError, match="exists already"):
        pack(folders[0], target, size=20)
    assert not (tmp_path / "packed.partial").exists()


def test_two_do_not_pack_at_once(tmp_path, folders, capsys):
    with exclusive(tmp_path / "out.partial"), pytest.raises(SystemExit) as exit_:
        command.main(["pack", str(folders[0]), str(tmp_path / "out")])
    assert exit_.value.code == 1
    assert re.fullmatch(
        r"error: .*out\.partial: another run is at work.*\n", capsys.readouterr().err
    )
    assert list((tmp_path / "out.partial").iterdir()) == []


def test_packed_pictures_open_in_plain_tfds_and_are_never_enlarged(tmp_path):
    import tensorflow_datasets as tfds

    folder = draw(tmp_path / "in", 3)
    (folder / "000.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    assert pack(folder, tmp_path / "out", size=100) == {}
    builder = tfds.builder_from_directory(str(tmp_path / "out"))
    records = list(builder.as_data_source("train"))
    assert {record["name"].decode() for record in records} == {
        "caf\ufffd.png",
        "001.png",
        "002.png",
    }
    assert all(min(record["image"].shape[:2]) == 24 for record in records)


def test_packing_below_the_source_is_refused(tmp_path):
    folder = draw(tmp_path / "in", 2)
    with pytest.raises(DataError, match="lies below"):
        pack(folder, folder / "out", size=16)


@pytest.mark.parametrize("what", ["PIL.Image.Image.save", "adain_jax.data.pack._write"])
def test_packing_onto_a_full_disk_is_told_and_goes_on(tmp_path, monkeypatch, what):
    def fill(*_, **__):
        raise OSError(28, "No space left on device")

    folder = draw(tmp_path / "in", 2)
    with monkeypatch.context() as full:
        full.setattr(what, fill)
        with pytest.raises(DataError, match=r"packed.*: cannot be written \(.*No space left"):
            pack(folder, tmp_path / "packed", size=20)
    assert pack(folder, tmp_path / "packed", size=20) == {}


def test_a_killed_packing_goes_on(tmp_path, monkeypatch):
    folder = draw(tmp_path / "many", 60, side=400)
    target = tmp_path / "packed"
    arguments = [sys.executable, "-m", "adain_jax", "pack", folder, target, "--size", "300"]
    process = subprocess.Popen(list(map(str, arguments)), cwd=ROOT, stdout=subprocess.DEVNULL)
    staged = tmp_path / "packed.partial" / "pictures"
    while len(list(staged.glob("[!.]*.jpg"))) < 5:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not target.exists()
    before = len(list(staged.glob("[!.]*.jpg")))
    with pytest.raises(DataError, match="begun with other settings"):
        pack(folder, target, size=200)
    written = []
    original = Image.Image.save

    def save(self, path, *rest, **options):
        written.append(path)
        return original(self, path, *rest, **options)

    monkeypatch.setattr(Image.Image, "save", save)
    assert pack(folder, target, size=300) == {}
    assert len(open_source(str(target))) == 60
    assert len(written) == 60 - before  # what was staged is not done again


def test_tensorflow_is_never_imported(tmp_path, folders):
    stand_in = tmp_path / "path" / "tensorflow"  # it must not be imported where it is installed
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    environment = os.environ | {"PYTHONPATH": str(stand_in.parent)}
    code = f"""
import sys
from pathlib import Path
from adain_jax.data.pack import pack
from adain_jax.data.pipeline import Batches
from adain_jax.data.sources import Pictures, open_source
import adain_jax.training.loop
pack(Path({str(folders[0])!r}), Path({str(tmp_path / "p")!r}), size=20)
a, b = (Pictures(open_source(s), 20) for s in ({str(tmp_path / "p")!r}, {str(folders[1])!r}))
next(Batches(a, b, batch_size=2, crop=16, seed=0))
assert "tensorflow" not in sys.modules
"""
    command_ = [sys.executable, "-c", code]
    subprocess.run(command_, check=True, cwd=ROOT, capture_output=True, env=environment)


def test_the_command_fails_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(["pack", str(tmp_path / "none"), str(tmp_path / "out")])
    assert exit_.value.code == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/none: not a folder\n"
    with pytest.raises(SystemExit) as exit_:
        command.main(["pack", str(tmp_path), str(tmp_path / "out"), "--size", "0"])
    assert exit_.value.code == 2


def test_pictures_in_memory_are_read_like_files():
    from adain_jax.images import PictureError, load_image

    buffer = io.BytesIO()
    Image.new("L", (30, 20), 7).save(buffer, "PNG")
    assert load_image(buffer, size=10).size == (15, 10)
    with pytest.raises(PictureError, match="not a picture"):
        load_image(io.BytesIO(b"rubbish"))
