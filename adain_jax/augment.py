"""Style transfer as data augmentation, inside other people's training loops.

A pure function of arrays, for `jit`, `pmap`, `vmap` and `grad`: each picture of a batch may be given a
random mixture of random styles at a random strength. Styles are encoded once, beforehand. After
Geirhos et al. (2019), "ImageNet-trained CNNs are biased towards texture", where whole data sets were
stylized with AdaIN on disk; here every epoch sees other styles.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adain_jax.nn import bind
from adain_jax.nn.network import StyleNetwork
from adain_jax.style import Style


def random_stylise(
    network: type[StyleNetwork],
    params: Mapping[str, Any],
    key: Key[Array, ""],
    pictures: Float[Array, "n h w 3"],
    styles: Style,
    *,
    probability: float = 1.0,
    alpha: tuple[float, float] = (0.5, 1.0),
    mixed: int = 2,
) -> Float[Array, "n h w 3"]:
    """Stylizes a batch at random; the same key gives the same result.

    Args:
        network, params: `Stylizer.network` and `Stylizer.params`.
        key: of `jax.random`; give every step and every device its own.
        pictures: float in [0, 1].
        styles: k styles to draw from, leaves (k, c), as `Stylizer.encode_style` gives them.
        probability: of a picture being stylized at all; the others come back untouched.
        alpha: the range that strengths (equation 14) are drawn from, evenly.
        mixed: how many different styles are mixed (equation 15), at most k, with shares drawn evenly
            from all that there are; 1 for pure styles.

    Returns:
        float32, clipped to [0, 1]. Differentiable by pictures, styles and params.

    Raises:
        ValueError: there are fewer styles than are to be mixed.
    """
    n, h, w, _ = pictures.shape
    k = styles.mean.shape[0]
    if not 1 <= mixed <= k:
        raise ValueError(f"mixed must lie in 1 to {k}, the number of styles, not {mixed}")
    keys = jax.random.split(key, 4)
    chosen = jax.vmap(lambda key: jax.random.choice(key, k, (mixed,), replace=False))(
        jax.random.split(keys[0], n)
    )
    shares = jax.random.dirichlet(keys[1], jnp.ones(mixed), (n,))
    strength = jax.random.uniform(keys[2], (n,), minval=alpha[0], maxval=alpha[1])
    touched = jax.random.bernoulli(keys[3], probability, (n,))

    mean, std = (
        jnp.einsum("nm,nmc->nc", shares, jnp.asarray(leaf)[chosen])
        for leaf in (styles.mean, styles.std)
    )
    stylized = bind(network, params)(pictures, Style(mean, std), strength)[:, :h, :w]
    return jnp.where(touched[:, None, None, None], jnp.clip(stylized, 0, 1), pictures)
