"""Tone mapping of HDR frames, PQ or HLG, to sRGB (ITU-R BT.2100, BT.2390 and BT.2408)."""

import numpy as np
from jaxtyping import Float, UInt8, UInt16

Curve = Float[np.ndarray, " n"]

# Transfer characteristics, in the numbers of ITU-T H.273.
PQ, HLG = 16, 18
NAMES = {PQ: "PQ", HLG: "HLG"}

_PEAK = 1000.0  # cd/m2: of the display that HLG is graded on, and PQ mostly
_WHITE = 203.0  # cd/m2: HDR reference white (BT.2408), which is sRGB's white
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_BT709 = 1  # primaries
_PIXELS_AT_ONCE = 1 << 18  # keeps memory small, and in the caches


def to_srgb(
    signal: UInt16[np.ndarray, "h w 3"], transfer: int, primaries: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Maps what HDR displays show, up to 1000 cd/m2, into the range of sRGB.

    Dark and middle values stay as bright as they are; from there on, highlights are compressed by
    the curve of BT.2390, the same for red, green and blue, so that hues are kept.

    Args:
        signal: RGB in 0..65535, coded by `transfer`.
        transfer: `PQ` or `HLG`.
        primaries: BT.709's (1); any other number counts as BT.2020's, which HDR has.

    Returns:
        RGB in 0..255.
    """
    result = np.empty(signal.shape, np.uint8)
    rows = max(1, _PIXELS_AT_ONCE // signal.shape[1])
    for top in range(0, len(signal), rows):
        result[top : top + rows] = _to_srgb(signal[top : top + rows], transfer, primaries)
    return result


def _to_srgb(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    light = _LIGHT[transfer][signal]
    if transfer == HLG:  # from the scene to the display (the OOTF)
        light *= _PEAK * np.power(light @ _LUMINANCE, np.float32(0.2))[..., None]
    gain = np.interp(light.max(-1), _GRID, _GAIN).astype(np.float32)
    light *= gain[..., None]
    if primaries != _BT709:
        light = light @ _BT2020_TO_BT709.T
    np.clip(light, 0, 1, out=light)
    srgb = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    return (255 * srgb + np.float32(0.5)).astype(np.uint8)


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_to_light(signal: Curve) -> Curve:
    """SMPTE ST 2084: cd/m2 of a signal in 0..1."""
    root = signal ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _light_to_pq(light: Curve | float) -> Curve:
    power = (np.asarray(light) / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _hlg_to_light(signal: Curve) -> Curve:
    """BT.2100: the scene's light in 0..1, of a signal in 0..1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _compressed(light: Curve) -> Curve:
    """BT.2390's EETF, from a display of 1000 cd/m2 to one of 203 cd/m2."""
    top = float(_light_to_pq(_PEAK))
    source = np.minimum(_light_to_pq(light) / top, 1)
    target = float(_light_to_pq(_WHITE)) / top
    knee = 1.5 * target - 0.5
    t = (np.maximum(source, knee) - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    spline += (3 * t**2 - 2 * t**3) * target
    return _pq_to_light(np.where(source < knee, source, spline) * top)


_LEVELS = np.arange(1 << 16) / 65535
_LIGHT = {
    PQ: _pq_to_light(_LEVELS).astype(np.float32),
    HLG: _hlg_to_light(_LEVELS).astype(np.float32),
}
_GRID = _pq_to_light(np.linspace(0.01, 1, 2048))
_GAIN = _compressed(_GRID) / (_GRID * _WHITE)
