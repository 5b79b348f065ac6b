"""Color preservation (paper section 7.3, after Gatys et al., "Preserving Color in Neural Artistic
Style Transfer"): two ways to keep the colors of the content.

`coral` gives the *style* picture the colors of the content before it is encoded; `keep_chroma` takes
only the luminance from the *result*. Pictures are float32 (h, w, 3), RGB in [0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from adain_jax.images import streaming
from adain_jax.images.dtypes import to_float

Array = jax.Array | np.ndarray
Picture = Float[Array, "h w 3"]
OtherPicture = Float[Array, "h2 w2 3"]  # which may have another size

# Added to the variances. Gray and flat pictures hardly vary in some direction of color space; without
# a floor, the noise there would be amplified to color.
VARIANCE_FLOOR = 1e-4

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def coral(style: Picture, content: OtherPicture) -> Picture:
    """The style picture with the mean and covariance of the content's colors.

    CORAL: x -> C_content^(1/2) C_style^(-1/2) (x - mean_style) + mean_content, with 1e-4 added to the
    diagonal of both covariances, so that flat and gray pictures give finite results without noise.
    Values may leave [0, 1] a little, which the encoder tolerates. Returns NumPy for NumPy.
    """
    mean, covariance = _color_statistics(style)
    target_mean, target_covariance = _color_statistics(content)
    matrix = _recoloring(covariance, target_covariance)
    if isinstance(style, np.ndarray):
        matrix = np.asarray(matrix)
    return (style - mean) @ matrix.T + target_mean


def coral_of_bytes(
    style: UInt8[np.ndarray, "h w 3"], content: UInt8[np.ndarray, "h2 w2 3"]
) -> Float[np.ndarray, "h w 3"]:
    """`coral` of 8-bit pictures. Of a large content, a few million pixels tell its colors."""
    sparse = content[:: content.shape[0] // 2048 + 1, :: content.shape[1] // 2048 + 1]
    return np.asarray(coral(to_float(style), to_float(sparse)))


def keep_chroma(content: Picture, stylized: Picture) -> Picture:
    """The stylized picture's luminance with the content's chrominance (of YUV, BT.601).

    With U and V fixed, a change of Y changes R, G and B alike. Values may leave [0, 1].
    """
    return content + ((stylized - content) @ LUMINANCE)[..., None]


def keep_chroma_of_bytes(
    content: UInt8[np.ndarray, "h w 3"], stylized: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """`keep_chroma` of 8-bit pictures, in blocks of rows, so that large ones fit into memory."""
    result = streaming.empty_like(content)
    for top in range(0, len(content), 256):
        rows = slice(top, top + 256)
        kept = keep_chroma(content[rows].astype(np.float32), stylized[rows].astype(np.float32))
        result[rows] = np.clip(kept + 0.5, 0, 255)
    return result


def _color_statistics(picture: Picture) -> tuple[Float[Array, " 3"], Float[Array, "3 3"]]:
    colors = picture.reshape(-1, 3)
    mean = colors.mean(0)
    centered = colors - mean
    return mean, centered.T @ centered / colors.shape[0]


@jax.jit
def _recoloring(source: Float[Array, "3 3"], target: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    floor = VARIANCE_FLOOR * jnp.eye(3)
    return _sqrt(target + floor) @ jnp.linalg.inv(_sqrt(source + floor))


@jax.custom_jvp
def _sqrt(matrix: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """The square root of a symmetric positive definite matrix."""
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(values)) @ vectors.T


@_sqrt.defjvp
def _sqrt_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # Solves R dR + dR R = dM in the eigenbasis. It stays finite for equal eigenvalues, by whose
    # difference the derivative of `eigh` divides.
    values, vectors = jnp.linalg.eigh(primals[0])
    roots = jnp.sqrt(values)
    tangent = vectors.T @ tangents[0] @ vectors / (roots[:, None] + roots)
    return (vectors * roots) @ vectors.T, vectors @ tangent @ vectors.T
