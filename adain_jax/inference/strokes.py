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
from typing import NamedTuple

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
    for first, result in stylize(_coarsest(request) for request in requests):
        request: Request[K] = first.key
        whole = request.content
        painted_over = request.inputs.masks is None and request.inputs.alpha >= 1
        photo = first.content
        for size in _sizes(request)[1:]:
            inputs = _inputs_at(request, size)
            last = size == size_of(whole)
            painting = empty_like(whole) if last else np.empty((*size, 3), whole.dtype)
            if painted_over:  # then nobody sees the photograph
                _enlarge(result, painting)
            else:
                coarse_photo, photo = photo, _content_at(request, size)
                _enlarge(result, painting, _Detail(photo, coarse_photo, _strength(inputs)))
            inputs = inputs._replace(alpha=np.asarray(REPAINTING * inputs.alpha, np.float32))
            share = _share(request, size)
            ((_, result),) = stylize([Request(request, painting, inputs, share=share)])
        yield request, result


class _Detail(NamedTuple):
    """What a painting that does not cover its photograph lets through.

    Attributes:
        photo: the photograph (h, w, 3), of the painting's size.
        coarse_photo: the same, of the size of the pass before.
        strength: of the painting, see `_strength`.
    """

    photo: np.ndarray
    coarse_photo: np.ndarray
    strength: np.ndarray


def _sizes(request: Request[K]) -> list[Size]:
    return pass_sizes(size_of(request.content), request.stroke_size)


def _coarsest(request: Request[K]) -> Request[Request[K]]:
    """The first pass of a request, which becomes its key."""
    size = _sizes(request)[0]
    content, inputs = _content_at(request, size), _inputs_at(request, size)
    return Request(request, content, inputs, share=_share(request, size))


def _share(request: Request[K], size: Size) -> float:
    """Of the pixels of all passes, those of the pass of this size."""
    return math.prod(size) / sum(map(math.prod, _sizes(request)))


def _content_at(request: Request[K], size: Size) -> np.ndarray:
    content = request.content
    return content if size == size_of(content) else resize(content, size)


def _inputs_at(request: Request[K], size: Size) -> StyleInputs:
    masks = request.inputs.masks
    if masks is None or size == size_of(request.content):
        return request.inputs
    return request.inputs._replace(masks=resize(np.asarray(masks), size))


def _strength(inputs: StyleInputs) -> np.ndarray:
    """How much of the content is painted over: from 0 to 1, one number or, with masks, (h, w, 1)."""
    covered = 1 if inputs.masks is None else np.sum(inputs.masks, axis=-1, keepdims=True)
    return np.clip(inputs.alpha * covered, 0, 1).astype(np.float32)


def _enlarge(result: np.ndarray, painting: np.ndarray, detail: _Detail | None = None) -> None:
    """Enlarges the result of a pass (h, w, 3) into `painting` (H, W, 3), and adds detail to it."""
    size = size_of(painting)
    for rows in strips(size):
        strip = resize_rows(result, size, rows)
        if detail:
            fine = detail.photo[rows].astype(np.float32)
            fine -= resize_rows(detail.coarse_photo, size, rows)
            strength = detail.strength[rows] if detail.strength.ndim else detail.strength
            strip = strip + (1 - strength) * fine
        if painting.dtype == np.uint8:
            painting[rows] = np.rint(strip).clip(0, 255)
        else:
            painting[rows] = strip.clip(0, 1)
