"""Fetching weights from a real server on this machine: whole, resumed, broken off, wrong, absent."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from adain_jax.cli import convert_vgg
from adain_jax.convert.download import download
from adain_jax.convert.errors import ConversionError

DATA = np.random.default_rng(0).bytes(1_000_000)
MD5 = hashlib.md5(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves DATA; `breaks_at` bytes it hangs up, `ranges` says whether it can go on."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks_at = None
        self.ranges = True
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/models/weights.t7"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
        if not self.path.endswith("/weights.t7"):
            self.send_error(404)
            return
        if start >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : self.server.breaks_at])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole_and_is_not_fetched_twice(server, tmp_path):
    path = download(server.url, tmp_path / "new", md5=MD5)
    assert path == tmp_path / "new" / "weights.t7"
    assert path.read_bytes() == DATA
    assert download(server.url, tmp_path / "new", md5=MD5) == path
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_broke_off(server, tmp_path, ranges):
    server.breaks_at = 300_000
    with pytest.raises(ConversionError, match="cannot be fetched"):
        download(server.url, tmp_path, md5=MD5)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.t7.part"]
    server.breaks_at, server.ranges = None, ranges
    assert download(server.url, tmp_path, md5=MD5).read_bytes() == DATA
    assert server.asked[1].startswith("bytes=")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.t7"]


def test_a_part_that_is_all_of_it(server, tmp_path):
    (tmp_path / "weights.t7.part").write_bytes(DATA)
    assert download(server.url, tmp_path, md5=MD5).read_bytes() == DATA


def test_another_file_is_refused_and_deleted(server, tmp_path):
    with pytest.raises(ConversionError, match="has not the checksum"):
        download(server.url, tmp_path, md5="0" * 32)
    assert not list(tmp_path.iterdir())


def test_a_server_without_it(server, tmp_path):
    with pytest.raises(ConversionError, match="the server answers 404"):
        download(server.url + "x", tmp_path, md5=MD5)


def test_no_network(tmp_path):
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.t7"
        with pytest.raises(ConversionError, match=r"on another machine.*convert_vgg.py weights.t7"):
            download(url, tmp_path, md5=MD5)


@pytest.mark.parametrize("arguments", [[], ["a.pth", "--download"]])
def test_either_a_file_or_a_download(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        convert_vgg.main(arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "error: give either SRC, a file to convert, or --download\n"
