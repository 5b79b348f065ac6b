"""Data sets stylized on Ray: every record once, by its key alone, whatever happens to the workers."""

import io
import json
import os
import re
import resource
import runpy
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import wait_until
from PIL import Image

from adain_jax.__main__ import main
from adain_jax.dataset import manifest
from adain_jax.dataset.attempts import TRIES, Attempts
from adain_jax.dataset.cluster import (
    Decoding,
    Exploding,
    Painting,
    Plan,
    Reading,
    Writing,
    connected,
    ensure_token,
    stylized,
    write_parts,
)
from adain_jax.dataset.draws import generator, in_shard
from adain_jax.dataset.recipe import Encoded, Recipe, draw
from adain_jax.dataset.records import open_source
from adain_jax.dataset.sinks import open_sink
from adain_jax.dataset.storage import StorageError, locate
from adain_jax.dataset.styles import encode_styles, for_workers
from adain_jax.files import exclusive

# Ray starts processes of its own at once after a fork: what JAX warns of cannot happen.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]

EXAMPLES = Path(__file__).parent.parent / "examples"
FORMATS = ("folder", "webdataset", "parquet", "tfds")


def jpeg(seed: int, height: int, width: int) -> bytes:
    colors = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(colors).resize((width, height), Image.Resampling.BICUBIC).save(data, "JPEG")
    return data.getvalue()


