"""Style files: safetensors with the mean and standard deviation of each feature channel."""

from pathlib import Path

import numpy as np
from jaxtyping import Array

from adain_jax.errors import StyleError
from adain_jax.files import safetensors_metadata, write_atomically


def write_moments(
    mean: np.ndarray | Array, std: np.ndarray | Array, path: str | Path, model: str
) -> None:
    """Writes means and standard deviations, float32 (c,) or (n, c), atomically.

    `model` identifies the encoder whose channels these are.
    """
    from safetensors.numpy import save

    arrays = {"mean": np.asarray(mean), "std": np.asarray(std)}
    metadata = {"format": "adain-jax", "kind": "style", "model": model}
    write_atomically(path, save(arrays, metadata))


def read_moments(path: str | Path, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads what `write_moments` wrote, and checks that it belongs to the encoder `model`.

    Returns:
        The means and the standard deviations, (c,) or (n, c).

    Raises:
        StyleError: the file is missing, is not a style file, holds a style of another model, or
            values that are not statistics.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = Path(path).read_bytes()
        arrays = load(data)
        metadata = safetensors_metadata(data)
    except OSError as error:
        raise StyleError(error.strerror or str(error), path) from error
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
