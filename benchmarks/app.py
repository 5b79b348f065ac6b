"""Many people on the web page for a while: what is served, and the memory of its server.

    python -m benchmarks.app [--users 20] [--minutes 20] [--model fast] [--seed 0]

It starts a server of its own and speaks with it as browsers do, but without browsers. Each person
opens the page, does a few random things, among them uploads of photographs of 12 megapixels, of
damaged files and of some that are too large, and leaves; then another one comes. A request is served
if a painting comes, and refused if the page says why not. At the end all leave, and the memory is read
once more when it has settled.
"""

import argparse
import io
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

ROOT = Path(__file__).parent.parent
PROTOCOL = Subprotocol("streamlit")
SIZES = ("Small, 256 px", "Medium, 512 px", "Large, 768 px", "Very large, 1024 px")
SECONDS_TO_SETTLE = (
    150  # the server forgets what it kept one to two minutes after the last painting
)


def photograph(seed: int) -> bytes:
    """A JPEG of 4000 x 3000 pixels with something coarse and something fine in it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    pixels = np.asarray(coarse.resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-12, 13, (500, 500, 1), np.int16)
    pixels = pixels + np.tile(noise, (6, 8, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def flat(width: int, height: int) -> bytes:
    """A small file of many pixels."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


class Page:
    """One open page, as a browser without a screen has it."""

    def __init__(self, connection: Connection, address: str, query: str):
        self.connection, self.address, self.query = connection, address, query
        self.session = ""
        self.widgets: dict[str, str] = {}  # identifiers by label
        self.settings: dict[str, str | float] = {}  # what was changed, by label

    def run(self, file: str | None = None) -> str:
        """One run of the page, with a file that was uploaded: "served", or else what it said."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        states = message.rerun_script.widget_states.widgets
        for label, value in self.settings.items():
            if isinstance(value, str):
                states.add(id=self.widgets[label]).string_value = value
            else:
                states.add(id=self.widgets[label]).double_array_value.data.append(value)
        if file:
            uploads = states.add(id=self.widgets["Your own photograph"]).file_uploader_state_value
            uploads.uploaded_file_info.add(file_id=file, name=file, file_urls={"file_id": file})
        self.connection.send(message.SerializeToString())
        said, painted, heard = "", False, ForwardMsg()
        while heard.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY or not heard.HasField(
            "script_finished"
        ):  # a file makes two runs, of which the first ends early
            heard = ForwardMsg.FromString(self.connection.recv(timeout=900))
            if heard.HasField("new_session"):
                self.session = heard.new_session.initialize.session_id
            element = heard.delta.new_element
            kind = element.WhichOneof("type")
            if kind in ("slider", "selectbox", "file_uploader"):
                widget = getattr(element, kind)
                self.widgets[widget.label] = widget.id
            elif kind == "bidi_component":
                painted |= element.bidi_component.component_name.endswith("viewer")
            elif kind == "alert":
                said = element.alert.body
            elif kind == "exception":
                return f"FAILED: {element.exception.type}"
        if said:
            return "refused: " + said.replace("\\", "").split(": ", 1)[-1]
        return "served" if painted else "FAILED: no painting and no word"

    def upload(self, data: bytes) -> str:
        """Uploads a photograph, and tells what became of it, as `run` does."""
        file, border = str(uuid.uuid4()), uuid.uuid4().hex
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"'
        request = urllib.request.Request(
            f"{self.address}/_stcore/upload_file/{self.session}/{file}",
            f"{head}\r\n\r\n".encode() + data + f"\r\n--{border}--\r\n".encode(),
            {"Content-Type": f"multipart/form-data; boundary={border}"},
            method="PUT",
        )
        try:
            urllib.request.urlopen(request, timeout=600).close()
        except urllib.error.URLError as error:  # cut off, where a browser would not even begin
            return f"refused: {error.reason}"
        return self.run(file)


class Memory(threading.Thread):
    """Reads the memory of a process, in MiB, ten times a second."""

    def __init__(self, process: psutil.Process):
        super().__init__(daemon=True)
        self.process = process
        self.peak = self.now = 0.0

    def run(self) -> None:
        while self.process.is_running():
            self.now = self.process.memory_info().rss / 2**20
            self.peak = max(self.peak, self.now)
            time.sleep(0.1)


def visit(page: Page, files: dict[str, bytes], rng: random.Random) -> Iterator[str]:
    """What one person does: some of it quickly, some with a look at the painting."""
    yield page.run()
    for _ in range(rng.randrange(3, 8)):
        time.sleep(rng.uniform(0, 4))
        if rng.random() < 0.4:
            yield page.upload(files[rng.choice(list(files))])
        else:
            page.settings["Strength"] = 5.0 * rng.randrange(21)
            page.settings["Size"] = rng.choices(SIZES, (3, 5, 2, 2))[0]
            yield page.run()


def make_files(seed: int) -> dict[str, bytes]:
    """What people upload: photographs, and what must be refused."""
    files = {f"{n} of 12 megapixels": photograph(seed + n) for n in range(4)}
    files["damaged"] = files["0 of 12 megapixels"][:200_000]
    files["too many pixels"] = flat(9000, 8000)
    files["too many bytes"] = bytes(24_000_000)
    return files


def people(
    address: str, model: str, files: dict[str, bytes], seed: int, until: float
) -> tuple[Counter[str], list[float]]:
    """One person after another until the time is over: what they were told, and the seconds of it."""
    rng = random.Random(seed)
    names = [path.stem.replace("_", "+") for path in (ROOT / "examples/style").glob("*.jpg")]
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    told: Counter[str] = Counter()
    seconds = []
    while time.monotonic() < until:
        query = f"model={model}&style={rng.choice(names)}"
        start = time.monotonic()
        with connect(stream, max_size=None, open_timeout=600, subprotocols=[PROTOCOL]) as one:
            for answer in visit(Page(one, address, query), files, rng):
                told[answer] += 1
                seconds.append(time.monotonic() - start)
                start = time.monotonic()
    return told, seconds


def serve(folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server, and waits until it is up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "adain_jax", "app", "--port", str(port)]
    settings = {
        "STREAMLIT_SERVER_HEADLESS": "true",
        "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
        "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",  # uploads come without cookies
        "TMPDIR": folder,
    }
    with (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    return server, address


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.app",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.users) as pool:
        server, address = serve(folder)
        try:
            memory = Memory(psutil.Process(server.pid))
            memory.start()
            files = make_files(options.seed)
            until = time.monotonic() + 60 * options.minutes
            work = [
                pool.submit(people, address, options.model, files, options.seed + n, until)
                for n in range(options.users)
            ]
            told: Counter[str] = Counter()
            seconds: list[float] = []
            for one in work:
                told += one.result()[0]
                seconds += one.result()[1]
            left = memory.now
            time.sleep(SECONDS_TO_SETTLE)
            settled = memory.now
        finally:
            server.terminate()
            server.wait()
        log = (Path(folder) / "log").read_text()
    for answer, times in told.most_common():
        print(f"{times:6} {answer}")
    slowest = max(seconds)
    print(f"seconds of an answer: median {statistics.median(seconds):.1f}, slowest {slowest:.1f}")
    print(f"memory, MiB: peak {memory.peak:.0f}, as the last page closed {left:.0f}, ", end="")
    print(f"{SECONDS_TO_SETTLE} s later {settled:.0f}")
    print(f"tracebacks in the log: {log.count('Traceback')}")


if __name__ == "__main__":
    main()
