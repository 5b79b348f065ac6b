"""Weights of repositories, from a server on this machine that speaks the Hub's protocol."""

import hashlib
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import random_layers

from adain_jax import Stylizer, weights
from adain_jax.__main__ import main
from adain_jax.errors import UsageError
from adain_jax.models import MODELS
from adain_jax.weights import WeightsError
from adain_jax.weights.hub import fetch, write_repository

hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
EXAMPLES = Path(__file__).parent.parent / "examples"


class Hub(ThreadingHTTPServer):
    """Serves folders as repositories, by their names.

    Attributes:
        headers: what it says otherwise than it should.
        asked: the method and path of each request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.headers = {}
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "/resolve/" not in self.path:  # what the library asks the Hub for itself
            self.send_error(404)
            return
        self.server.asked.append((self.command, self.path))
        owner, name, _, _revision, file = self.path[1:].split("/")
        folder = self.server.repositories.get(f"{owner}/{name}")
        if folder is None or not (folder / file).exists():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if folder else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = (folder / file).read_bytes()
        self.send_response(200)
        digest = hashlib.sha256(data).hexdigest()
        said = {"X-Repo-Commit": digest[:40], "ETag": f'"{digest}"', "Content-Length": len(data)}
        for key, value in (said | self.server.headers).items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAIN_JAX_DATA", str(tmp_path / "data"))
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        # What HF_ENDPOINT sets as the library is imported.
        url = f"http://127.0.0.1:{running.server_port}"
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """A folder for each model, as `write_repository` writes it, and its layers."""
    folder, layers = tmp_path_factory.mktemp("repositories"), {}
    for model, entry in MODELS.items():
        layers[model] = random_layers(entry.kind)
        metadata = {"steps": "7", "config": '{"crop": 64}'}
        weights.write(folder / "weights", layers[model], entry.kind, metadata)
        write_repository(
            folder / model, model, license="mit", file=folder / "weights", text="## Limits\n\nMany."
        )
    return folder, layers


@pytest.mark.parametrize("model", MODELS)
def test_what_is_written_is_found_again_with_and_without_a_network(
    server, repositories, tmp_path, monkeypatch, model
):
    folder, layers = repositories
    server.repositories["us/weights-1.0"] = folder / model
    found, path = fetch("hf://us/weights-1.0")
    kind = MODELS[model].kind
    assert found == model
    assert path == tmp_path / "data" / "hub" / "us" / "weights-1.0" / f"{kind}.safetensors"
    expected, read = weights.flatten(layers[model]), weights.flatten(weights.read(path, kind))
    assert all(np.array_equal(expected[key], read[key]) for key in expected)
    asked = [method for method, _ in server.asked]
    assert asked.count("GET") == 1
    fetch("hf://us/weights-1.0")
    assert [method for method, _ in server.asked[len(asked) :]] == ["HEAD"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch("hf://us/weights-1.0") == (model, path)


def test_a_repository_is_loaded_and_is_a_model_of_the_command(
    server, repositories, tmp_path, capsys
):
    folder, layers = repositories
    server.repositories["us/fast"] = folder / "fast"
    stylizer = Stylizer.load("hf://us/fast")
    assert stylizer.model == "fast"
    own = weights.flatten(stylizer.params)
    for key, value in weights.flatten(layers["fast"]).items():
        np.testing.assert_array_equal(own[key], value)
    pictures = ["-c", EXAMPLES / "content/cat.jpg", "-s", EXAMPLES / "style/waves.jpg"]
    options = ["--content-size=32", "--style-size=32", "-o", tmp_path / "a.png"]
    with pytest.raises(SystemExit, match="0"):
        main(["stylize", "--model=hf://us/fast", *map(str, pictures + options)])
    assert (tmp_path / "a.png").exists()


def test_the_card_has_the_head_that_the_hub_reads(repositories):
    for model in MODELS:
        folder = repositories[0] / model
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{MODELS[model].kind}.safetensors", "README.md", ".gitattributes"}
        card = hub.ModelCard.load(folder / "README.md")
        assert card.data.license == "mit"
        assert card.data.library_name == "adain-jax"
        assert card.data.pipeline_tag == "image-to-image"
        assert {"jax", "style-transfer"} <= set(card.data.tags)
        assert 'Trained for 7 steps with `{"crop": 64}`' in card.text
        assert card.text.endswith("## Limits\n\nMany.\n")


def test_a_card_takes_no_other_head(tmp_path):
    with pytest.raises(ValueError, match="license must be an identifier"):
        write_repository(tmp_path / "new", "fast", license="mit\ntags: [x]")
    assert not (tmp_path / "new").exists()


def test_what_is_not_there_is_said(server, repositories, tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match=r"hf://us/none: no such repository, or a private one"):
        fetch("hf://us/none")
    server.repositories["us/empty"] = tmp_path
    with pytest.raises(WeightsError, match=r"neither fast\.safetensors nor vgg19-decoder\.safe"):
        fetch("hf://us/empty")
    server.repositories["us/fast"] = repositories[0] / "fast"
    server.headers = {"X-Linked-Size": 1 << 40}
    with pytest.raises(WeightsError, match=r"fast\.safetensors has 1099511627776 bytes, more than"):
        fetch("hf://us/fast")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="cannot be reached, and is not here yet"):
        fetch("hf://us/fast")


def test_pickles_under_the_name_of_weights_are_not_read(server, tmp_path):
    (tmp_path / "us").mkdir()
    (tmp_path / "us" / "fast.safetensors").write_bytes(b"\x80\x02cos\nsystem\n.")
    server.repositories["us/fast"] = tmp_path / "us"
    with pytest.raises(WeightsError, match="not a safetensors file"):
        Stylizer.load("hf://us/fast")


@pytest.mark.parametrize("header", ["ETag", "X-Repo-Commit"])
def test_the_server_chooses_no_path(server, repositories, tmp_path, header):
    server.repositories["us/fast"] = repositories[0] / "fast"
    server.headers = {header: f'"{"../" * 9}..{tmp_path}/evil"'}
    with suppress(WeightsError):
        fetch("hf://us/fast")
    own = tmp_path / "data" / "hub" / "us" / "fast"
    outside = [path for path in tmp_path.rglob("*") if own not in (path, *path.parents)]
    assert {path.name for path in outside} <= {"data", "hub", "us"}


@pytest.mark.parametrize(
    "name", ["hf://", "hf://us", "hf://us/../x", "hf://us/a/b", "hf://../us", "hf://us/a\n"]
)
def test_what_is_no_name_of_a_repository(server, name):
    with pytest.raises(UsageError, match="its name is hf://OWNER/NAME"):
        fetch(name)
    assert server.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model=hf://us/a", "--network=n"], "hf://us/a brings its own network; leave out n"),
        (["--decoder=hf://us/a"], "hf://us/a is a repository: give it as --model hf://us/a"),
        (["--model=hub"], "model must be fast, vgg19 or hf://OWNER/NAME, not hub"),
    ],
)
def test_the_command_takes_repositories_in_one_way(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["stylize", "-c=a.png", "-s=b.png", "-o=c.png", *options])
    assert capsys.readouterr().err == f"error: {message}\n"
