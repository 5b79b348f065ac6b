"""A folder of photographs in one painting: python examples/folder.py [FOLDER PAINTING OUTPUT].

Pictures are read and stylized as they come, in bounded memory; what cannot be read is passed over.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from adain_jax import Stylizer
from adain_jax.images import PictureError, find_pictures, read_pixels, save_picture
from adain_jax.inference.inputs import Request, make_request

HERE = Path(__file__).parent
folder, painting, output = sys.argv[1:] or (
    HERE / "content",
    HERE / "style/woodcut.jpg",
    HERE / "results",
)

stylizer = Stylizer.load()
style = stylizer.encode_style(painting)


def requests() -> Iterator[Request[Path]]:
    """One for each picture that can be read."""
    for path in find_pictures(folder):
        try:
            yield make_request(path, read_pixels(path), style)
        except PictureError as error:
            print(f"skipped: {error}")


Path(output).mkdir(parents=True, exist_ok=True)
for request, result in stylizer.stream(requests()):
    path = Path(output) / request.key.name
    save_picture(result, path)
    print(path)
