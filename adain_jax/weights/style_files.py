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
        StyleError: the file is missing, is not a style file, or holds a style of another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = Path(path).read_bytes()
        arrays = load(data)
    except OSError as error:
        raise StyleError(error.strerror or str(error), path) from error
    except SafetensorError as error:
        raise StyleError(f"not a safetensors file ({error})", path) from error
    metadata = safetensors_metadata(data)
    if metadata.get("kind") != "style" or set(arrays) != {"mean", "std"}:
        raise StyleError("not a style file, as `Style.save` writes them", path)
    if metadata.get("model") != model:
        raise StyleError(
            f"a style of model {metadata.get('model')}, not {model}; encode it again", path
        )
    mean, std = arrays["mean"], arrays["std"]
    if mean.shape != std.shape or mean.ndim not in (1, 2):
        raise StyleError(f"mean {mean.shape} and std {std.shape} do not fit together", path)
    return mean, std
