"""How strongly the filters of an encoder respond, and rescaling them to a mean response of 1.

The losses compare activations, so the paper's encoder is VGG19 with every filter scaled to a mean
activation of 1 over natural pictures (Gatys et al., "Image Style Transfer Using Convolutional
Neural Networks", section 2). A decoder trained with such an encoder does not work with any other.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from adain_jax.nn import bind
from adain_jax.nn.vgg19 import VGG19Encoder
from adain_jax.weights import Layers

Means = dict[str, Float[np.ndarray, " c"]]


def mean_activations(layers: Layers, pictures: Iterable[Float[np.ndarray, "h w 3"]]) -> Means:
    """Each filter's mean activation after ReLU, over all positions and pictures.

    The pictures are RGB in [0, 1], all of one size.

    Raises:
        ValueError: there are no pictures.
    """
    params = jax.device_put(jax.tree.map(jnp.float32, layers))
    means = [jax.device_get(_means(params, picture)) for picture in pictures]
    if not means:
        raise ValueError("mean activations need at least one picture")
    return {name: np.mean([one[name] for one in means], axis=0) for name in layers}


@jax.jit
def _means(params: Layers, picture: jax.Array) -> dict[str, jax.Array]:
    encoder = bind(VGG19Encoder, params)
    return {name: x.mean((0, 1, 2)) for name, x in encoder.activations(picture[None])}


def is_normalized(means: Means) -> bool:
    """Whether the mean activations are all about 1, as after `normalize_filters`.

    In the original VGG19, and in torchvision's, responses differ by orders of magnitude between
    filters and between layers.
    """
    # The median of |log(mean activation)|, averaged over layers, is 0.4 for the published
    # normalized network on `probe_picture`, and 0.35 on single photographs.
    misses = [np.median(np.abs(np.log(np.maximum(mean, 1e-6)))) for mean in means.values()]
    return float(np.mean(misses)) < 0.75


def normalize_filters(layers: Layers, means: Means) -> Layers:
    """Divides every filter by its mean activation, and compensates in the next layer's kernel.

    ReLU and max pooling commute with positive scales, so each layer's output changes only by those
    scales. Filters that never respond stay as they are.
    """
    result: Layers = {}
    previous = np.ones(3)
    for name, parts in layers.items():
        scale = np.where(means[name] > 0, means[name], 1).astype(np.float64)
        kernel = parts["kernel"].astype(np.float64) * previous[:, None] / scale
        result[name] = {"kernel": kernel, "bias": parts["bias"].astype(np.float64) / scale}
        previous = scale
    return result


def probe_picture(side: int = 192) -> Float[np.ndarray, "h w 3"]:
    """A fixed picture of overlapping discs, with statistics like those of natural pictures.

    This is the "dead leaves" model: edges, shading, flat areas at all scales, and a fine texture.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    picture = np.full((side, side, 3), 0.5)
    for radius in np.sort(0.5 * side * np.exp(rng.uniform(np.log(0.02), 0, 150)))[::-1]:
        center_y, center_x = rng.uniform(-0.1 * side, 1.1 * side, 2)
        color = rng.beta(1.2, 1.5) + rng.standard_normal(3) * (0.12, 0.05, 0.12)
        slope_y, slope_x = 0.3 * rng.standard_normal(2) / radius
        dy, dx = y - center_y, x - center_x
        disc = dy**2 + dx**2 < radius**2
        picture[disc] = (1 + slope_y * dy + slope_x * dx)[disc][:, None] * color
    texture = 0.04 * rng.standard_normal((side, side, 1))
    return np.clip(picture + texture, 0, 1).astype(np.float32)
