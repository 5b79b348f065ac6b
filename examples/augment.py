"""Style transfer as augmentation: each step of a training loop sees its batch in other styles.

python examples/augment.py
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from adain_jax import Stylizer
from adain_jax.augment import random_stylise
from adain_jax.images import find_pictures, read_picture

HERE = Path(__file__).parent

stylizer = Stylizer.load()
paintings = [read_picture(path, size=256, crop=True) for path in find_pictures(HERE / "style")]
styles = stylizer.encode_style(paintings)  # once, (10, c)
augment = jax.jit(partial(random_stylise, stylizer.network, probability=0.5, alpha=(0.3, 1.0)))

photographs = [read_picture(path, size=128, crop=True) for path in find_pictures(HERE / "content")]
batch = jnp.stack(photographs)
for step, key in enumerate(jax.random.split(jax.random.key(0), 5)):
    augmented = augment(stylizer.params, key, batch, styles)
    print(f"step {step}: mean change of each picture", jnp.abs(augmented - batch).mean((1, 2, 3)))
