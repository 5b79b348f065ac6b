"""What viewers see and the losses do not: colors, repetition in flat areas, seams along edges.

Pure functions of NumPy arrays: pictures are float (h, w, 3), RGB in [0, 1].
"""

import numpy as np
from jaxtyping import Float

Picture = Float[np.ndarray, "h w 3"]
Gray = Float[np.ndarray, "h w"]

# sRGB to XYZ under D65 (IEC 61966-2-1), in parts of white.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_XYZ /= _XYZ.sum(1, keepdims=True)

SMALLEST = 64
"""Pictures need at least so many pixels a side: room for some blocks."""
DIRECTIONS = 64
QUANTILES = 256
BLOCK = 32
"""Side of the blocks in which repetition is looked for, in pixels."""
PERIODS = (3, 16)
"""The shortest and the longest period of a repetition, in pixels."""
SIDE = 5
"""How far from an edge its two sides are looked at, in pixels."""


def measures(content: Picture, style: Picture, result: Picture) -> dict[str, float]:
    """All measures of this module; content and result have one size, at least SMALLEST a side."""
    return {
        "color": color_distance(result, style),
        "repetition": repetition(content, result),
        "seams": seams(content, result),
    }


def color_distance(a: Picture, b: Float[np.ndarray, "h2 w2 3"]) -> float:
    """The sliced Wasserstein distance of two pictures' colors, in units of CIE Lab (Rabin et al. 2011).

    The mean distance between the quantiles of their colors, along evenly spread directions of Lab: how
    far colors would have to be moved. Where things are in the pictures does not matter.
    """
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    rows = [np.quantile(lab(x).reshape(-1, 3) @ _directions().T, levels, axis=0) for x in (a, b)]
    return float(np.abs(rows[0] - rows[1]).mean())


def lab(picture: Picture) -> Float[np.ndarray, "h w 3"]:
    """CIE Lab of sRGB under D65: L in 0..100."""
    c = np.clip(picture, 0, 1).astype(np.float64)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def repetition(content: Picture, result: Picture) -> float:
    """How strongly one pattern repeats all over the flat areas, in gray levels (of 255).

    Light models emboss flat areas evenly: the same small pattern everywhere, at a fixed distance.
    Brush strokes and grain, however strong, come at no fixed distance. So the autocovariance of the
    result is averaged over the flat blocks, less each block's plane; where something repeats, it has a
    peak beside the one in the middle, as high as the variance of what repeats. The index is the root of
    the highest local maximum at a distance of 3 to 16 pixels, 0 where there is none: for an evenly
    repeated pattern, its standard deviation.

    Flat is the quarter of the content's blocks of 32 pixels that varies least.
    """
    flat = _blocks(content)
    variation = flat.std((1, 2))
    blocks = _without_planes(_blocks(result)[variation <= np.quantile(variation, 0.25)])
    spectrum = np.abs(np.fft.rfft2(blocks, (2 * BLOCK, 2 * BLOCK))) ** 2
    covariance = np.fft.irfft2(spectrum, (2 * BLOCK, 2 * BLOCK)).mean(0)
    longest = PERIODS[1]
    span = np.arange(-longest - 1, longest + 2)
    overlap = np.outer(BLOCK - np.abs(span), BLOCK - np.abs(span))
    near = covariance[np.ix_(span, span)] / overlap
    inner = near[1:-1, 1:-1]
    around = [
        near[1 + y : near.shape[0] - 1 + y, 1 + x : near.shape[1] - 1 + x]
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (y, x) != (0, 0)
    ]
    distance = np.hypot(*np.meshgrid(span[1:-1], span[1:-1]))
    allowed = (distance >= PERIODS[0]) & (distance <= longest)
    peaks = inner[allowed & (inner >= np.max(around, axis=0))]
    return float(np.sqrt(max(peaks.max(initial=0), 0)))


def seams(content: Picture, result: Picture) -> float:
    """How much lighter the result is along the content's edges than on both sides, in gray levels.

    Networks may outline silhouettes by a light seam. Along the content's steepest edges, the lightest
    pixel of the result within one of the edge is compared with the lighter of its two sides, five
    pixels away: only a line rises above both. What the same gives in the content's flattest places,
    where texture alone can, is taken off; less than nothing counts as nothing.
    """
    gray, painted = (_smooth(255 * x.mean(-1)) for x in (content, result))
    dy, dx = np.gradient(gray)
    steep = np.hypot(dy, dx)
    inside = np.zeros(steep.shape, bool)
    inside[SIDE + 1 : -SIDE - 1, SIDE + 1 : -SIDE - 1] = True
    normals = np.stack([dy, dx]) / np.maximum(steep, 1e-6)
    least, most = np.quantile(steep[inside], [0.5, 0.97])
    edges = inside & (steep >= max(most, 1))
    if not edges.any():
        return 0.0
    places = inside & (steep <= least)
    return max(0.0, _ridge(painted, edges, normals) - _ridge(painted, places, normals))


def _ridge(gray: Gray, places: np.ndarray, normals: Float[np.ndarray, "2 h w"]) -> float:
    """How much lighter places are than both sides along their normals; the mean over places."""
    where = np.argwhere(places).T
    normal = normals[:, places]
    length = np.hypot(*normal)
    normal = np.where(length > 0.5, normal, np.array([[1.0], [0.0]]))

    def at(distance: float) -> np.ndarray:
        y, x = np.rint(where + distance * normal).astype(int)
        return gray[y, x]

    middle = np.maximum(at(0), np.maximum(at(-1), at(1)))
    return float(np.maximum(middle - np.maximum(at(-SIDE), at(SIDE)), 0).mean())


def _blocks(picture: Picture) -> Float[np.ndarray, "n b b"]:
    """The gray levels, 0..255, of all whole blocks, which overlap by half."""
    gray = 255 * picture.mean(-1)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (BLOCK, BLOCK))
    return windows[:: BLOCK // 2, :: BLOCK // 2].reshape(-1, BLOCK, BLOCK)


def _without_planes(blocks: Float[np.ndarray, "n b b"]) -> Float[np.ndarray, "n b b"]:
    """Each block less the plane that fits it best."""
    flat = blocks.reshape(len(blocks), -1)
    return (flat - flat @ _PLANES @ _PLANES.T).reshape(blocks.shape)


def _planes() -> Float[np.ndarray, "b2 3"]:
    """An orthonormal basis of the planes over a block."""
    y, x = np.mgrid[:BLOCK, :BLOCK] - (BLOCK - 1) / 2
    planes = np.stack([np.ones_like(y), y, x], -1).reshape(-1, 3)
    return planes / np.linalg.norm(planes, axis=0)


_PLANES = _planes()


def _directions() -> Float[np.ndarray, "d 3"]:
    """Directions spread evenly over half a sphere (a Fibonacci lattice)."""
    i = np.arange(DIRECTIONS) + 0.5
    z, turn = i / DIRECTIONS, np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], -1)


def _smooth(gray: Gray) -> Gray:
    """Weighted means of 3 x 3 pixels (1, 2, 1 in each direction)."""
    padded = np.pad(gray, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
