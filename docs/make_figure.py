"""Makes the README's picture from the example pictures: `python docs/make_figure.py`."""

from pathlib import Path

from adain_jax import Stylizer
from adain_jax.images import read_picture, save_picture
from adain_jax.images.contact_sheet import contact_sheet

ROOT = Path(__file__).parent.parent
CONTENTS = ["astronaut", "cat", "coffee"]
STYLES = ["swirls", "woodcut", "waves", "marbling", "mosaic"]

if __name__ == "__main__":
    stylizer = Stylizer.load("fast")
    contents = [read_picture(ROOT / f"examples/content/{name}.jpg", size=512) for name in CONTENTS]
    cells = {(row, 0): content for row, content in enumerate(contents, start=1)}
    for column, name in enumerate(STYLES, start=1):
        painting = read_picture(ROOT / f"examples/style/{name}.jpg", size=512)
        cells[0, column] = painting
        results = stylizer(contents, stylizer.encode_style(painting))
        cells |= {(row, column): result for row, result in enumerate(results, start=1)}
    sheet = contact_sheet(cells, ["", *CONTENTS], ["", *STYLES], cell=240)
    save_picture(sheet, ROOT / "docs/results.jpg", quality=80)
