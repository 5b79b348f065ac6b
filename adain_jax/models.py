"""The models: the weight files of each, and where they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adain_jax import weights
from adain_jax.weights import Kind, Model
from adain_jax.weights.architecture import PLAIN, Architecture

WEIGHT_FILES: dict[Model, dict[str, Kind]] = {
    "fast": {"network": "fast"},
    "vgg19": {"encoder": "vgg19-encoder", "decoder": "vgg19-decoder"},
}
"""The files of each model, by the names of the arguments and options that replace them."""


def read_params(model: Model, **paths: str | Path | None) -> tuple[dict[str, Any], Architecture]:
    """Reads the parameters of a model, from its default weight files or from others.

    Args:
        model: "fast" or "vgg19".
        paths: files to read instead of the default ones, by the names in `WEIGHT_FILES`.

    Returns:
        {layer: {"kernel": ..., "bias": ...}}; for a model with several files, one such dict for
        each, by the names in `WEIGHT_FILES`. And the architecture of its decoder.

    Raises:
        WeightsError: a file is missing or does not hold such weights.
        ValueError: there is no such model, or a file is given that the model does not have.
    """
    check_files(model, paths)
    parts, architecture = {}, PLAIN
    for name, kind in WEIGHT_FILES[model].items():
        path = paths.get(name) or weights.default_path(kind)
        parts[name], found = weights.read_variant(path, kind)
        if found.transform == "concat":
            raise weights.WeightsError(
                f"holds {found}: it was trained to compare with, and takes no style of a picture "
                "of any size",
                path,
            )
        architecture = found if name == "decoder" else architecture
    return dict(parts.get("network", parts)), architecture


def check_files(model: Model, paths: Mapping[str, str | Path | None]) -> None:
    """Checks that a model exists, and that it has the files that are given.

    Raises:
        ValueError: as for `read_params`.
    """
    if model not in WEIGHT_FILES:
        raise ValueError(f"model must be {' or '.join(WEIGHT_FILES)}, not {model}")
    for name, path in paths.items():
        if path and name not in WEIGHT_FILES[model]:
            files = " and ".join(WEIGHT_FILES[model])
            raise ValueError(f"model {model} takes no such file as {name}, only {files}: {path}")


def is_available(model: Model) -> bool:
    """Whether all weight files of a model exist in their default places."""
    kinds = WEIGHT_FILES[model].values()
    return all(weights.default_path(kind).exists() for kind in kinds)
