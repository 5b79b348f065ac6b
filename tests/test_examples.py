"""The example pictures are what their scripts draw and what their README lists."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from adain_jax.images import find_pictures, read_picture

EXAMPLES = Path(__file__).parent.parent / "examples"


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
