"""The models: which weight files each is made of, and where they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adain_jax import weights
from adain_jax.weights import Kind, Model

WEIGHT_FILES: dict[Model, dict[str, Kind]] = {
    "fast": {"network": "fast"},
    "distilled": {"network": "distilled"},
    "vgg19": {"encoder": "vgg19-encoder", "decoder": "vgg19-decoder"},
}
"""The files of each model, by the names of arguments and options that replace them."""


def read_params(model: Model, **paths: str | Path | None) -> dict[str, Any]:
    """The parameters of a model, from the weights that ship or were converted, or from others.

    Args:
        model: "fast", "distilled" or "vgg19".
        paths: files instead of those in their usual places, by the names in `WEIGHT_FILES`.

    Returns:
        {layer: {"kernel": ..., "bias": ...}}; of models of several files, one such dict for each.

    Raises:
        WeightsError: a file is missing or does not hold such weights.
        ValueError: there is no such model, or a file is given that it is not made of.
    """
    check_files(model, paths)
    parts = {
        name: weights.read(paths.get(name) or weights.default_path(kind), kind)
        for name, kind in WEIGHT_FILES[model].items()
    }
    return dict(parts.get("network", parts))


def check_files(model: Model, paths: Mapping[str, str | Path | None]) -> None:
    """Checks that a model exists, and is made of the files that are given.

    Raises:
        ValueError: what `read_params` says of it.
    """
    if model not in WEIGHT_FILES:
        raise ValueError(f"model must be {' or '.join(WEIGHT_FILES)}, not {model}")
    for name, path in paths.items():
        if path and name not in WEIGHT_FILES[model]:
            files = " and ".join(WEIGHT_FILES[model])
            raise ValueError(f"model {model} takes no such file as {name}, only {files}: {path}")


def is_available(model: Model) -> bool:
    """Whether all its weights lie where they are looked for."""
    kinds = WEIGHT_FILES[model].values()
    return all(weights.default_path(kind).exists() for kind in kinds)
