"""Four virtual CPU devices for every test; must run before JAX is imported."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)
os.environ["JAX_PLATFORMS"] = "cpu"

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference_weights() -> Path:
    """The folder with the published `vgg_normalised.pth` and `decoder.pth`, where there is one."""
    folder = os.environ.get("ADAIN_JAX_TEST_WEIGHTS")
    if not folder:
        pytest.skip("ADAIN_JAX_TEST_WEIGHTS is not set: it names the folder with published weights")
    return Path(folder)
