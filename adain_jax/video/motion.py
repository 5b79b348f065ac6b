"""Where the pixels of a frame were in the frame before, and which of them can be found there.

Most of a picture moves with the camera. Its motion, an affine map, is fitted to corners that are
tracked from one frame to the other; it is exact also where the picture is plain. What moves otherwise
follows a dense optical flow (DIS, Kroeger et al. 2016), where that explains the picture better.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

CORNERS = 200
STILL = 0.15  # pixels; less motion of the camera than this is none
BETTER = 0.01  # by how much, of colors in [0, 1], the flow must fit better than the camera
SAME, OTHER = 0.04, 0.08  # differences up to which a pixel is found, and from which it is not
ASTRAY = 1.0  # pixels by which flow forth and back may miss
CUT = 0.25  # share of the picture below which there is a cut between two frames
WINDOW = 5  # pixels over which differences are averaged
GAP = 17  # pixels; smaller gaps in what moves on its own move with it
SMALLEST = 32  # pixels; the flow of smaller pictures cannot be computed

Gray = UInt8[np.ndarray, "h w"]
Bytes = UInt8[np.ndarray, "h w 3"]
Map = Float[np.ndarray, "h w 2"]


class Motion(NamedTuple):
    """Of a frame since the one before.

    Attributes:
        origin: where each pixel was in the frame before, float32 (h, w, 2), as x and y.
        found: how surely it was there, float32 (h, w) in [0, 1].
        shift: motion of the camera at the middle, in pixels (down, right) of the frame before.
    """

    origin: Map
    found: Float[np.ndarray, "h w"]
    shift: Float[np.ndarray, " 2"]


def find_motion(before: Bytes, after: Bytes) -> Motion | None:
    """The motion between two successive frames, RGB in 0..255; None if there is a cut between them."""
    height, width = after.shape[:2]
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    camera = _camera(*grays)
    here = _positions(height, width)
    origin = cv2.transform(here, camera)
    difference = _difference(before, after, origin)
    inside: np.ndarray = np.ones((height, width), np.float32)
    if min(height, width) >= SMALLEST:
        back = _flow(*grays[::-1])
        by_flow = here + back
        flow_difference = _difference(before, after, by_flow)
        own = _own_motion(difference - flow_difference)
        if own.any():
            x, y = cv2.split(back + move(_flow(*grays), by_flow))
            returns = np.clip(2 - cv2.magnitude(x, y) / ASTRAY, 0, 1)
            inside = np.where(own, returns, inside)
            difference = np.where(own, flow_difference, difference)
            origin = np.where(own[..., None], by_flow, origin)
    x, y = cv2.split(origin)
    inside = inside * ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))
    found = inside * np.clip((OTHER - difference) / (OTHER - SAME), 0, 1)
    if found.mean() < CUT:
        return None
    middle = np.array([width / 2, height / 2, 1])
    return Motion(origin, found.astype(np.float32), (camera @ middle - middle[:2])[::-1])


def move(picture: np.ndarray, origin: Map) -> np.ndarray:
    """A picture (h, w) or (h, w, c) of any dtype with each pixel taken from `origin`, interpolated."""
    return cv2.remap(picture, origin, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _camera(before: Gray, after: Gray) -> Float[np.ndarray, "2 3"]:
    """The affine map from positions (x, y, 1) in the frame `after` to those in `before`."""
    height, width = after.shape
    still = np.eye(2, 3)
    corners = cv2.goodFeaturesToTrack(after, CORNERS, qualityLevel=0.01, minDistance=8)
    if corners is None:
        return still
    tracked, ok, _ = cv2.calcOpticalFlowPyrLK(
        after, before, corners, None, winSize=(15, 15), maxLevel=4
    )
    pairs = [points[ok[:, 0] > 0] for points in (corners, tracked)]
    if len(pairs[0]) < 6:
        return still
    first, second = pairs
    camera, _ = cv2.estimateAffine2D(first, second, method=cv2.RANSAC, ransacReprojThreshold=0.5)
    frame = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    if camera is None or abs(frame @ camera.T - frame[:, :2]).max() < STILL:
        return still
    return camera


def _flow(of: Gray, into: Gray) -> Map:
    create = cv2.DISOpticalFlow_create  # type: ignore[attr-defined, unused-ignore]
    dis = create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setVariationalRefinementAlpha(60)  # smoother than by default, for noise
    return dis.calc(of, into, None)


def _own_motion(better: Float[np.ndarray, "h w"]) -> np.ndarray:
    """What moves on its own, bool (h, w), from how much better the flow fits than the camera does."""
    own = (better > BETTER).astype(np.uint8)
    own = cv2.morphologyEx(own, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    own = cv2.morphologyEx(own, cv2.MORPH_CLOSE, disk)
    # The window of the differences has widened it.
    return cv2.erode(own, np.ones((WINDOW, WINDOW), np.uint8)) > 0


def _difference(before: Bytes, after: Bytes, origin: Map) -> Float[np.ndarray, "h w"]:
    """Mean difference over colors, in [0, 1], and neighbors, once the motion is undone."""
    difference = cv2.absdiff(after, move(before, origin)).astype(np.float32)
    mean = cv2.transform(difference, np.full((1, 3), 1 / (3 * 255), np.float32))
    return cv2.blur(mean, (WINDOW, WINDOW))


@lru_cache(maxsize=1)
def _positions(height: int, width: int) -> Map:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    positions = cv2.merge([x, y])
    positions.flags.writeable = False
    return positions
