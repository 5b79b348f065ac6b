"""Makes the README's strip of video frames: `python docs/make_video_strip.py`.

A clip is made by moving over an example picture, and stylized by `infer.py` into a folder of frames,
fading from one style to another.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from adain_jax.images import read_picture, save_picture
from adain_jax.images.contact_sheet import contact_sheet

ROOT = Path(__file__).parent.parent
STYLES = [ROOT / f"examples/style/{name}.jpg" for name in ("waves", "mosaic")]
FPS, FRAMES, STEP = 25, 41, 5
SHOWN = range(0, FRAMES, 10)

if __name__ == "__main__":
    picture = read_picture(ROOT / "examples/content/rocket.jpg")
    height, width = picture.shape[0] // 2 * 2, picture.shape[1] - (FRAMES - 1) * STEP
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("clip", "out"):
            (folder / kind).mkdir()
        for i in range(FRAMES):
            window = picture[:height, i * STEP : i * STEP + width]
            save_picture(window, folder / f"clip/{i:03}.png")
        command = [sys.executable, ROOT / "infer.py", "--content", folder / "clip"]
        command += ["--style", *STYLES, "--style-schedule", "0", str((FRAMES - 1) / FPS)]
        command += ["--fps", str(FPS), "--stabilize", "--output", folder / "out"]
        subprocess.run(command, check=True)
        cells = {}
        for column, i in enumerate(SHOWN):
            cells[0, column] = read_picture(folder / f"clip/{i:03}.png")
            cells[1, column] = read_picture(folder / f"out/clip_stylized_mix/{i + 1:06}.png")
    labels = [f"{i / FPS:.1f} s" for i in SHOWN]
    sheet = contact_sheet(cells, ["", ""], labels, cell=220)
    save_picture(sheet, ROOT / "docs/video.jpg", quality=80)