def write_tars(folder: Path, shards: int, records: int, bad: int | None = None) -> None:
    folder.mkdir()
    for shard in range(shards):
        with tarfile.open(folder / f"train-{shard:03}.tar", "w") as tar:
            for i in range(records):
                k = shard * records + i
                picture = b"no picture" if k == bad else jpeg(k, 24 + 8 * (k % 3), 32)
                label = json.dumps({"label": k}).encode()
                for suffix, data in (("jpg", picture), ("cls", b"%d" % k), ("json", label)):
                    info = tarfile.TarInfo(f"{k:06}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def read_all(folder: Path) -> dict[str, tuple[bytes, dict]]:
    """All records by their keys, each of which is there once."""
    source = open_source(str(folder))
    records = [record for shard in source.shards() for record in source.read(shard)]
    by_key = {record.key: (record.image, record.columns) for record in records}
    assert len(by_key) == len(records)
    return by_key


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    for i in range(4):
        (folder / f"{i}.jpg").write_bytes(jpeg(1000 + i, 40, 40))
    return folder


@pytest.fixture(scope="module")
def moments(styles):
    return encode_styles([str(styles)], "fast", 32, False)


@pytest.fixture(scope="module")
def on_one_process(moments):
    """Stylizes a data set without Ray: (output folder, summaries)."""
    painting = None

    def stylize(content: str, output: Path, format_: str, recipe: Recipe, shard_records: int = 7):
        nonlocal painting
        source, place = open_source(content), locate(str(output))
        plan = Plan(source, recipe, moments, shard_records)
        if painting is None:
            painting = Painting(plan)  # one for all: it compiles
        painting._plan = plan
        sink = open_sink(format_, place, source)
        write = Writing(plan, sink, place.under(manifest.PARTS))
        summaries = []
        for shard in source.shards():
            for part in Reading(plan)({"shard": np.array([shard])}):
                (text,) = write(painting(Decoding(plan)(part)))["summary"]
                summaries.append(json.loads(text))
        sink.finish(sorted(one["part"] for one in summaries if one["results"]))
        return summaries

    return stylize


def test_a_draw_depends_on_the_seed_and_the_key_alone():
    recipe = Recipe(random_styles=3, mixed=2, alpha=(0.3, 0.9), seed=5)
    one = draw(recipe, "a/b.jpg", 20)
    assert one == draw(recipe, "a/b.jpg", 20)
    assert one != draw(recipe, "a/c.jpg", 20)
    assert len({style for made_of in one for style in made_of.styles}) == 6
    for made_of in one:
        assert sum(made_of.shares) == pytest.approx(1)
        assert 0.3 <= made_of.alpha <= 0.9
    firsts = [draw(Recipe(seed=5), str(key), 20)[0].styles[0] for key in range(2000)]
    counts = np.bincount(firsts, minlength=20)
    assert counts.min() > 60
    assert counts.max() < 140
    alone = generator(5, "a/b.jpg").choice(20, 3, replace=False)  # as infer.py draws
    assert [d.styles[0] for d in draw(Recipe(random_styles=3, seed=5), "a/b.jpg", 20)] == list(
        alone
    )


def test_shards_share_all_keys():
    keys = [f"n{i % 7}/{i}.jpg" for i in range(1000)]
    parts = [[key for key in keys if in_shard(key, (i, 4))] for i in range(4)]
    assert sorted(key for part in parts for key in part) == sorted(keys)
    assert min(map(len, parts)) > 200
    assert parts[0] == [key for key in keys if in_shard(key, (4, 4))]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_keeps_every_column(format_, tmp_path, on_one_process):
    """From tar shards into each format, and from there into tar shards again."""
    write_tars(tmp_path / "tars", 1, 10)
    recipe = Recipe(content_size=0, image_format="png")
    on_one_process(str(tmp_path / "tars"), tmp_path / "first", format_, recipe)
    source = open_source(str(tmp_path / "first"))
    assert source.kind == format_
    records = [record for shard in source.shards() for record in source.read(shard)]
    assert len(records) == 10
    for record in records:
        k = int(Path(record.key).stem)
        with Image.open(io.BytesIO(record.image)) as image:
            assert (image.format, image.size) == ("PNG", (32, 24 + 8 * (k % 3)))
        if format_ == "folder":
            continue
        assert record.columns["cls"] == b"%d" % k
        assert json.loads(record.columns["json"]) == {"label": k}


def test_parquet_keeps_types_and_hugging_faces_pictures(tmp_path, on_one_process):
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": jpeg(i, 24, 32), "path": f"{i}.jpg"} for i in range(5)], image
            ),
            "label": pa.array(range(5), pa.int8()),
            "boxes": pa.array([[[0.5, i]] for i in range(5)], pa.list_(pa.list_(pa.float32()))),
            "caption": pa.array(["a", None, "c", "d", "e"]),
        }
    )
    parquet.write_table(table, tmp_path / "in" / "a.parquet")
    on_one_process(
        str(tmp_path / "in"),
        tmp_path / "out",
        "parquet",
        Recipe(random_styles=2, content_size=0),
        3,
    )
    results = pa.concat_tables(
        parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))
    )
    assert results.schema.field("label").type == pa.int8()
    assert results.schema.field("boxes").type == table.schema.field("boxes").type
    assert results.schema.field("image").type == image
    for name in ("label", "boxes", "caption"):
        twice = [value for value in table[name].to_pylist() for _ in range(2)]
        assert results[name].to_pylist() == twice
    assert results["__key__"].to_pylist()[:3] == [
        f"a.parquet:{i}_stylized_{j}" for i, j in ((0, 0), (0, 1), (1, 0))
    ]


def test_a_folder_keeps_its_classes_and_its_originals(tmp_path, on_one_process):
    for name in ("cat/1.JPEG", "dog/x/1.jpg", "dog/bad.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no picture" if "bad" in name else jpeg(3, 24, 32))
    recipe = Recipe(random_styles=1, keep_original=True, content_size=0)
    (summary,) = on_one_process(str(tmp_path / "in"), tmp_path / "out", "folder", recipe)
    assert sorted(read_all(tmp_path / "out")) == [
        *("cat/1.JPEG", "cat/1_stylized_0.JPEG", "dog/x/1.jpg", "dog/x/1_stylized_0.jpg")
    ]
    assert summary["failed"] == [["dog/bad.png", "not a picture that can be read"]]


