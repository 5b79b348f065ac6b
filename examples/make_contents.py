"""Takes the example photographs out of scikit-image's wheel: `python examples/make_contents.py WHEEL`.

Get the wheel with `pip download --no-deps scikit-image`. README.md names their authors and licenses.
"""

import io
import sys
import zipfile
from pathlib import Path

from PIL import Image

PICTURES = {
    "astronaut": ("astronaut.png", (40, 0, 440, 512)),
    "cat": ("chelsea.png", None),
    "coffee": ("coffee.png", None),
    "rocket": ("rocket.jpg", None),
}

if __name__ == "__main__":
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        for name, (file, box) in PICTURES.items():
            with Image.open(io.BytesIO(wheel.read(f"skimage/data/{file}"))) as image:
                image.convert("RGB").crop(box).save(
                    Path(__file__).parent / "content" / f"{name}.jpg", quality=92
                )
