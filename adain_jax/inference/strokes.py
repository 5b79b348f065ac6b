"""Strokes of one size in pictures of any size: a large picture is painted from coarse to fine.

A network's strokes have a size in pixels. In a photograph of 12 megapixels they are so fine that the
result reads as a tinted, noisy photograph. Painters begin with a broad brush and end with a small one,
and so does this module: it stylizes the picture at the size that the strokes are meant for, enlarges
the result about twice and stylizes that again, which makes it sharp, and so on up to the picture's own
size. (Coarse to fine: Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, CVPR 2017,
section 6.)
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from adain_jax.images.resizing import resize, resize_rows, strips
from adain_jax.images.streaming import empty_like
from adain_jax.inference.buckets import Size
from adain_jax.inference.inputs import K, Request, StyleInputs, size_of

# The strength of the passes after the first, relative to it: at 1 they paint fine strokes over the
# broad ones, at 0 they leave them blurred.
REPAINTING = 0.5


def pass_sizes(size: Size, stroke_size: int | None) -> list[Size]:
    """The sizes at which a picture is stylized, from coarse to fine.

    Args:
        size: its height and width in pixels.
        stroke_size: the shorter side in pixels at which strokes have the right size; None if that is
            the picture's own.

    Returns:
        Heights and widths, the first with a shorter side of `stroke_size`, the last `size`, each about
        twice the one before. It is `size` alone if that is not much larger than `stroke_size`.
    """
    ratio = min(size) / (stroke_size or min(size))
    steps = max(0, round(math.log2(ratio)))
    scales = (ratio ** (step / steps - 1) for step in range(steps))
    return [*((round(size[0] * scale), round(size[1] * scale)) for scale in scales), size]


def coarse_to_fine(
    requests: Iterable[Request[K]],
    stylize: Callable[[Iterable[Request]], Iterator[tuple[Request, np.ndarray]]],
) -> Iterator[tuple[Request[K], np.ndarray]]:
    """Stylizes each request at all its sizes.

    Args:
        requests: the requests.
        stylize: stylizes requests as they are, in any order.

    Yields:
        Each request with its result (h, w, 3), in the dtype and size of its content.
    """
    for last, result in stylize(_resized(r, _sizes(r)[0]) for r in requests):
        request: Request[K] = last.key
        for size in _sizes(request)[1:]:
            photo = _resized(request, size)
            inputs = photo.inputs
            painting = _enlarged(result, photo.content, last.content, _strength(inputs))
            inputs = inputs._replace(alpha=np.asarray(REPAINTING * inputs.alpha, np.float32))
            ((_, result),) = stylize([replace(photo, content=painting, inputs=inputs)])
            last = photo
        yield request, result


def _sizes(request: Request[K]) -> list[Size]:
    return pass_sizes(size_of(request.content), request.stroke_size)


def _resized(request: Request[K], size: Size) -> Request[Request[K]]:
    """A request, which becomes the key, at another size and without passes."""
    content, inputs = request.content, request.inputs
    if size != size_of(content):
        content = resize(content, size)
        if inputs.masks is not None:
            inputs = inputs._replace(masks=resize(np.asarray(inputs.masks), size))
    return Request(request, content, inputs)


def _strength(inputs: StyleInputs) -> np.ndarray:
    """How much of the content is painted over: from 0 to 1, one number or, with masks, (h, w, 1)."""
    covered = 1 if inputs.masks is None else np.sum(inputs.masks, axis=-1, keepdims=True)
    return np.clip(inputs.alpha * covered, 0, 1).astype(np.float32)


def _enlarged(
    result: np.ndarray, photo: np.ndarray, coarse_photo: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """A painting in the size of the photograph, with the detail of what is not painted over.

    Args:
        result: the painting (h, w, 3), as large as `coarse_photo`.
        photo: what was painted (H, W, 3).
        coarse_photo: the same (h, w, 3).
        strength: of the painting, see `_strength`.
    """
    size = size_of(photo)
    painting = empty_like(photo)
    for rows in strips(size):
        strip = resize_rows(result, size, rows)
        if strength.min() < 1:
            detail = photo[rows].astype(np.float32) - resize_rows(coarse_photo, size, rows)
            strip = strip + (1 - (strength[rows] if strength.ndim else strength)) * detail
        if photo.dtype == np.uint8:
            painting[rows] = np.rint(strip).clip(0, 255)
        else:
            painting[rows] = strip.clip(0, 1)
    return painting
