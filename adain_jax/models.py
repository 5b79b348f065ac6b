"""The models: the network and the weight files of each, and where these are."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from adain_jax.errors import UsageError

# `weights` and the networks are imported inside the functions that need them: commands take the
# names from here, and NumPy or JAX would slow down --help.
if TYPE_CHECKING:
    from adain_jax.nn.network import StyleNetwork
    from adain_jax.weights import Kind
    from adain_jax.weights.architecture import Architecture

Model = Literal["fast", "vgg19"]


class Entry(NamedTuple):
    """What a model is made of."""

    home: str
    """The module and the name of its network's class."""
    files: "dict[str, Kind]"
    """Its weight files, by the names of the arguments and options that replace them."""
    trained: str
    """The file among them that training writes, and that a repository on the Hub holds."""

    @property
    def network(self) -> "type[StyleNetwork]":
        """The class of its network."""
        module, name = self.home.split(":")
        network: type[StyleNetwork] = getattr(import_module(module), name)
        return network

    @property
    def kind(self) -> "Kind":
        """The kind of the file that training writes."""
        return self.files[self.trained]


MODELS: dict[Model, Entry] = {
    "fast": Entry("adain_jax.nn.fast:FastNetwork", {"network": "fast"}, "network"),
    "vgg19": Entry(
        "adain_jax.nn.vgg19:VGG19Network",
        {"encoder": "vgg19-encoder", "decoder": "vgg19-decoder"},
        "decoder",
    ),
}

HUB = "hf://"
"""What the name of a repository on the Hugging Face Hub begins with: hf://OWNER/NAME."""


def entry(model: str) -> Entry:
    """What a model is made of.

    Raises:
        UsageError: there is no such model.
    """
    if model not in MODELS:
        raise UsageError(f"model must be {', '.join(MODELS)} or {HUB}OWNER/NAME, not {model}")
    return MODELS[model]


def check_files(name: str, paths: Mapping[str, str | Path | None]) -> None:
    """Checks that there is a model of this name, and that it has the files that are given.

    Args:
        name: "fast", "vgg19", or hf://OWNER/NAME, which is not looked into.
        paths: files by the names in `Entry.files`; None for one that is not given.

    Raises:
        UsageError: there is no such model, or a file is given that it does not have, or that its
            repository brings.
    """
    given = {part: path for part, path in paths.items() if path}
    if name.startswith(HUB):
        for part in given.keys() & {entry.trained for entry in MODELS.values()}:
            raise UsageError(f"{name} brings its own {part}; leave out {given[part]}")
        return
    files = entry(name).files
    for part in given.keys() - files:
        raise UsageError(
            f"model {name} takes no such file as {part}, only {' and '.join(files)}: {given[part]}"
        )


def read_params(model: Model, **paths: str | Path | None) -> "tuple[dict[str, Any], Architecture]":
    """Reads the parameters of a model, from its default weight files or from others.

    Args:
        model: "fast" or "vgg19".
        paths: files to read instead of the default ones, by the names in `Entry.files`.

    Returns:
        {layer: {"kernel": ..., "bias": ...}}; for a model with several files, one such dict for
        each, by the names in `Entry.files`. And the architecture of its decoder.

    Raises:
        WeightsError: a file is missing or does not hold such weights.
        UsageError: there is no such model, or a file is given that the model does not have.
    """
    from adain_jax import weights
    from adain_jax.weights.architecture import PLAIN

    check_files(model, paths)
    parts, architecture = {}, PLAIN
    for name, kind in entry(model).files.items():
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


def is_available(model: Model) -> bool:
    """Whether all weight files of a model exist in their default places."""
    from adain_jax import weights

    return all(weights.default_path(kind).exists() for kind in MODELS[model].files.values())
