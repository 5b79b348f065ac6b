"""The library is a good guest: what it shares with its host program stays as it was."""

import importlib.util
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from adain_jax.errors import AdainError
from adain_jax.images import PictureError, read_picture, read_pixels, save_picture
from adain_jax.images.pillow_settings import reading_settings

IMPORT_EVERYTHING = """
import importlib, logging, pkgutil, signal, warnings

# What other libraries change when they are imported is theirs.
THEIRS = (
    "absl.logging av cv2 dm_pix flax.nnx grain jax matplotlib.figure optax orbax.checkpoint PIL.Image "
    "psutil pyvips rich.progress safetensors.numpy starlette.formparsers streamlit tyro"
)
for name in THEIRS.split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # an extra that is not installed

import jax
import PIL.Image


def shared():
    absl = logging.getLogger("absl")
    try:
        from starlette.formparsers import MultiPartParser
    except ImportError:
        MultiPartParser = None
    return {
        "PIL.Image.MAX_IMAGE_PIXELS": PIL.Image.MAX_IMAGE_PIXELS,
        "warnings.filters": list(warnings.filters),
        "absl": (absl.level, list(absl.filters), list(absl.handlers), absl.propagate),
        "the root logger": (logging.root.level, list(logging.root.handlers)),
        "starlette": MultiPartParser and dict(vars(MultiPartParser)),
        "jax.config": dict(jax.config.values),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    }


before = shared()
import adain_jax

extras = ("av", "cv2", "streamlit")
for module in pkgutil.walk_packages(adain_jax.__path__, "adain_jax."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name in extras, error
    after = shared()
    for name, value in before.items():
        assert after[name] == value, f"{module.name} changes {name}: {value} to {after[name]}"
"""


@pytest.mark.slow
def test_importing_every_module_changes_nothing():
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def settings():
    return Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK, list(warnings.filters)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    save_picture(np.zeros((30, 40, 3), np.uint8), path)
    return path


def test_pillow_s_limit_does_not_hold_for_our_reading_alone(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    before = settings()
    assert read_pixels(picture).shape == (30, 40, 3)  # 1200 pixels: an error of Pillow's
    assert settings() == before
    with pytest.raises(Image.DecompressionBombError):
        Image.open(picture)
    with pytest.raises(PictureError, match="more than the limit"):
        read_picture(picture, max_pixels=1000)
    assert settings() == before


def test_many_threads_give_the_settings_back(picture, tmp_path):
    before = settings()
    (tmp_path / "bad.png").write_bytes(picture.read_bytes()[:60])

    def read(number):
        try:
            return read_pixels(tmp_path / ("a.png" if number % 3 else "bad.png"))
        except PictureError:
            return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, range(300)))
    assert sum(result is None for result in results) == 100
    assert settings() == before


def test_what_the_host_sets_meanwhile_stays():
    with warnings.catch_warnings():
        with reading_settings(), reading_settings():
            warnings.filterwarnings("ignore", message="the host's own")
            added = warnings.filters[0]
            with pytest.warns(UserWarning, match="still heard"):  # of other modules than Pillow's
                warnings.warn("still heard", UserWarning, stacklevel=1)
        assert added in warnings.filters
        assert not [one for one in warnings.filters if one[3] == re.compile(r"PIL\.")]


def test_errors_say_what_and_where_and_can_be_sent_to_other_processes():
    import pickle

    from adain_jax.convert import ConversionError

    for error, message in (
        (PictureError("no such file", "a.png"), "a.png: no such file"),
        (AdainError("nothing to do"), "nothing to do"),
        (ConversionError("one\ntwo", "a.pth"), "a.pth: one\na.pth: two"),
    ):
        assert str(error) == message
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.path) == (type(error), message, error.path)


def test_what_an_error_quotes_from_a_file_stays_on_its_line():
    assert str(AdainError("a style of \x1b[2J\nall", "b\n")) == "b\\n: a style of \\x1b[2J\\nall"


def test_every_error_of_ours_derives_from_one(monkeypatch):
    import pkgutil
    from importlib import import_module

    import adain_jax

    for module in pkgutil.walk_packages(adain_jax.__path__, "adain_jax."):
        if "app" in module.name and not importlib.util.find_spec("streamlit"):
            continue
        if "video" in module.name and not importlib.util.find_spec("cv2"):
            continue
        for one in vars(import_module(module.name)).values():
            is_warning = isinstance(one, type) and issubclass(one, Warning)
            if isinstance(one, type) and issubclass(one, Exception) and not is_warning:
                ours = one.__module__.startswith("adain_jax.")
                assert not ours or issubclass(one, AdainError), one
