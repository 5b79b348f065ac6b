"""A clip, stylized without flicker: python examples/video.py [OUTPUT [FRAMES]].

Needs the extra `video`. The clip is a camera that pans over a photograph.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from adain_jax.images import read_pixels, save_picture

HERE = Path(__file__).parent
output = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "results/pan.mp4")
count = int(sys.argv[2]) if len(sys.argv) > 2 else 24

photograph = read_pixels(HERE / "content/rocket.jpg")
width = (photograph.shape[1] - 4 * (count - 1)) // 2 * 2
height = photograph.shape[0] // 2 * 2
output.parent.mkdir(parents=True, exist_ok=True)
with TemporaryDirectory() as frames:
    for i in range(count):
        window = photograph[:height, 4 * i : 4 * i + width]
        save_picture(window, Path(frames) / f"{i:04}.png")
    command = [sys.executable, "-m", "adain_jax", "stylize", "-c", frames]
    command += ["-s", str(HERE / "style/swirls.jpg"), "-o", str(output)]
    subprocess.run([*command, "--fps", "24", "--stabilize", "--overwrite"], check=True)
