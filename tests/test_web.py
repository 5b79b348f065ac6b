"""The page without a server (`web/`), in a real browser: it paints what `Stylizer` paints."""

import io
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import wait_until
from PIL import Image

from adain_jax import Stylizer, mix

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WEB = Path(__file__).parent.parent / "web"
CHROMIUM = shutil.which("chromium")
HANGING = 240  # seconds after which something hangs: other tests run beside these

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="Node is not installed"),
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
    """The built page."""
    subprocess.run(
        ["make", "--directory", WEB, f"PYTHON={sys.executable}"], check=True, timeout=2 * HANGING
    )
    return WEB / "dist"


@pytest.fixture(scope="module")
def server(built: Path) -> Iterator[str]:
    """The address of the page as `make web` serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = ["--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    process = subprocess.Popen(
        ["node", "node_modules/vite/bin/vite.js", "preview", *address], cwd=WEB
    )

    def answers() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, process, HANGING)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *camera]
        )
        yield browser
        browser.close()


class Visit:
    """One person with the page open."""

    def __init__(self, page: "Page", address: str):
        self.page = page
        page.set_default_timeout(1000 * HANGING)
        page.goto(address)

    def bring(self, data: bytes, what: str = "photograph", name: str = "mine.png") -> None:
        """Uploads a file."""
        files = [{"name": name, "mimeType": "image/png", "buffer": data}]
        self.page.get_by_label(f"Your own {what}").set_input_files(files)
        self.page.get_by_role("button", name=name.rpartition(".")[0], exact=True).wait_for()

    def settle(self) -> None:
        """Waits until the painting is the one of what is chosen."""
        self.page.locator("#result[aria-busy=false]").wait_for()

    def pick(self, name: str) -> None:
        """Clicks a thumbnail."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def gallery(self, name: str) -> list[str]:
        """The names of pictures to pick from."""
        buttons = self.page.get_by_role("group", name=name).get_by_role("button")
        return [one.get_attribute("title") or "" for one in buttons.all()]

    def download(self, button: str) -> np.ndarray:
        """The pixels of the file that a button gives."""
        self.settle()
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        with Image.open(download.value.path()) as image:
            return np.asarray(image)


@pytest.fixture
def visit(server: str, browser: "Browser") -> Iterator[Callable[..., Visit]]:
    """Opens the page, for somebody of their own each time."""
    contexts = []

    def visit(width: int = 1280, height: int = 900) -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}))
        return Visit(contexts[-1].new_page(), server)

    yield visit
    for context in contexts:
        for page in context.pages:
            print(page.inner_text("body"))  # is seen where a test fails
        context.close()


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer.load()


def test_paintings_are_those_of_the_stylizer(visit, stylizer):
    one = visit()
    photo, first, second = pixels(301, 256), pixels(512, 512, 1), pixels(512, 520, 2)
    one.page.get_by_label("Size").select_option("256")
    one.bring(encoded(photo))
    one.bring(encoded(first), "style", "first.png")
    painted = one.download("Download 301 x 256")
    expected = stylizer(floats(photo), floats(first))
    np.testing.assert_allclose(floats(painted), expected, atol=2 / 255)