@pytest.mark.parametrize("way", ["coral", "luminance"])
def test_colors_are_kept_as_adain_stylize_keeps_them(way, tmp_path):
    files = {"in/a.png": (3, 24, 32), "styles/s.png": (1000, 40, 40)}
    for name, made_of in files.items():
        (tmp_path / name).parent.mkdir()
        with Image.open(io.BytesIO(jpeg(*made_of))) as image:
            image.save(tmp_path / name)
    recipe = Recipe(content_size=0, preserve_color=way)
    styles = for_workers([str(tmp_path / "styles")], recipe, 32)
    plan = Plan(open_source(str(tmp_path / "in")), recipe, styles, 7)
    (part,) = Reading(plan)({"shard": np.array(["000000"])})
    (rows,) = (Exploding(plan)(Painting(plan)(Decoding(plan)(part))),)
    ((result,),) = (row["image"] for row in rows)
    paths = {"-c": "in/a.png", "-s": "styles/s.png", "-o": "o.png"}
    arguments = [text for option, path in paths.items() for text in (option, str(tmp_path / path))]
    with pytest.raises(SystemExit):
        main(["stylize", *arguments, "--style-size=32", "--stroke-size=0", "--preserve-color", way])
    with Image.open(tmp_path / "o.png") as expected, Image.open(io.BytesIO(result)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_how_many_records_tar_shards_hold_is_known_from_some_of_them(tmp_path, moments):
    write_tars(tmp_path / "tars", 2, 100)
    source = open_source(str(tmp_path / "tars"))
    reading = Reading(Plan(source, Recipe(content_size=0), moments, 7))
    summaries = [
        {"records": 7, "failed": [], "read": part["read"][0]}
        for part in reading({"shard": np.array(["train-000.tar"])})
    ]
    summaries[-1]["records"] = 100 - 14 * 7
    assert source.count() is None
    for some in (summaries[:3], summaries):
        assert manifest.estimate(some, source.nbytes()) == pytest.approx(200, rel=0.1)


def test_keys_from_outside_choose_no_path(tmp_path, on_one_process):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as tar:
        data = jpeg(0, 24, 32)
        info = tarfile.TarInfo("../../../escaped.jpg")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    on_one_process(str(tmp_path / "in"), tmp_path / "out", "folder", Recipe(content_size=0))
    assert [p.name for p in tmp_path.rglob("*escaped*")] == ["escaped.jpg"]
    assert (tmp_path / "out" / "escaped.jpg").exists()


def test_what_ends_its_process_is_tried_twice_alone_and_given_up(tmp_path, monkeypatch):
    """The process that dies is a real one."""
    script = """
import os, sys
from adain_jax.dataset.attempts import Attempts
from adain_jax.dataset.storage import locate
def compute(items):
    if "poison" in items:
        os._exit(9)
    return list(items)
print(*Attempts(locate(sys.argv[1])).guarded(
    "part", ["a", "poison", "b"], str, compute, lambda item, why: f"{item}: {why}"), sep="; ")
"""
    ends = []
    while not ends or ends[-1].returncode:
        command = [sys.executable, "-c", script, str(tmp_path / "notes")]
        ends.append(subprocess.run(command, capture_output=True, text=True, check=False))
        assert len(ends) < 6
    assert len(ends) == 1 + TRIES + 1
    assert ends[-1].stdout.strip() == "a; poison: ended the process that worked on it, 2 times; b"
    assert not list((tmp_path / "notes" / "part").iterdir())


def test_an_exception_is_no_crash(tmp_path):
    attempts = Attempts(locate(str(tmp_path)))

    def fail(items):
        raise ValueError

    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011
            attempts.guarded("part", ["a"], str, fail, lambda item, why: item)
    assert attempts.guarded("part", ["a"], str, list, lambda item, why: "given up") == ["a"]


def test_a_lazy_dataset_to_go_on_from(
    styles, moments, tmp_path, on_one_process, monkeypatch, capsys
):
    write_tars(tmp_path / "tars", 1, 9, bad=4)
    recipe = Recipe(content_size=0)
    with connected(None):
        dataset = stylized(str(tmp_path / "tars"), [str(styles)], recipe, style_size=32)
        rows = {row.pop("__key__"): row for row in dataset.take_all()}
        # The example, as long as Ray is here.
        monkeypatch.setattr(sys, "argv", ["dataset.py", str(tmp_path / "tars")])
        runpy.run_path(str(EXAMPLES / "dataset.py"), run_name="__main__")
        # An error of a worker, while Ray is here: notes find no place, as on a disk that is full.
        (tmp_path / "file").write_text("")
        source, place = open_source(str(tmp_path / "tars")), locate(str(tmp_path / "file" / "x"))
        plan = Plan(source, recipe, moments, 7, attempts=Attempts(place))
        sink = open_sink("webdataset", place, source)
        with pytest.raises(StorageError, match=r"File exists|Not a directory"):
            list(write_parts(plan, sink, place))
    assert capsys.readouterr().out.count(" bytes\n") == 16  # two results of each record
    on_one_process(str(tmp_path / "tars"), tmp_path / "alone", "webdataset", recipe)
    alone = read_all(tmp_path / "alone")
    assert len(alone) == 8
    assert {key: (row.pop("image"), row) for key, row in rows.items()} == alone


def command(content, styles, output, *more):
    arguments = ["--content", str(content), "--style", str(styles), "--output", str(output)]
    sizes = ["--content-size", "0", "--style-size", "32", "--shard-records", "7", "--workers", "1"]
    return [*arguments, "--format", "webdataset", *sizes, *map(str, more)]


def run_here(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["dataset", *arguments])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"content": "nothing"}, 1, "no such file or folder"),
        ({"content": "empty"}, 1, "no picture, tar shard, Parquet file or TFDS data set in it"),
        ({"content": "nowhere://bucket/x"}, 1, "is no place that can be reached"),
        ({"output": "full"}, 1, "holds other files; choose an empty or a new folder"),
        ({"more": ("--address", "127.0.0.1:1")}, 1, "no Ray cluster can be reached there"),
        ({"more": ("--alpha", "0.9", "0.1")}, 2, "--alpha needs two numbers that rise"),
        ({"more": ("--random-styles", "0")}, 2, "--random-styles must be at least 1"),
    ],
)
def test_bad_input_is_one_line(change, code, message, styles, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_tars(tmp_path / "tars", 1, 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    arguments = command(
        change.get("content", "tars"), styles, change.get("output", "out"), *change.get("more", ())
    )
    ended, _, err = run_here(arguments, capsys)
    assert ended == code, err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_two_do_not_write_one_data_set(styles, tmp_path, capsys):
    write_tars(tmp_path / "tars", 1, 2)
    with exclusive(tmp_path / "out"):
        code, _, err = run_here(command(tmp_path / "tars", styles, tmp_path / "out"), capsys)
    assert code == 1
    assert re.fullmatch(r"error: .*out: another run is at work in this folder; wait .*\n", err)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_ray_there_is_the_command_that_brings_it(styles, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run_here(command(tmp_path, styles, tmp_path / "out"), capsys)
    assert (code, err) == (1, "error: Ray is missing: pip install 'adain-jax[cluster]'\n")
    assert not (tmp_path / "out").exists()


def test_an_unknown_column_names_those_that_are_there(tmp_path, styles, capsys):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"picture": [b""], "label": [1]}), tmp_path / "a.parquet")
    arguments = command(tmp_path, styles, tmp_path / "out", "--image-column", "image")
    code, _, err = run_here(arguments, capsys)
    assert code == 1
    assert "has no column image (--image-column), but picture, label" in err


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/x: File exists"):
        locate(str(tmp_path / "file" / "x")).write(b"")


