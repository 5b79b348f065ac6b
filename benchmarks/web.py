"""Weighs and times the page that needs no server, in Chromium, beside `Stylizer`.

    python -m benchmarks.web [--side 512] [--cores 2] [--repeats 5]

Prints what the page weighs, how long its first painting takes (of an example, the network loaded
from this machine), and the seconds for a photograph of side x side pixels in a known style, and
then for another strength, which needs the second half of the network only. Page and `Stylizer` take
turns, so that each meets the machine at its fast and slow moments alike; times are medians, "ratio"
is to `Stylizer`'s. All is bound to as many cores as are given; the page says how many threads it has.
"""

import argparse
import gzip
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.inference import timed

if TYPE_CHECKING:
    from playwright.sync_api import Page

WEB = Path(__file__).parent.parent / "web"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
ENVIRONMENT = {**os.environ, "PATH": PATH}
PORT = 8598
MINUTE = 60_000  # in milliseconds
KINDS = {
    "network": r"\.onnx$",
    "runtime for WebAssembly": r"simd-threaded-\w+\.(wasm|mjs)$|ort\.wasm",
    "runtime for WebGPU, instead": "jspi",
    "example pictures": r"\.jpg$",
    "the page itself": "",
}


def print_weights() -> None:
    """The sizes of the built files by what they are for, as they are and as hosts compress them."""
    left = [path for path in (WEB / "dist").rglob("*") if path.is_file()]
    print(f"{'MB':36}{'plain':>8}{'gzip':>8}")
    for kind, pattern in KINDS.items():
        files = [path for path in left if re.search(pattern, path.name)]
        left = [path for path in left if path not in files]
        data = [path.read_bytes() for path in files]
        sizes = sum(map(len, data)), sum(len(gzip.compress(one)) for one in data)
        print(f"{kind:36}{sizes[0] / 1e6:8.2f}{sizes[1] / 1e6:8.2f}")


@contextmanager
def opened() -> Iterator["Page"]:
    """The page as `make web` serves it, in a browser that has never seen it."""
    from playwright.sync_api import sync_playwright

    command = ["node", "node_modules/vite/bin/vite.js", "preview", "--strictPort"]
    with (
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(PORT)],
            cwd=WEB,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # the package's `node` only starts the real one
        ) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout
        next(line for line in server.stdout if "Local:" in line)  # it is up
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(5 * MINUTE)
            yield page
        finally:
            browser.close()
            os.killpg(server.pid, signal.SIGTERM)


def painted(page: "Page") -> float:
    """The seconds that the page says it took, once all is painted."""
    page.locator("#result[aria-busy=false]").wait_for()
    found = re.search(r"painted in ([\d.]+) s", page.get_by_role("status").inner_text())
    assert found
    return float(found[1])


def turns(page: "Page", side: int, repeats: int) -> Iterator[list[float]]:
    """Seconds of the page and of `Stylizer`, with a new photograph and with another strength."""
    from adain_jax import Stylizer

    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(2)]
    stylizer = Stylizer.load(tile="off")
    style = stylizer.encode_style(photos[0].astype(np.float32) / 255)
    for number, photo in enumerate(photos):
        data = io.BytesIO()
        Image.fromarray(photo).save(data, "PNG")
        page.get_by_label("Your own photograph").set_input_files(
            {"name": f"{number}.png", "mimeType": "image/png", "buffer": data.getvalue()}
        )
        page.get_by_role("button", name=str(number), exact=True).wait_for()
    for turn in range(2 * (repeats // 2 + 1)):
        content = photos[turn % 2].astype(np.float32) / 255
        page.get_by_role("button", name=str(turn % 2), exact=True).click()
        whole = painted(page)
        page.get_by_role("slider", name="Strength").fill(str(50 + 5 * (turn % 2)))
        again = painted(page)
        encoded = stylizer.encode_content(content)
        yield [
            whole,
            timed(lambda content=content: stylizer(content, style))[0],  # type: ignore[misc]
            again,
            timed(lambda encoded=encoded: stylizer(encoded, style))[0],  # type: ignore[misc]
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--side", type=int, default=512, choices=[256, 512, 768, 1024])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    build = ["make", "--directory", str(WEB), f"PYTHON={sys.executable}"]
    subprocess.run(build, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    print_weights()
    with opened() as page:
        started = time.perf_counter()
        page.goto(f"http://127.0.0.1:{PORT}")
        painted(page)
        status = page.get_by_role("status").inner_text()
        print(f"\nfirst painting after {time.perf_counter() - started:.1f} s; {status}")
        page.get_by_label("Size").select_option(str(options.side))
        _, *seconds = turns(page, options.side, options.repeats)
    whole, of_whole, again, of_again = np.median(seconds, axis=0)
    print(f"\n{options.side} x {options.side} pixels{'page':>14}{'Stylizer':>10}{'ratio':>8}")
    for name, page_seconds, own in (
        ("a photograph", whole, of_whole),
        ("another strength", again, of_again),
    ):
        print(f"{name:22}{page_seconds:9.2f}{own:10.3f}{page_seconds / own:8.1f}")


if __name__ == "__main__":
    main()
