"""Style files: safetensors with the mean and standard deviation of each feature channel."""

from pathlib import Path

import numpy as np
from jaxtyping import Array

from adain_jax.errors import StyleError
from adain_jax.files import safetensors_metadata, write_atomically


def write_moments(
    mean: np.ndarray | Array, std: np.ndarray | Array, path: str | Path, model: str
) -> None:
    """Writes a style file atomically; the arguments are those of `encode_moments`."""
    write_atomically(path, encode_moments(mean, std, model))


def encode_moments(mean: np.ndarray | Array, std: np.ndarray | Array, model: str) -> bytes:
    """Means and standard deviations, float32 (c,) or (n, c), as the bytes of a style file.

    `model` identifies the encoder whose channels these are.
    """
    from safetensors.numpy import save

    arrays = {"mean": np.asarray(mean), "std": np.asarray(std)}
    return save(arrays, {"format": "adain-jax", "kind": "style", "model": model})


def read_moments(path: str | Path, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads a style file, see `decode_moments`.

    Raises:
        StyleError: the file is missing, or as for `decode_moments`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StyleError(error.strerror or str(error), path) from error
    return decode_moments(data, path, model)


def decode_moments(data: bytes, path: str | Path, model: str) -> tuple[np.ndarray, np.ndarray]:
    """The moments in the bytes of a style file, which errors call `path`.

    Returns:
        The means and the standard deviations, float32 (c,) or (n, c).

    Raises:
        StyleError: these are no style file, a style of an encoder other than `model`, or values that
            are not statistics.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        metadata = safetensors_metadata(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise StyleError(f"not a safetensors file ({error})", path) from error
    if metadata.get("kind") != "style" or set(arrays) != {"mean", "std"}:
        raise StyleError("not a style file, as `Style.save` writes them", path)
    if metadata.get("model") != model:
        raise StyleError(
            f"a style of model {metadata.get('model')}, not {model}; encode it again", path
        )
    mean, std = arrays["mean"], arrays["std"]
    if mean.shape != std.shape or mean.ndim not in (1, 2):
        raise StyleError(f"mean {mean.shape} and std {std.shape} do not fit together", path)
    for name, array in arrays.items():
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise StyleError(f"{name} holds values that are not finite numbers", path)
    if (std < 0).any():
        raise StyleError("std holds negative values", path)
    return mean.astype(np.float32), std.astype(np.float32)
