"""The web page: its parts one by one, and all of it in a real browser."""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import CHROMIUM
from PIL import Image

from adain_jax import Stylizer, mix
from adain_jax.images import PictureError, read_mask, read_picture
from adain_jax.style import Style

pytest.importorskip("streamlit", reason="the web page needs the extra `app`")

from streamlit.testing.v1 import AppTest

from adain_jax.app import page as page_module
from adain_jax.app.address import Address, parse_address
from adain_jax.app.caches import ResultCache
from adain_jax.app.compilation import watch_compilation
from adain_jax.app.gallery import MAX_OWN, Gallery, examples
from adain_jax.app.limiter import BusyError, Limiter
from adain_jax.app.regions import (
    MAX_POINTS,
    BrushedRegions,
    MaskedRegions,
    Stroke,
    parse_strokes,
)
from adain_jax.app.renderer import Renderer, SharedState, load_stylizer
from adain_jax.app.request import SIZES, RenderRequest, RenderResult
from adain_jax.app.uploads import MAX_BYTES, MAX_SIDE, Upload, decode_upload

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parent.parent
STYLES = ROOT / "examples/style"
HANGING = 240  # seconds after which something hangs: other tests run beside these, so no less


def png(width: int, height: int, seed: int = 0) -> bytes:
    """A picture with something in it."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 5, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(data, "PNG")
    return data.getvalue()


def upload(seed: int = 0) -> Upload:
    return decode_upload(f"{seed}.png", png(20, 16, seed))


# Uploads and the gallery


def test_files_that_are_no_pictures_are_refused_by_name() -> None:
    for name, data, problem in (
        ("text.jpg", b"not a picture", "not a picture"),
        ("empty.png", b"", "the file is empty"),
        ("half.png", png(300, 300)[:-2000], "damaged"),
        ("../../etc/passwd", b"root:x:0:0", "passwd: not a picture"),
        ("large.png", bytes(MAX_BYTES + 1), "larger than 20 MB"),
    ):
        with pytest.raises(PictureError, match=problem) as error:
            decode_upload(name, data)
        assert str(error.value).startswith(name)


def test_pixels_are_counted_before_they_are_decoded() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    side = (30_000).to_bytes(4, "big")
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    bomb += chunk(b"IDAT", zlib.compress(bytes(90_000))) + chunk(b"IEND", b"")
    with pytest.raises(PictureError, match="30000 x 30000 pixels, 900 megapixels") as error:
        decode_upload("bomb.png", bomb)
    assert "--" not in str(error.value)  # no advice for the command line


def test_long_pictures_are_shrunk() -> None:
    picture = decode_upload("long.png", png(3000, 300)).read(1024)
    assert max(picture.shape) == MAX_SIDE


def test_a_photograph_of_a_telephone_is_kept_small() -> None:
    one = decode_upload("phone.png", png(2400, 1600))
    assert one.megapixels == pytest.approx(3.84)
    with Image.open(io.BytesIO(one.data)) as kept:
        assert kept.size == (MAX_SIDE, 1024)
    as_brought = np.asarray(Image.open(io.BytesIO(png(2400, 1600))).resize((768, 512)), np.float32)
    assert np.abs(255 * one.read(512) - as_brought).mean() < 1
    mask = decode_upload("mask.png", png(2400, 1600), mask=True)
    assert Image.open(io.BytesIO(mask.data)).format == "PNG"  # without loss


def test_a_gallery_keeps_the_last_few_and_always_has_one_picked() -> None:
    gallery = Gallery.of("style", "waves")
    assert [one.stem for one in gallery.picked()] == ["waves"]
    own = [upload(seed) for seed in range(MAX_OWN + 2)]
    for one in own:
        gallery.add(one)
    assert gallery.own == own[:1:-1]
    assert gallery.picked() == gallery.picked(together=True) == own[-1:]
    gallery.pick("nothing")
    assert gallery.picked() == own[-1:]

    mosaic, waves, *others = (
        next(one for one in gallery.examples if one.stem == name)
        for name in ("mosaic", "waves", "points", "swirls")
    )
    for one in (mosaic, waves, mosaic, mosaic):
        gallery.pick(one.digest, together=True)
    assert gallery.picked(together=True) == [own[-1], waves, mosaic]
    gallery.pick(others[0].digest)  # by itself: those together are kept
    assert gallery.picked() == others[:1]
    assert gallery.picked(together=True) == [own[-1], waves, mosaic]
    gallery.pick(others[0].digest, together=True)
    four = gallery.picked(together=True)
    gallery.pick(others[1].digest, together=True)
    assert gallery.problems == ["At most 4 styles at once: leave one out by clicking it."]
    gallery.add(own[0], together=True)
    assert len(gallery.problems) == 2
    assert gallery.picked(together=True) == four
    for one in own[: MAX_OWN + 1]:
        gallery.add(one)  # the first of the four is among the oldest and goes
    assert gallery.picked(together=True) == four[1:]


# The address


def test_an_address_is_read_as_it_was_written() -> None:
    address = Address(
        "coffee",
        ("stained glass", "waves"),
        "mix",
        (50, 0),
        0,
        "coral",
        256,
        "fast",
        ((2, 0.14, [0.7, 1]),),
    )
    query: dict[str, list[str]] = {}
    for key, value in address.pairs():
        query.setdefault(key, []).append(value)
    assert query["region"] == ["2-140-700-1000"]
    assert parse_address(query) == (address, [])
    assert (Address().pairs(), parse_address({})) == ([], (Address(), []))
    long = replace(address, strokes=((2, 0.1, [0.123] * 2000),))
    assert "region" not in dict(long.pairs())


def test_an_address_is_not_trusted() -> None:
    hostile = {
        "photo": ["../../etc/passwd"],
        "style": ["waves", "waves", "<b>", "mosaic", "points", "swirls", "charcoal"],
        "mode": ["__class__"],
        "share": ["1e999", "50"],
        "strength": ["nan"],
        "color": [""],
        "size": ["99999999999999999999"],
        "model": ["vgg19.safetensors"],
        "region": ["1", "2-1-1", "9" * 3000, "2-100-" + "1-1-" * 2000, "2-100-٣-1", "9-9999-1-1"],
    }
    address, unused = parse_address(hostile)
    styles = ("waves", "mosaic", "points", "swirls")
    assert address == Address(styles=styles, strokes=address.strokes)
    assert [parse_strokes(list(address.strokes), 4).strokes] == [(Stroke(4, 1, ((0.001, 0.001),)),)]
    assert [one.split("=")[0] for one in unused].count("region") == 5
    assert "strength=nan" in unused
    assert {one.split("=")[0] for one in unused} == set(hostile)
    assert max(map(len, unused)) < 50


# The time of a painting


def test_compilation_is_told_apart() -> None:
    import jax

    inner = jax.jit(lambda x: x * 2)
    function = jax.jit(lambda x: inner(x).sum() + inner(x + 1).max())
    said: list[None] = []
    for compiles in (True, False):
        start = time.perf_counter()
        with watch_compilation(lambda: said.append(None)) as seconds:
            function(np.ones((7, 5), np.float32)).block_until_ready()
        took = time.perf_counter() - start
        assert 0 <= seconds() <= took
        assert (seconds() > took / 2) == compiles
        assert bool(said) == compiles
        said.clear()


# Requests


def test_results_kept_are_bounded_by_bytes() -> None:
    results = ResultCache(limit=3000)
    requests = [RenderRequest(upload(seed), (upload(),)) for seed in range(4)]
    for one in requests:
        results.put(one, RenderResult(np.zeros((16, 20, 3), np.uint8), 0.1))
    kept = [results.get(one) is not None for one in requests]
    assert kept == [False, True, True, True]


def test_all_sizes_are_computed_in_eight_padded_shapes() -> None:
    buckets = load_stylizer("fast")._content_buckets
    rng = np.random.default_rng(0)
    padded = set()
    for size in SIZES:
        for shape in ((size, int(rng.integers(size, MAX_SIDE + 1))) for _ in range(50)):
            padded |= {buckets.bucket_for(shape), buckets.bucket_for(shape[::-1])}
    assert len(padded) <= 8
    assert max(height * width for height, width in padded) == 1024 * MAX_SIDE


def test_brush_strokes_become_masks_of_any_size() -> None:
    stroke = Stroke(2, 0.2, ((0.25, 0.5), (0.75, 0.5)))
    first, second = BrushedRegions((stroke,)).masks((80, 160), 2)
    y, x = np.mgrid[:80, :160]
    distance = np.hypot(x - np.clip(x, 40, 120), y - 40)
    assert (second[distance < 15] == 1).all()
    assert (second[distance > 17] == 0).all()
    assert (first + second == 1).all()
    plain, _ = BrushedRegions((stroke, Stroke(0, 2, ((0.5, 0.5),)))).masks((80, 160), 2)
    assert not plain.any()


def test_masks_that_are_missing_share_the_rest() -> None:
    data = io.BytesIO()
    Image.fromarray(np.array([[255, 0]], np.uint8)).save(data, "PNG")
    mask = decode_upload("mask.png", data.getvalue())
    given, *rest = MaskedRegions((mask, None, None)).masks((8, 16), 3)
    assert (given[:, :4] == 1).all()
    assert (given[:, -4:] == 0).all()
    for other in rest:
        np.testing.assert_allclose(other, (1 - given) / 2)


def test_strokes_from_the_browser_are_not_trusted() -> None:
    good = [2, 0.1, [0.5, 0.5, 2, -1]]
    bad = [None, [], [1, 2], ["a", 0.1, [0, 0]], [1, 0.1, [0, 0, 0]], [1, 0.1, []], {"a": 1}]
    bad += [[1, 0.1, [float("nan"), 0]], [float("inf"), 0.1, [0, 0]], "strokes", [1, 0.1, "ab"]]
    assert parse_strokes([*bad, good], 3) == BrushedRegions((Stroke(2, 0.1, ((0.5, 0.5), (1, 0))),))
    (wild,) = parse_strokes([[99, 99, [0, 0]]], 3).strokes
    assert (wild.style, wild.width) == (3, 1)
    many = [[1, 0.1, [0.5, 0.5] * 1000]] * 1000
    assert sum(len(one.points) for one in parse_strokes(many, 2).strokes) <= MAX_POINTS


# The queue


def test_slots_come_in_order_and_too_many_are_sent_away() -> None:
    limiter = Limiter(slots=1, waiting=3)
    served: list[int] = []
    said: dict[int, list[int]] = {}
    threads = []

    def wait(number: int) -> None:
        with limiter.slot(said.setdefault(number, []).append):
            served.append(number)

    with limiter.slot(lambda ahead: None):
        for number in range(3):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            while not said.get(number):  # until it stands in line
                threads[-1].join(0.001)
        with pytest.raises(BusyError), limiter.slot(lambda ahead: None):
            pass
        assert served == []
    for thread in threads:
        thread.join(10)
    assert served == [0, 1, 2]
    assert [said[number][0] for number in range(3)] == [1, 2, 3]
    assert all(ahead[-1] == 0 for ahead in said.values())


def test_who_leaves_the_line_gives_up_the_place() -> None:
    limiter = Limiter(slots=1, waiting=1)

    def leave(ahead: int) -> None:
        raise KeyboardInterrupt

    with limiter.slot(lambda ahead: None):
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt), limiter.slot(leave):
                pass
    with limiter.slot(lambda ahead: None):
        pass


# The page, without a browser


def test_starlette_has_no_setting_for_uploads_in_memory() -> None:
    from inspect import signature

    from starlette.formparsers import MultiPartParser
    from starlette.requests import Request

    for function in (Request.form, MultiPartParser.__init__):
        assert not [name for name in signature(function).parameters if "spool" in name]


def test_when_too_many_wait_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Limiter(slots=1, waiting=0)
    monkeypatch.setattr(page_module, "shared_state", lambda: SharedState(limiter))
    with limiter.slot(lambda ahead: None):
        page = AppTest.from_file(ROOT / "app.py").run()
        assert "try again" in page.warning[0].value
        assert not page.exception
        assert page.button[0].click().run().warning


def test_networks_are_offered_where_their_weights_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADAIN_JAX_DATA", str(tmp_path))
    limiter = Limiter(slots=1, waiting=0)
    monkeypatch.setattr(page_module, "shared_state", lambda: SharedState(limiter))

    def lists() -> list[str]:
        return [one.label for one in AppTest.from_file(ROOT / "app.py").run().selectbox]

    with limiter.slot(lambda ahead: None):  # nothing is painted
        assert lists() == ["Colors", "Size"]
        (tmp_path / "vgg19-encoder.safetensors").touch()  # the only weights that do not ship
        assert lists() == ["Colors", "Size", "Network"]


# The page, in Chromium

in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the page, with nothing but the fast network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "STREAMLIT_SERVER_HEADLESS": "true",
        "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
        "ADAIN_JAX_DATA": str(folder),
        "TMPDIR": str(folder),
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "adain_jax", "app", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(10 * HANGING):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        with Client(address) as first:
            assert first.run()
        assert any("just started" in said for said in first.said)
        yield address
        assert process.poll() is None, (folder / "log").read_text()
        assert "Traceback" not in (folder / "log").read_text()
        assert [path.name for path in folder.iterdir()] == ["log"]  # nothing else was written
    finally:
        process.terminate()
        process.wait(10)


class Visit:
    """One person with the page open."""

    def __init__(self, page: "Page", address: str):
        self.page = page
        page.set_default_timeout(1000 * HANGING)
        page.goto(address)
        self.painting = page.get_by_role("img", name="Painting")
        self.painting.wait_for()

    def change(self, act: Callable[[], object]) -> str:
        """Does something that changes the painting, and gives the new one's address."""
        self.settle()
        before = self.source()
        act()
        return self.changed(before)

    def settle(self) -> None:
        """Waits until the page is no longer being drawn anew: what a click hits may go away."""
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()

    def source(self) -> str:
        """The painting's address, the same for the same pixels."""
        return self.painting.get_attribute("src") or ""

    def changed(self, before: str) -> str:
        """Waits for another painting."""
        from playwright.sync_api import expect

        expect(self.painting).not_to_have_attribute("src", before, timeout=1000 * HANGING)
        return self.source()

    def choose(self, name: str, option: str) -> None:
        """Chooses from a list that folds out."""
        box = self.page.get_by_role("combobox", name=name)
        box.fill(option)
        box.press("Enter")

    def small(self) -> None:
        """Asks for a small result."""
        self.change(lambda: self.choose("Size", "Small"))

    def combine(self, way: str) -> None:
        """Asks for one style, a mix, or styles by region."""
        self.page.get_by_role("radio", name=way).click()

    def pick(self, name: str) -> None:
        """Clicks a thumbnail."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def at(self, query: str) -> None:
        """Waits until the page's address ends so, or with more."""
        self.page.wait_for_url(lambda url: query in url)

    def move(self, slider: str) -> None:
        """Moves a slider one step to the left."""
        self.page.get_by_role("slider", name=slider).press("ArrowLeft")

    def bring(self, data: bytes, name: str = "mine.png", place: int = 0) -> None:
        """Uploads a file in the page's first, second, ... place for files."""
        files = [{"name": name, "mimeType": "image/png", "buffer": data}]
        self.page.locator("input[type=file]").nth(place).set_input_files(files)

    def gallery(self, name: str) -> list[str]:
        """The names of pictures to pick from."""
        buttons = self.page.get_by_role("group", name=name).get_by_role("button")
        return [one.get_attribute("title") or "" for one in buttons.all()]

    def download(self, kind: str = "PNG") -> np.ndarray:
        """The pixels of the file that one gets."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=f"Download {kind}").click()
        with Image.open(download.value.path()) as image:
            assert image.format == kind
            return np.asarray(image)


def box(what: "Locator") -> dict[str, float]:
    """Where something is in the window: x, y, width and height."""
    found = what.bounding_box()
    assert found
    return dict(found)


def center(what: "Locator") -> tuple[float, float]:
    at = box(what)
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


@pytest.fixture
def visit(server: str, browser: "Browser") -> Iterator[Callable[..., Visit]]:
    """Opens the page, for somebody of their own each time."""
    contexts = []

    def visit(width: int = 1280, height: int = 900, query: str = "", **options: Any) -> Visit:
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, **options))
        return Visit(contexts[-1].new_page(), server + query)

    yield visit
    for context in contexts:
        for page in context.pages:
            print(page.inner_text("body"))  # is seen where a test fails
        context.close()


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    """The same network, in the same frames, without the page."""
    return load_stylizer("fast")


def style(stylizer: Stylizer, name: str) -> Style:
    return stylizer.encode_style(read_picture(STYLES / f"{name}.jpg", size=512))


def rounded(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def test_results_are_kept_for_whom_they_are_and_forgotten() -> None:
    # Not the fixture: what a stylizer has computed decides its padded shapes, thus the last bit of what
    # it computes later, and the fixture's is compared with the page's.
    stylizer = load_stylizer("fast")
    painted: list[str] = []

    def load(model: str) -> Stylizer:  # is asked for whatever is computed
        painted.append(model)
        return stylizer

    shared = SharedState()
    first, second = Renderer(load, shared), Renderer(load, shared)
    own = RenderRequest(upload(), (upload(1),), size=256)

    def render(renderer: Renderer, computed: bool, request: RenderRequest = own) -> np.ndarray:
        painted.clear()
        result = renderer.render(request, lambda ahead: None, lambda: None)
        assert bool(painted) == computed
        return result.pixels

    pixels = render(first, True)
    assert render(first, False) is pixels
    np.testing.assert_array_equal(render(second, True), pixels)
    example = replace(own, content=examples("content")[1], styles=(examples("style")[0],))
    render(first, True, example)
    render(second, False, example)
    shared.forget()
    render(first, True)
    render(second, True, example)


class TestPage:
    pytestmark = in_browser

    def test_upload_slider_mix_and_download(
        self, visit: Callable[..., Visit], stylizer: Stylizer, tmp_path: Path
    ) -> None:
        data = png(150, 100, 1)
        (tmp_path / "mine.png").write_bytes(data)
        content = read_picture(tmp_path / "mine.png", size=256)
        marbling, waves = style(stylizer, "marbling"), style(stylizer, "waves")
        one = visit()
        link = one.page.get_by_role("link", name="adaptive instance normalization")
        assert link.get_attribute("href") == "https://arxiv.org/abs/1703.06868"
        assert one.gallery("photographs") == ["astronaut", "cat", "coffee", "rocket"]
        assert len(one.gallery("styles")) == len(list(STYLES.glob("*.jpg")))
        one.small()
        one.change(lambda: one.bring(data))
        assert one.gallery("photographs")[0] == "mine"
        np.testing.assert_array_equal(one.download(), rounded(stylizer(content, marbling)))

        one.change(lambda: one.move("Strength"))
        expected = rounded(stylizer(content, marbling, 0.95))
        np.testing.assert_array_equal(one.download(), expected)
        jpeg = one.download("JPEG").astype(int)
        assert jpeg.shape == expected.shape
        assert np.abs(jpeg - expected).mean() < 4

        one.combine("A mix")
        one.change(lambda: one.pick("waves"))
        one.change(lambda: one.move("How much of waves"))
        mixed = mix([marbling, waves], [50, 49])
        np.testing.assert_array_equal(one.download(), rounded(stylizer(content, mixed, 0.95)))

        one.change(lambda: one.choose("Colors", "exactly"))
        chroma = one.download().astype(np.float32)
        blue = [
            picture[..., 2] - picture @ [0.299, 0.587, 0.114] for picture in (chroma, 255 * content)
        ]
        inside = ((chroma > 0) & (chroma < 255)).all(-1)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(blue[0][inside], blue[1][inside], atol=2)

        one.page.get_by_text("All strengths").click()
        strip = one.page.get_by_role("group", name="strengths").get_by_role("button")
        strip.nth(4).wait_for()
        assert one.gallery("strengths") == ["0 %", "25 %", "50 %", "75 %", "100 %"]
        one.change(strip.nth(2).click)
        one.settle()
        assert strip.nth(2).get_attribute("aria-pressed") == "true"
        assert one.page.get_by_role("slider", name="Strength").input_value() == "50"
        one.at("style=marbling&style=waves&mode=mix&share=50&share=49&strength=50&color=luminance")
        assert "photo" not in one.page.url  # the user's own is nobody else's business

    def test_regions_by_brush_and_by_mask(
        self, visit: Callable[..., Visit], stylizer: Stylizer, tmp_path: Path
    ) -> None:
        one = visit()
        one.small()
        one.combine("By region")
        one.pick("waves")  # without a stroke the first style stays everywhere
        canvas = one.page.locator("canvas")
        canvas.wait_for()
        one.settle()
        bare = one.source()
        mouse = one.page.mouse

        def stroke() -> None:
            canvas.scroll_into_view_if_needed()
            at = box(canvas)
            mouse.move(at["x"] + 0.7 * at["width"], at["y"] + 0.1 * at["height"])
            mouse.down()
            mouse.move(at["x"] + 0.8 * at["width"], at["y"] + 0.9 * at["height"], steps=5)
            mouse.up()

        brushed = one.change(stroke)
        one.change(lambda: one.combine("A mix"))
        one.change(lambda: one.combine("One"))
        assert one.change(lambda: one.combine("By region")) == brushed
        again = visit(query=one.page.url[one.page.url.index("/?") :])
        assert again.source() == brushed
        one.settle()
        assert one.change(one.page.get_by_role("button", name="Undo").click) == bare
        assert one.change(stroke) == brushed
        assert one.change(one.page.get_by_role("button", name="Clear").click) == bare

        mask = np.zeros((30, 45), np.uint8)
        mask[:, 20:] = 255
        mask[10:, :20] = 100
        Image.fromarray(mask).save(tmp_path / "mask.png")
        one.change(one.page.get_by_role("radio", name="Upload masks").click)
        one.change(lambda: one.bring((tmp_path / "mask.png").read_bytes(), "mask.png", place=3))
        content = read_picture(ROOT / "examples/content/cat.jpg", size=256)
        second = read_mask(tmp_path / "mask.png", content.shape[:2], size=min(content.shape[:2]))
        styles = Style.stack([style(stylizer, "marbling"), style(stylizer, "waves")])
        expected = rounded(stylizer(content, styles, masks=[1 - second, second]))
        np.testing.assert_array_equal(one.download(), expected)
        masked = one.source()
        one.change(lambda: one.combine("One"))
        assert one.change(lambda: one.combine("By region")) == masked

        one.bring(png(300, 300)[:-500], "torn.png", place=2)
        one.page.get_by_text("torn.png: damaged picture").wait_for()
        for name in ("swirls", "points", "woodcut"):
            one.settle()
            one.pick(name)
        one.page.get_by_text("At most 4 styles at once").wait_for()
        assert one.page.get_by_text("damaged picture").count() == 0
        pressed = one.page.get_by_role("group", name="styles").locator("[aria-pressed=true]")
        assert [each.get_attribute("title") for each in pressed.all()] == [
            "marbling",
            "points",
            "swirls",
            "waves",
        ]

    def test_a_broken_upload_is_reported_and_the_page_goes_on(
        self, visit: Callable[..., Visit]
    ) -> None:
        one = visit()
        one.bring(png(300, 300)[:-500], "torn_*photo*.png")
        one.page.get_by_text("torn_*photo*.png: damaged picture").wait_for()
        assert one.gallery("photographs") == ["astronaut", "cat", "coffee", "rocket"]
        one.change(lambda: one.pick("coffee"))
        one.page.get_by_text("damaged picture").wait_for(state="detached")
        one.bring(png(300, 300)[:-500], "torn.png")
        one.page.get_by_text("torn.png: damaged picture").wait_for()
        one.change(lambda: one.bring(png(64, 48), place=1))  # a style
        assert one.page.get_by_text("damaged picture").count() == 0

    def test_the_address_outlasts_a_reload_and_is_not_trusted(
        self, visit: Callable[..., Visit]
    ) -> None:
        one = visit(query="/?style=waves&style=nosuch&strength=nan&size=256&share=1e9&utm=mail")
        text = "Not used from the address: style=nosuch, strength=nan, share=1e9"
        one.page.get_by_text(text).wait_for()
        one.at("/?utm=mail&style=waves&size=256")
        shown = one.change(lambda: one.move("Strength"))
        one.at("utm=mail&style=waves&strength=95&size=256")
        one.page.reload()
        one.painting.wait_for()
        assert one.source() == shown
        assert one.page.get_by_text("Not used").count() == 0
        assert one.page.evaluate("history.length") <= 2  # "back" leaves the page

    def test_two_people_do_not_see_each_other(self, visit: Callable[..., Visit]) -> None:
        first, second = visit(), visit()
        shared = second.source()
        first.change(lambda: first.bring(png(64, 48, 2)))
        first.combine("A mix")
        second.change(lambda: second.pick("waves"))
        assert first.gallery("photographs")[0] == "mine"
        assert "mine" not in second.gallery("photographs")
        assert second.change(lambda: second.pick("marbling")) == shared
        assert first.page.get_by_role("radio", name="A mix").is_checked()

    def test_a_pick_counts_by_what_is_chosen_though_the_page_is_not_drawn_yet(
        self, visit: Callable[..., Visit]
    ) -> None:
        one = visit()
        one.settle()
        clicked = [("radio", "By region"), ("button", "waves")]
        one.page.evaluate(
            "clicked => clicked.forEach(one => one.click())",
            [
                one.page.get_by_role(role, name=name, exact=True).element_handle()
                for role, name in clicked
            ],
        )
        one.page.locator("canvas").wait_for()

    def test_the_painting_is_the_center_on_a_desktop(self, visit: Callable[..., Visit]) -> None:
        one = visit(1440, 900, "/?photo=cat", color_scheme="dark")
        assert box(one.painting)["width"] > 0.6 * 1440
        color = one.page.locator("[data-testid=stApp]").evaluate(
            "e => getComputedStyle(e).backgroundColor"
        )
        assert max(map(int, re.findall(r"\d+", color)[:3])) < 60

        before = one.page.get_by_role("img", name="Photograph")
        slider = one.page.get_by_role("slider", name="Photograph before painting")
        width = box(one.painting)["width"]

        def shown() -> float:
            """The share of the photograph that is not clipped off on its right."""
            cut = before.evaluate("e => e.style.clipPath").split()[1]
            return 1 - float(cut.removesuffix("px")) / width

        assert shown() == pytest.approx(0, abs=1e-3)
        x, y = center(slider)
        one.page.mouse.move(box(one.painting)["x"] + 20, y)
        one.page.mouse.down()
        one.page.mouse.move(x, y, steps=5)
        one.page.mouse.up()
        assert shown() == pytest.approx(0.5, abs=0.03)
        one.page.get_by_role("button", name="100 %").click()
        assert [box(one.painting)[side] for side in ("width", "height")] == [770, 512]
        one.page.get_by_role("button", name="100 %").click()
        assert box(one.painting)["width"] == width

        one.change(lambda: one.pick("astronaut"))  # a portrait: all is in view without scrolling
        one.settle()
        for what in (
            one.painting,
            one.page.get_by_role("slider", name="Strength"),
            one.page.get_by_role("button", name="Download PNG"),
            one.page.get_by_role("button", name="woodcut"),
            one.page.get_by_role("combobox", name="Size"),
        ):
            assert 0 <= box(what)["y"] <= box(what)["y"] + box(what)["height"] <= 900

    def test_on_a_phone(self, visit: Callable[..., Visit]) -> None:
        one = visit(390, 844)

        def sideways() -> int:
            return one.page.evaluate(
                "Math.max(document.scrollingElement.scrollWidth,"
                "document.querySelector('[data-testid=stMain]').scrollWidth) - innerWidth"
            )

        assert sideways() <= 0
        one.combine("By region")
        one.pick("waves")
        canvas = box(one.page.locator("canvas"))
        assert canvas["x"] + canvas["width"] <= 390
        assert sideways() <= 0
        for last in ("Download PNG", "astronaut"):  # at the end of the page, and at its top
            one.page.get_by_role("button", name=last, exact=True).scroll_into_view_if_needed()
            assert 0 <= box(one.painting)["y"] < 30
            assert box(one.painting)["height"] > 200

    def test_the_camera(self, visit: Callable[..., Visit]) -> None:
        one = visit()
        one.page.get_by_text("Use the camera").click()
        one.page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
        one.change(one.page.get_by_role("button", name="Take Photo").click)
        assert len(one.gallery("photographs")) == 5


class Client:
    """What a browser says to the server and hears from it, without the browser."""

    def __init__(self, server: str):
        from websockets.sync.client import connect

        self.widgets: dict[str, str] = {}
        self.said: list[str] = []
        stream = f"{server.replace('http', 'ws')}/_stcore/stream"
        self.connecting = connect(
            stream, max_size=None, open_timeout=HANGING, subprotocols=["streamlit"]
        )

    def __enter__(self) -> "Client":
        self.connection = self.connecting.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.connecting.__exit__(*error)

    def run(self, strength: int = 100, size: str = "Medium, 512 px") -> bytes:
        """One run of the page with these settings; gives the painting."""
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        message = BackMsg()
        message.rerun_script.SetInParent()
        if self.widgets:
            states = message.rerun_script.widget_states.widgets
            states.add(id=self.widgets["Strength"]).double_array_value.data.append(strength)
            states.add(id=self.widgets["Size"]).string_value = size
        self.connection.send(message.SerializeToString())
        painting, heard = b"", ForwardMsg()
        while heard.WhichOneof("type") != "script_finished":
            heard = ForwardMsg.FromString(self.connection.recv(timeout=HANGING))
            self.said.append(heard.delta.add_block.expandable.label)
            element = heard.delta.new_element
            kind = element.WhichOneof("type")
            if kind in ("slider", "selectbox"):
                widget = getattr(element, kind)
                self.widgets[widget.label] = widget.id
            elif kind == "bidi_component" and "viewer" in element.bidi_component.component_name:
                url = json.loads(element.bidi_component.json)["after"]
                painting = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
        return painting


@pytest.mark.slow
def test_twenty_people_at_once_are_all_served(server: str) -> None:
    def visit(number: int) -> bytes:
        with Client(server) as client:
            together.wait(HANGING)
            client.run()
            return client.run(5 * number, "Small, 256 px")

    together = threading.Barrier(20)
    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(visit, range(20)))
    assert len(set(seen)) == 20
    pictures = [np.asarray(Image.open(io.BytesIO(data)), np.float32) for data in seen]
    distances = [np.abs(picture - pictures[0]).mean() for picture in pictures]
    assert {picture.shape for picture in pictures} == {(256, 385, 3)}
    assert distances == sorted(distances)  # each got the strength asked for
