"""Fetching weights from a real server on this machine that refuses, stalls, breaks off, and lies."""

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import foreign
import numpy as np
import pytest

from adain_jax import weights
from adain_jax.cli import convert_vgg
from adain_jax.convert import convert, published
from adain_jax.convert.download import download
from adain_jax.convert.errors import ConversionError
from adain_jax.convert.published import Published, fetch

DATA = np.random.default_rng(0).bytes(1_000_000)
SOON = 0.2  # seconds until a server that says nothing is given up


class Server(ThreadingHTTPServer):
    """Serves `files`. How it misbehaves can be changed between requests.

    Attributes:
        status: what it answers instead, 0 for what is right.
        sends: after so many bytes of a connection it stops: hangs up, or is silent if it `stalls`.
        lies: how much more it says to send than it has.
        ranges: "served", "ignored" or "wrong": those from the beginning instead.
        asked: the Range of each request.
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.status, self.sends, self.stalls, self.lies, self.ranges = 0, None, False, 0, "served"
        self.asked = []
        self.ended = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/models"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        data = server.files.get(self.path.removeprefix("/models/"))
        start = int(wanted[6:-1]) if wanted and server.ranges == "served" else 0
        if data is None or server.status or start >= len(data):
            self.send_error(404 if data is None else server.status or 416)
            return
        self.send_response(206 if wanted and server.ranges != "ignored" else 200)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start + server.lies))
        self.end_headers()
        sent = data[start:] if server.sends is None else data[start : start + server.sends]
        self.wfile.write(sent)
        if server.stalls and len(sent) < len(data) - start:
            server.ended.wait()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server({"weights.t7": DATA}) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


def get(server, folder, **options):
    return download(f"{server.url}/weights.t7", folder, timeout=SOON, **options)


def names(folder):
    return [re.sub(r"\.\w{8}\.part$", ".part", path.name) for path in folder.iterdir()]


def test_a_file_arrives_whole(server, tmp_path):
    path = get(server, tmp_path / "new")
    assert path == tmp_path / "new" / "weights.t7"
    assert path.read_bytes() == DATA
    assert server.asked == [None]


@pytest.mark.parametrize("stalls", [False, True])
def test_what_breaks_off_or_stalls_is_gone_on_with_at_once(server, tmp_path, stalls):
    server.sends, server.stalls = 300_000, stalls
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.asked == [None, *(f"bytes={n}00000-" for n in (3, 6, 9))]
    assert names(tmp_path) == ["weights.t7"]


@pytest.mark.parametrize("ranges", ["served", "ignored"])
def test_what_has_arrived_is_there_for_the_next_call(server, tmp_path, ranges):
    server.sends = 100_000
    with pytest.raises(
        ConversionError, match=r"broke off\); 0\.5 MB are here, and the same command"
    ):
        get(server, tmp_path)
    assert names(tmp_path) == ["weights.t7.part"]
    server.sends, server.ranges = None, ranges
    assert get(server, tmp_path).read_bytes() == DATA
    assert server.asked[-1] == "bytes=500000-"
    assert names(tmp_path) == ["weights.t7"]


def test_a_server_that_says_nothing_is_given_up(server, tmp_path):
    server.sends, server.stalls = 0, True
    with pytest.raises(ConversionError, match=r"weights\.t7: cannot be fetched \(timed out\)"):
        get(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 416, 500])
def test_a_server_that_refuses(server, tmp_path, status):
    server.status = status
    with pytest.raises(ConversionError, match=f"the server answers {status} "):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_no_server(tmp_path):
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConversionError, match="refused"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/weights.t7", tmp_path)


def test_lengths_that_are_lies(server, tmp_path):
    server.lies = 1000
    assert get(server, tmp_path).read_bytes() == DATA  # asked for the rest: there is none
    assert server.asked == [None, "bytes=1000000-"]
    server.lies = -1000
    assert get(server, tmp_path).read_bytes() == DATA[:-1000]  # its values will tell


def test_another_part_than_the_one_asked_for_is_not_appended(server, tmp_path):
    server.sends, server.ranges = 300_000, "wrong"
    with pytest.raises(ConversionError, match="another part"):
        get(server, tmp_path)
    server.sends = None
    assert get(server, tmp_path).read_bytes() == DATA


def test_what_does_not_end_is_given_up(server, tmp_path):
    with pytest.raises(ConversionError, match="sends more than 0 MB"):
        get(server, tmp_path, largest=400_000)
    assert names(tmp_path) == []


# The published weights


@pytest.fixture(scope="module")
def encoder(random_params, tmp_path_factory):
    """A stand-in for the published encoder: its two files, and how it is recognized."""
    folder = tmp_path_factory.mktemp("published")
    state = {
        "0.weight": (255 * np.eye(3)[::-1]).reshape(3, 3, 1, 1).astype(np.float32),
        "0.bias": np.array([-103.939, -116.779, -123.68], np.float32),
    } | foreign.numbered(random_params["encoder"], foreign.SEQUENTIAL_ENCODER)
    foreign.write_zip_pth(folder / "vgg.pth", state)
    foreign.write_t7(folder / "vgg.t7", state)
    other = {**state, "2.bias": state["2.bias"] + np.float32(1e-6)}
    foreign.write_zip_pth(folder / "other.pth", other)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files, convert(folder / "vgg.pth").values, folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.delenv("ADAIN_JAX_MIRROR", raising=False)
    monkeypatch.setenv("ADAIN_JAX_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_values_are_recognized_in_every_kind_of_file(encoder):
    _, values, folder = encoder
    assert convert(folder / "vgg.t7").values == values
    assert convert(folder / "other.pth").values != values


@pytest.mark.parametrize("network", [published.ENCODER, published.DECODER])
def test_the_published_values_are_recognized(network, reference_weights):
    name = network.addresses[0].rsplit("/", 1)[1]
    assert convert(reference_weights / name).values == network.values


def test_the_next_source_is_asked_where_one_serves_something_else(server, encoder, data, capsys):
    files, values, _ = encoder
    server.files = {
        **files,
        "page.pth": b"<html>All access to this object has been disabled</html>",
    }
    addresses = [f"{server.url}/{name}" for name in ("none.pth", "page.pth", "other.pth", "vgg.t7")]
    network = Published("vgg19-encoder", tuple(addresses), values)
    converted, source = fetch(network, timeout=5)
    assert (converted.values, source) == (values, addresses[-1])
    assert capsys.readouterr().err.count("fetching") == 4
    assert list(data.iterdir()) == []
    network = Published("vgg19-encoder", tuple(addresses[:-1]), values)
    with pytest.raises(ConversionError) as failed:
        fetch(network, timeout=5)
    first, second, third, remedy = str(failed.value).split("\n")
    assert f"{addresses[0]}: the server answers 404" in first
    assert f"{addresses[1]}: serves no vgg19-encoder (not a .pth" in second
    assert f"{addresses[2]}: serves another vgg19-encoder than the published one" in third
    assert "get none.pth or page.pth or other.pth on another machine" in remedy


@pytest.mark.parametrize("by", ["folder", "address"])
def test_a_mirror_takes_the_place_of_all_addresses(server, encoder, data, monkeypatch, by):
    server.files, values, folder = encoder
    mirror = str(folder) if by == "folder" else server.url
    monkeypatch.setenv("ADAIN_JAX_MIRROR", mirror)
    elsewhere = ("http://nowhere.invalid/none.pth", "http://nowhere.invalid/vgg.t7")
    converted, source = fetch(Published("vgg19-encoder", elsewhere, values), timeout=5)
    assert (converted.values, source) == (values, f"{mirror}/vgg.t7")
    assert (folder / "vgg.t7").exists()


def test_the_command_brings_both_networks(encoder, data, random_params, capsys, monkeypatch):
    _, values, folder = encoder
    state = foreign.numbered(random_params["decoder"], foreign.SEQUENTIAL_DECODER)
    foreign.write_zip_pth(folder / "decoder.pth", state)
    decoder = Published("vgg19-decoder", ("/decoder.pth",), convert(folder / "decoder.pth").values)
    monkeypatch.setenv("ADAIN_JAX_MIRROR", str(folder))
    monkeypatch.setattr(published, "ENCODER", Published("vgg19-encoder", ("/vgg.t7",), values))
    monkeypatch.setattr(published, "DECODER", decoder)
    with pytest.raises(SystemExit, match="0"):
        convert_vgg.main(["--download", "--with-decoder"])
    out = capsys.readouterr().out
    for part, file in (("encoder", "vgg.t7"), ("decoder", "decoder.pth")):
        assert f"vgg19-{part} written to {data}" in out
        assert f"; from {folder / file}\n" in out
        written = weights.read(weights.default_path(f"vgg19-{part}"), f"vgg19-{part}")
        kernel = random_params[part]["conv1_2"]["kernel"]
        np.testing.assert_array_equal(written["conv1_2"]["kernel"], kernel)
    assert len(list(data.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either SRC, a file to convert, or --download"),
        (["a.pth", "--download"], "give either SRC, a file to convert, or --download"),
        (["a.pth", "--with-decoder"], "--with-decoder is for --download"),
        (["--download", "--with-decoder", "--output=a"], "--output and --normalize are for one"),
    ],
)
def test_options_that_do_not_fit_together(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        convert_vgg.main(arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
