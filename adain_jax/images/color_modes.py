"""Conversion to 8-bit sRGB from every mode and color profile that Pillow decodes."""

import io

import numpy as np
from PIL import Image, ImageCms

from adain_jax.images import sample_values


def to_rgb(image: Image.Image, keep_alpha: bool) -> Image.Image:
    """Converts a decoded image to 8-bit sRGB.

    An alpha channel that is empty everywhere is ignored where there are colors below it: there are
    programs that write one and mean nothing by it.

    Args:
        image: an image of any mode; its color profile, if it has a usable one, is applied.
        keep_alpha: return an image with transparency as RGBA, its fully transparent pixels white.
            Otherwise transparency is laid on white.

    Returns:
        An image in mode RGB or RGBA.

    Raises:
        PictureError: its values have no clear meaning. It does not name the file.
    """
    profile = image.info.get("icc_profile")
    if image.mode in sample_values.MODES:
        image = sample_values.to_8_bit(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        if image.mode == "La":  # which Pillow converts to nothing else
            image = image.convert("LA")
        image = image.convert("RGBA")
        alpha, color = image.getchannel("A"), _to_srgb(image.convert("RGB"), profile)
        if color.getbbox() and not alpha.getbbox():
            return color
        color.putalpha(alpha)
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
