"""Style files: safetensors with the mean and standard deviation of each feature channel."""

from pathlib import Path

import numpy as np

from adain_jax.files import write_atomically
from adain_jax.style import Style, StyleError
from adain_jax.weights import header


def write_style(style: Style, path: str | Path, model: str) -> None:
    """Writes a style of the encoder that `model` identifies, atomically."""
    from safetensors.numpy import save

    arrays = {"mean": np.asarray(style.mean), "std": np.asarray(style.std)}
    metadata = {"format": "adain-jax", "kind": "style", "model": model}
    write_atomically(path, save(arrays, metadata))


def read_style(path: str | Path, model: str) -> Style:
    """Reads what `write_style` wrote.

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
    metadata = header(data)
    if metadata.get("kind") != "style" or set(arrays) != {"mean", "std"}:
        raise StyleError("not a style file, as `Style.save` writes them", path)
    if metadata.get("model") != model:
        raise StyleError(
            f"a style of model {metadata.get('model')}, not {model}; encode it again", path
        )
    mean, std = arrays["mean"], arrays["std"]
    if mean.shape != std.shape or mean.ndim not in (1, 2):
        raise StyleError(f"mean {mean.shape} and std {std.shape} do not fit together", path)
    return Style(mean, std)
