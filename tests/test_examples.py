"""The examples run as they are written, and the pictures are what their scripts draw."""

import asyncio
import io
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adain_jax import Stylizer
from adain_jax.images import encode_picture, find_pictures, load_image, read_picture, read_pixels

httpx = pytest.importorskip("httpx")  # of the server in examples/, as is uvicorn
uvicorn = pytest.importorskip("uvicorn")
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The examples, with small pictures of one size, so that they share programs."""
    folder = shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("all") / "examples")
    for path in folder.glob("*/*.*g"):
        with Image.open(path) as image:
            image.resize((64, 48)).save(path)
    return folder


@pytest.fixture
def run(small, monkeypatch):
    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(small / script), run_name="__main__")

    return run


def test_the_examples_are_listed():
    listed = re.findall(r"^\| \[`(\w+\.py)`", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    others = {"draw_styles.py", "make_contents.py"}
    assert set(listed) | others == {path.name for path in EXAMPLES.glob("*.py")}


def test_a_picture_in_three_strengths(run, small):
    run("picture.py")
    weak, full, strong = (read_picture(small / f"results/strength-{a}.jpg") for a in (0.4, 1, 1.4))
    content = read_picture(small / "content/cat.jpg")
    assert weak.shape == content.shape
    assert np.abs(weak - full).mean() > 0.02
    assert np.abs(strong - full).mean() > 0.02


def test_a_folder_passes_over_what_it_cannot_read(run, small, tmp_path, capsys):
    folder = shutil.copytree(small / "content", tmp_path / "photographs")
    (folder / "bad.jpg").write_bytes(b"rubbish")
    run("folder.py", folder, small / "style/waves.jpg", tmp_path / "out")
    assert "skipped: " in capsys.readouterr().out
    expected = {path.name for path in find_pictures(small / "content")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected


def test_masks_keep_each_style_to_its_region(run, small, tmp_path):
    run("masks.py", tmp_path / "out.jpg")
    assert (
        read_pixels(tmp_path / "out.jpg").shape == read_pixels(small / "content/rocket.jpg").shape
    )


def test_a_clip_has_all_its_frames(run, tmp_path):
    import av

    run("video.py", tmp_path / "out.mp4", 4)
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert len(list(clip.decode(video=0))) == 4


def test_augmentation_differs_from_step_to_step(run, capsys):
    run("augment.py")
    changes = [line.split("[")[1] for line in capsys.readouterr().out.splitlines()]
    assert len(set(changes)) == 5


def test_the_server_paints_many_requests_in_few_batches(small):
    server = runpy.run_path(str(EXAMPLES / "serve.py"))
    app, rng = server["app"], np.random.default_rng(0)
    contents = [Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)) for _ in range(20)]
    contents = [image.resize((64, 48), Image.Resampling.BICUBIC) for image in contents]
    painting = (small / "style/waves.jpg").read_bytes()

    def png(image):
        return encode_picture(np.asarray(image), "PNG")

    def decoded(data):
        return load_image(io.BytesIO(data), name="answer")

    async def ask_all():
        service = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        serving = asyncio.create_task(service.serve())
        while not service.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        port = service.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:

            def ask(data):
                files = {"content": ("photo.png", data), "style": ("waves.jpg", painting)}
                return client.post("/stylize", params={"alpha": 0.8}, files=files)

            bad = ask(b"rubbish")
            answers = await asyncio.gather(*(ask(png(image)) for image in contents), bad)
        service.should_exit = True
        await serving
        return answers

    *answers, refused = asyncio.run(ask_all())
    assert refused.status_code == 422
    assert refused.json()["detail"] == "photo.png: not a picture that can be read"
    assert sum(app.state.batches) == 20
    assert len(app.state.batches) <= 10
    expected = Stylizer.load()([*contents], decoded(painting), alpha=0.8)
    for answer, result in zip(answers, expected, strict=True):
        painted = decoded(answer.content)
        exact = decoded(encode_picture(result, "JPEG"))
        difference = np.asarray(painted, float) - np.asarray(exact, float)
        assert np.abs(difference).mean() < 0.5  # of 255: rounding differs from batch to batch


@pytest.mark.parametrize("name", ["woodcut", "watercolour", "geometry"])
def test_styles_are_what_the_script_draws(name):
    drawn = runpy.run_path(str(EXAMPLES / "draw_styles.py"))["draw"](name)
    committed = read_picture(EXAMPLES / "style" / f"{name}.jpg")
    difference = np.abs(np.asarray(drawn) / 255 - committed)
    assert difference.mean() < 0.03  # JPEG at quality 90


def test_every_picture_opens_and_is_listed():
    readme = (EXAMPLES / "README.md").read_text()
    pictures = find_pictures(EXAMPLES / "content") + find_pictures(EXAMPLES / "style")
    assert len(pictures) >= 12
    for path in pictures:
        assert f"`{path.name}`" in readme
        assert min(read_picture(path).shape[:2]) >= 300
