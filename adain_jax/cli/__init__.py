"""The commands of `adain`; `infer.py`, `train.py` and `convert_vgg.py` are three of them."""

import sys
from importlib.util import find_spec

if missing := [name for name in ("tyro", "rich", "jax") if find_spec(name) is None]:
    sys.exit(
        f"error: this Python ({sys.executable}) lacks {', '.join(missing)}: activate the environment "
        "that `make demo` made (. .venv/bin/activate), or install with `pip install .`"
    )
