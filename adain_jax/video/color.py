"""Conversion between RGB and the YUV of video: matrix, range and orientation."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from jaxtyping import Int, UInt8

from adain_jax.images.dtypes import to_float
from adain_jax.video import hdr

Pixels = UInt8[np.ndarray, "h w 3"]

# From the matrix numbers of video files (ITU-T H.273) to the color spaces of libswscale.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
_BT709, _BT601 = 1, 6
_SRGB_TRANSFER = 13

# libswscale's fast defaults are off by several levels, and shift chroma.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


@dataclass(frozen=True)
class Color:
    """How a clip's colors are coded, in the numbers of ITU-T H.273.

    Attributes:
        matrix: the coefficients of the YUV matrix.
        primaries: the color primaries.
        transfer: the transfer characteristics.
    """

    matrix: int
    primaries: int = _BT709
    transfer: int = _SRGB_TRANSFER

    @property
    def is_hdr(self) -> bool:
        """Whether the colors are coded for brighter displays than sRGB's."""
        return self.transfer in hdr.NAMES

    @staticmethod
    def of_pictures(height: int, width: int) -> "Color":
        """sRGB, with the YUV matrix that players assume by default for this size in pixels."""
        return Color(_BT709 if height >= 720 or width >= 1280 else _BT601)

    @staticmethod
    def of_frame(frame: VideoFrame) -> "Color":
        """The color of a frame; an unspecified matrix becomes the one that players assume."""
        usual = Color.of_pictures(frame.height, frame.width)
        if frame.format.is_rgb and frame.color_trc not in hdr.NAMES:
            return usual
        matrix = frame.colorspace if frame.colorspace in _MATRICES else usual.matrix
        return Color(matrix, frame.color_primaries, frame.color_trc)


def to_rgb(frame: VideoFrame, color: Color, converter: VideoReformatter) -> Pixels:
    """Converts a decoded frame to uint8 (h, w, 3), RGB in 0..255.

    Transparency is laid on white, and HDR mapped to sRGB. The frame is not turned, see `upright`.
    """
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    transparent = any(component.is_alpha for component in frame.format.components)
    rgb = converter.reformat(
        frame,
        format="rgb48" if color.is_hdr else "rgba" if transparent else "rgb24",
        src_colorspace=_MATRICES[color.matrix],
        src_color_range=ColorRange.JPEG if full or frame.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
    ).to_ndarray()
    if color.is_hdr:
        return hdr.to_srgb(rgb, color.transfer, color.primaries)
    if transparent:
        opacity = to_float(rgb[..., 3:])
        rgb = (rgb[..., :3] * opacity + 255 * (1 - opacity) + 0.5).astype(np.uint8)
    return rgb


def from_rgb(pixels: Pixels, color: Color, format_: str, converter: VideoReformatter) -> VideoFrame:
    """Converts uint8 (h, w, 3) RGB to a YUV frame, in the limited range that video uses."""
    return converter.reformat(
        VideoFrame.from_ndarray(np.ascontiguousarray(pixels)),
        format=format_,
        dst_colorspace=_MATRICES[color.matrix],
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_EXACT,
    )


def display_matrix(frame: VideoFrame) -> Int[np.ndarray, "3 3"] | None:
    """The frame's display matrix, int32 (3, 3), by which players turn it; None if it has none."""
    for data in cast(SideDataContainer, frame.side_data):
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)
    return None


def turns_sideways(matrix: Int[np.ndarray, "3 3"] | None) -> bool:
    """Whether a display matrix swaps width and height."""
    return matrix is not None and abs(int(matrix[0, 1])) > abs(int(matrix[0, 0]))


def upright(pixels: Pixels, matrix: Int[np.ndarray, "3 3"] | None) -> Pixels:
    """Turns and mirrors a frame (h, w, 3) by its display matrix, in steps of 90 degrees.

    The result is a view of `pixels`, (w, h, 3) if the frame is turned sideways.
    """
    if matrix is None:
        return pixels
    (a, b, _), (c, d, _), _ = matrix  # x' = a x + c y, y' = b x + d y
    if turns_sideways(matrix):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
