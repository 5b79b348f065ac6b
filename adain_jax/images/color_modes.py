"""Conversion to 8-bit sRGB from every mode and color profile that Pillow decodes."""

import io

import numpy as np
from PIL import Image, ImageCms


def to_rgb(image: Image.Image, keep_alpha: bool) -> Image.Image:
    """Converts a decoded image to 8-bit sRGB.

    Args:
        image: an image of any mode; its color profile, if it has a usable one, is applied.
        keep_alpha: return an image with transparency as RGBA, its fully transparent pixels white.
            Otherwise transparency is laid on white.

    Returns:
        An image in mode RGB or RGBA.
    """
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        image = _to_8_bit(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        color = _to_srgb(image.convert("RGB"), profile)
        color.putalpha(image.getchannel("A"))
        return _whiten_transparent(color) if keep_alpha else on_white(color)
    if image.mode == "P":
        image = image.convert("RGB")
    return _to_srgb(image, profile)


def on_white(image: Image.Image) -> Image.Image:
    """Lays an 8-bit RGBA image on white; the result is RGB."""
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _whiten_transparent(image: Image.Image) -> Image.Image:
    """Makes the fully transparent pixels of an RGBA image white."""
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0, :3] = 255
    return Image.fromarray(pixels)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Converts grayscale: 16 bits, 16 bits stored in 32, or floats in [0, 1] or [0, 255]."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    scale = 1 / 257
    if image.mode == "F":
        scale = 255 if values.max(initial=0) <= 1 else 1
    return Image.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
        return _convert_profile(image, ImageCms.ImageCmsProfile(source))
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            return _convert_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # the profile is broken or of another color space: take the plain colors
    return image.convert("RGB")


def _convert_profile(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert converted is not None  # only in-place conversions return None
    return converted
