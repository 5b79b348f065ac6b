"""Each region of a photograph in a style of its own: python examples/masks.py [OUTPUT]."""

import sys
from pathlib import Path

from adain_jax import Stylizer
from adain_jax.images import read_mask, read_pixels, save_picture

HERE = Path(__file__).parent
output = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "results/masks.jpg")

photograph = read_pixels(HERE / "content/rocket.jpg")
masks = [read_mask(HERE / f"masks/{name}.png", photograph.shape[:2]) for name in ("sky", "ground")]
styles = [HERE / f"style/{name}.jpg" for name in ("swirls", "mosaic")]  # one for each mask

output.parent.mkdir(parents=True, exist_ok=True)
save_picture(Stylizer.load()(photograph, styles, masks=masks), output)
print(output)
