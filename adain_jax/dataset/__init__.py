"""Whole data sets stylized: what each record gets depends on its key and the seed alone.

`adain dataset` is the command; `stylized` gives a lazy `ray.data.Dataset`.
"""

from adain_jax.dataset.cluster import stylized
from adain_jax.dataset.recipe import Recipe

__all__ = ["Recipe", "stylized"]
