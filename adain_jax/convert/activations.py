"""How strongly the filters of an encoder respond, and rescaling them to a mean response of 1.

The losses compare activations, so the paper's encoder is VGG19 with every filter scaled to a mean
activation of 1 over natural pictures (Gatys et al., "Image Style Transfer Using Convolutional Neural
Networks", section 2). Decoders trained with such an encoder do not work with any other.
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
    """Each filter's activation after ReLU, the mean over positions and pictures of one size."""
    params = jax.device_put(jax.tree.map(jnp.float32, layers))
    every = [jax.device_get(_means(params, picture)) for picture in pictures]
    return {name: np.mean([one[name] for one in every], axis=0) for name in layers}


@jax.jit
def _means(params: Layers, picture: jax.Array) -> dict[str, jax.Array]:
    encoder = bind(VGG19Encoder, params)
    return {name: x.mean((0, 1, 2)) for name, x in encoder.activations(picture[None])}


def is_normalised(means: Means) -> bool:
    """Whether the filters respond alike, about 1 each, as after `normalise`.

    In VGG19 as it was trained, and in torchvision's, responses differ by orders of magnitude between
    filters and between layers.
    """
    # The factor by which a typical filter misses 1, as a logarithm, is 0.4 for the published
    # normalised network on `probe_picture`, 0.35 on single photographs.
    misses = [np.median(np.abs(np.log(np.maximum(mean, 1e-6)))) for mean in means.values()]
    return float(np.mean(misses)) < 0.75


def normalise(layers: Layers, means: Means) -> Layers:
    """Divides every filter by its mean activation and multiplies it into the next layer's kernel.

    ReLU and max pooling commute with positive scales, so each layer's output is what it was, up to
    those scales. Filters that never respond stay as they are.
    """
    result: Layers = {}
    undo = np.ones(3)
    for name, parts in layers.items():
        scale = np.where(means[name] > 0, means[name], 1).astype(np.float64)
        kernel = parts["kernel"].astype(np.float64) * undo[:, None] / scale
        result[name] = {"kernel": kernel, "bias": parts["bias"].astype(np.float64) / scale}
        undo = scale
    return result


def probe_picture(side: int = 192) -> Float[np.ndarray, "h w 3"]:
    """A picture with the statistics of natural ones, always the same: discs in front of each other.

    The "dead leaves" model: edges, shading and flat areas at all scales, over a fine texture.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    picture = np.full((side, side, 3), 0.5)
    for radius in np.sort(0.5 * side * np.exp(rng.uniform(np.log(0.02), 0, 150)))[::-1]:
        centre_y, centre_x = rng.uniform(-0.1 * side, 1.1 * side, 2)
        colour = rng.beta(1.2, 1.5) + rng.standard_normal(3) * (0.12, 0.05, 0.12)
        slope_y, slope_x = 0.3 * rng.standard_normal(2) / radius
        dy, dx = y - centre_y, x - centre_x
        disc = dy**2 + dx**2 < radius**2
        picture[disc] = (1 + slope_y * dy + slope_x * dx)[disc][:, None] * colour
    texture = 0.04 * rng.standard_normal((side, side, 1))
    return np.clip(picture + texture, 0, 1).astype(np.float32)
