"""Four virtual CPU devices for every test; must run before JAX is imported.

And next to no optimization by LLVM, which is JAX's own option for tests: most of their time is
compilation. Programs of training run for longer, over millions of parameters: for them, LLVM's first
level. What XLA itself makes of the programs stays; and what is compared with published figures, or
from batch to batch bit for bit, is compiled AS_FOR_USERS.
"""

import os
import shutil
import subprocess
import time

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=4 --xla_backend_optimization_level=1"
)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "True"
os.environ["JAX_PLATFORMS"] = "cpu"

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# Where the paper's arithmetic is, shapes and dtypes of arguments and results are checked. Modules are
# checked only if they are imported after this.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # int is a float
CHECKED = ("style", "losses", "color", "augment", "nn")
install_import_hook([f"adain_jax.{module}" for module in CHECKED], "conftest.typechecker")

from adain_jax import weights  # noqa: E402
from adain_jax.weights import Kind, Layers  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium")


def wait_until(happens: Callable[[], bool], process: subprocess.Popen, seconds: float) -> None:
    """Until something has happened while a process goes on."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert process.poll() is None, "the process has ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Two workers take these files first, so that in the end neither waits for the other's last long one.
LONGEST = (
    "training",
    "dataset",
    "readme",
    "runs",
    "tutorial",
    "app",
    "web",
    "reproduce",
    "stylizer",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {f"test_{name}": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONGEST)))


AS_FOR_USERS = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


def random_layers(kind: Kind, seed: int = 0) -> Layers:
    """He-normal kernels and small biases, so that activations keep their size."""
    rng = np.random.default_rng(seed)

    def parameter(shape: tuple[int, ...]) -> np.ndarray:
        scale = 0.01 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[:3]))
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return weights.nest({key: parameter(shape) for key, shape in weights.shapes(kind).items()})


@pytest.fixture(scope="module")
def programs_of_training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Many runs of one program compile it once, in whatever process, and compile it better."""
    folder = str(tmp_path_factory.mktemp("cache"))
    options = {
        "jax_disable_most_optimizations": False,
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: jax.config.values[name] for name in options}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in options.items():
            environment.setenv(name.upper(), str(value))  # for the processes started here
            jax.config.update(name, value)
        yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium with a camera of its own."""
    from playwright.sync_api import sync_playwright

    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *camera]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def random_params() -> dict[str, Layers]:
    """Random parameters of the whole VGG19 network."""
    return {
        "encoder": random_layers("vgg19-encoder"),
        "decoder": random_layers("vgg19-decoder", 1),
    }


@pytest.fixture(scope="session")
def random_weights(
    random_params: dict[str, Layers], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same as files: {"encoder": path, "decoder": path}."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for part, layers in random_params.items():
        files[part] = folder / f"{part}.safetensors"
        kind: Kind = "vgg19-encoder" if part == "encoder" else "vgg19-decoder"
        weights.write(files[part], layers, kind)
    return files


@pytest.fixture(scope="session")
def reference_weights() -> Path:
    """The folder with the published `vgg_normalised.pth` and `decoder.pth`, where there is one."""
    folder = os.environ.get("ADAIN_JAX_TEST_WEIGHTS")
    if not folder:
        pytest.skip("ADAIN_JAX_TEST_WEIGHTS is not set: it names the folder with published weights")
    return Path(folder)


@pytest.fixture(scope="session")
def reference(reference_weights: Path) -> dict[str, np.ndarray]:
    """What an independent implementation gives with the published weights."""
    path = reference_weights.parent / "parity" / "reference.npz"
    if not path.exists():
        pytest.skip(f"{path} is missing: it holds the outputs of the independent implementation")
    with np.load(path) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def square_reference(reference: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same of the square batch alone, by their names without `square/`."""
    return {k.removeprefix("square/"): v for k, v in reference.items() if k.startswith("square/")}


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Counts the programs that XLA compiles."""
    count: list[str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            count.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield count
    jax.monitoring.unregister_event_duration_listener(listen)
