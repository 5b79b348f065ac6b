"""A picture in a style, in three strengths: python examples/picture.py [PHOTOGRAPH PAINTING OUTPUT]."""

import sys
from pathlib import Path

from adain_jax import Stylizer
from adain_jax.images import save_picture

HERE = Path(__file__).parent
photograph, painting, output = sys.argv[1:] or (
    HERE / "content/cat.jpg",
    HERE / "style/waves.jpg",
    HERE / "results",
)

stylizer = Stylizer.load()
style = stylizer.encode_style(painting)
content = stylizer.encode_content(photograph)
Path(output).mkdir(parents=True, exist_ok=True)
for alpha in (0.4, 1, 1.4):
    path = Path(output) / f"strength-{alpha}.jpg"
    save_picture(stylizer(content, style, alpha), path)
    print(path)