def test_a_cluster_needs_no_home(tmp_path, monkeypatch):
    for home, given in (("/dev/null/home", True), (str(tmp_path), False)):
        monkeypatch.setenv("HOME", home)
        monkeypatch.setenv("RAY_AUTH_TOKEN", "")
        monkeypatch.delenv("RAY_AUTH_TOKEN")
        ensure_token()
        assert ("RAY_AUTH_TOKEN" in os.environ) == given


@pytest.mark.parametrize("format_", FORMATS)
def test_a_full_disk_is_an_error_of_storage(format_, tmp_path):
    """The disk is a real limit of the process on the size of files."""
    write_tars(tmp_path / "tars", 1, 1)
    source, place = open_source(str(tmp_path / "tars")), locate(str(tmp_path / "out"))
    sink = open_sink(format_, place, source)
    (record,) = source.read("train-000.tar")
    image = np.random.default_rng(0).bytes(100_000)
    one = Encoded(record.key, image, record.columns, "jpg")
    sink.write("before", [one._replace(image=bytes(100))])
    before = set(tmp_path.rglob("*"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="File too large"):
            sink.write("part", [one._replace(key="other")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert set(tmp_path.rglob("*")) == before  # nothing half-written


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes, each with a core; the driver's is the head.

    To start a process takes Ray longer than most tasks. So nodes keep theirs: by default as many as
    they have cores, the others for a second.
    """
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    keep = {"num_workers_soft_limit": 16, "idle_worker_killing_time_threshold_ms": 600_000}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": keep}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    if ray.is_initialized():
        ray.shutdown()
    cluster.shutdown()


def painters() -> list[psutil.Process]:
    """The processes of Ray's actors that stylize."""
    return [p for p in psutil.process_iter(["name"]) if "Painting" in " ".join(_title(p))]


def _title(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_for(parts: Path, number: int, driver: subprocess.Popen) -> None:
    """Until so many parts are written."""
    wait_until(lambda: len(list(parts.glob("*.json"))) >= number, driver, 300)


def test_a_killed_worker_a_lost_node_and_a_killed_driver_lose_nothing(
    cluster, styles, tmp_path, on_one_process
):
    """300 records; what is there in the end is what one process makes, byte for byte."""
    ray_cluster, nodes = cluster
    write_tars(tmp_path / "tars", 3, 100, bad=150)
    output = tmp_path / "out"
    arguments = command(tmp_path / "tars", styles, output, "--address", ray_cluster.address)
    arguments[arguments.index("--workers") + 1] = "2"
    start = [sys.executable, "-m", "adain_jax", "dataset", *arguments]
    driver = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(output / manifest.PARTS, 3, driver)
        painters()[0].kill()
        wait_for(output / manifest.PARTS, 8, driver)
        ray_cluster.remove_node(nodes[1], allow_graceful=False)
        wait_for(output / manifest.PARTS, 14, driver)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert not json.loads((output / manifest.NAME).read_text())["complete"]
    ended = subprocess.run(start, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr  # for the record that is no picture
    assert "299 results of 299 records" in ended.stdout
    failed = [json.loads(line) for line in (output / manifest.FAILED).read_text().splitlines()]
    assert failed == [{"key": "000150", "reason": "not a picture that can be read"}]

    on_one_process(str(tmp_path / "tars"), tmp_path / "alone", "webdataset", Recipe(content_size=0))
    results, alone = read_all(output), read_all(tmp_path / "alone")
    assert set(results) == {f"{k:06}" for k in range(300) if k != 150}
    for key, (_, columns) in results.items():
        assert columns["cls"] == b"%d" % int(key)
    assert results == alone
    files = sorted(path.name for path in output.glob("*.tar"))
    assert files == sorted(path.name for path in (tmp_path / "alone").glob("*.tar"))
    for name in files:
        assert (output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a real S3 server on this machine: its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="data")
    yield "s3://data"
    server.stop()


def test_from_s3_to_s3(bucket, styles, tmp_path, on_one_process, capsys):
    write_tars(tmp_path / "tars", 2, 8)
    for path in (tmp_path / "tars").iterdir():
        locate(f"{bucket}/tars/{path.name}").write(path.read_bytes())
    code, out, err = run_here(command(f"{bucket}/tars", styles, f"{bucket}/out"), capsys)
    assert code == 0, err
    assert "16 results of 16 records" in out
    on_one_process(str(tmp_path / "tars"), tmp_path / "alone", "webdataset", Recipe(content_size=0))
    for path in (tmp_path / "alone").glob("*.tar"):
        assert locate(f"{bucket}/out/{path.name}").read() == path.read_bytes()
    code, out, _ = run_here(command(f"{bucket}/tars", styles, f"{bucket}/out"), capsys)
    assert (code, out) == (0, f"{bucket}/out: complete already\n")
