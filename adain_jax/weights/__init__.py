"""The project's weight files: safetensors with one kernel and bias per layer, read strictly.

Keys are the paths of a network's parameters, joined by dots: `conv1_1.kernel`, float
(3, 3, c_in, c_out), `conv1_1.bias`, float (c_out,), and so on. Layers of the VGG19 decoder are
named after the encoder layer that they mirror. The encoder takes RGB in [0, 1].

A decoder may have other layers than the paper's: its metadata say which, see
`adain_jax.weights.architecture`.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adain_jax.errors import AdainError
from adain_jax.files import safetensors_metadata, write_atomically
from adain_jax.weights.architecture import PLAIN, Architecture, read_architecture

Kind = Literal["fast", "vgg19-encoder", "vgg19-decoder"]
Layers = dict[str, Any]
"""The parameters of a network: nested by the names of its layers, down to `kernel` and `bias`."""


class WeightsError(AdainError):
    """A weights file that is missing or not what it should be; `path` names it."""


def shapes(kind: Kind, architecture: Architecture = PLAIN) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of a network, by its key, in the order of its layers.

    `architecture` is of decoders. The table of a conditional one comes last: `conditional.scale` and
    `conditional.shift`, (styles, 512).
    """
    from adain_jax.nn import InstanceNorm, parameter_shapes
    from adain_jax.nn.fast import FastNetwork
    from adain_jax.nn.network import CHANNELS
    from adain_jax.nn.vgg19 import Decoder, VGG19Encoder

    networks: dict[Kind, Callable[..., Any]] = {
        "fast": FastNetwork,
        "vgg19-encoder": VGG19Encoder,
        "vgg19-decoder": Decoder,
    }
    network = networks[kind]
    if architecture.norm == "instance":
        network = partial(network, norm=InstanceNorm)
    if architecture.transform == "concat":
        network = partial(network, c_in=2 * CHANNELS)
    found = flatten(parameter_shapes(network))
    if architecture.styles:
        table = len(architecture.styles), CHANNELS
        found |= {"conditional.scale": table, "conditional.shift": table}
    return found


def default_path(kind: Kind) -> Path:
    """The default file of these weights: converted ones if they exist, else those that ship.

    Converted weights are in the user's data folder, or in the folder that the environment variable
    ADAIN_JAX_DATA names. The fast network and a decoder for VGG19 ship with the package.
    """
    own = converted_path(kind)
    shipped = Path(__file__).parent / own.name
    return shipped if shipped.exists() and not own.exists() else own


def converted_path(kind: Kind) -> Path:
    """The file that `adain convert` writes by default."""
    from platformdirs import user_data_path

    folder = os.environ.get("ADAIN_JAX_DATA")
    return (Path(folder) if folder else user_data_path("adain-jax")) / f"{kind}.safetensors"


def read(path: str | Path, kind: Kind) -> Layers:
    """Reads the weights of one of the paper's networks, see `read_variant`.

    Raises:
        WeightsError: as for `read_variant`, or a decoder has other layers than the paper's.
    """
    layers, architecture = read_variant(path, kind)
    if architecture != PLAIN:
        raise WeightsError(f"holds {architecture}, which is of no use here", path)
    return layers


def read_variant(path: str | Path, kind: Kind) -> tuple[Layers, Architecture]:
    """Reads the weights of one network, nested by layer, in float32, and what network it is.

    Raises:
        WeightsError: the file is missing or not of this kind, its metadata record no architecture
            that there is, or a layer is missing, unknown, of another shape or not finite; all such
            problems are listed at once.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        remedy = {
            "fast": "",
            "vgg19-encoder": "; `adain convert --download` fetches and converts one",
            "vgg19-decoder": "; `adain convert FILE` converts a published one",
        }[kind]
        raise WeightsError(f"no such file{remedy}", path) from None
    except OSError as error:
        raise WeightsError(error.strerror or str(error), path) from error
    try:
        arrays = load(data)
        metadata = safetensors_metadata(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(
            f"not a safetensors file; run `adain convert {path}` if it holds published weights",
            path,
        ) from error
    if metadata.get("kind") != kind:
        raise WeightsError(
            f"holds {metadata.get('kind', 'weights of another project')}, not {kind}"
            + ("" if "kind" in metadata else f"; run `adain convert {path}` on it"),
            path,
        )
    architecture = PLAIN
    if kind == "vgg19-decoder":
        try:
            architecture = read_architecture(metadata)
        except ValueError as error:
            raise WeightsError(str(error), path) from None
    problems = check(arrays, kind, architecture)
    if problems:
        raise WeightsError("; ".join(problems), path)
    keys = shapes(kind, architecture)
    return nest({key: arrays[key].astype(np.float32) for key in keys}), architecture


def write(
    path: str | Path,
    layers: Layers,
    kind: Kind,
    metadata: Mapping[str, str] | None = None,
    architecture: Architecture = PLAIN,
) -> None:
    """Writes one network atomically; `metadata` is stored together with the format and kind.

    A decoder's `architecture` is recorded beside them.

    Raises:
        WeightsError: `layers` are not the weights of this kind; all problems are listed at once.
    """
    from safetensors.numpy import save

    arrays = {key: np.ascontiguousarray(array) for key, array in flatten(layers).items()}
    problems = check(arrays, kind, architecture)
    if problems:
        raise WeightsError("; ".join(problems), path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    recorded = {"format": "adain-jax", "kind": kind, **(metadata or {}), **architecture.metadata()}
    write_atomically(path, save(arrays, recorded))


def to_half(layers: Layers) -> Layers:
    """Converts to float16, like the weights that ship: half the size, 11 bits of precision."""
    return nest({key: array.astype(np.float16) for key, array in flatten(layers).items()})


def check(
    arrays: Mapping[str, np.ndarray], kind: Kind, architecture: Architecture = PLAIN
) -> list[str]:
    """Describes everything that is wrong with `arrays` as weights of this kind."""
    expected = shapes(kind, architecture)
    problems = [f"{key} is missing" for key in expected if key not in arrays]
    problems += [f"{key} is not a part of {kind}" for key in arrays if key not in expected]
    for key, shape in expected.items():
        if key in arrays:
            array = arrays[key]
            if array.shape != shape:
                problems.append(f"{key} has shape {array.shape}, not {shape}")
            elif not np.issubdtype(array.dtype, np.floating):
                problems.append(f"{key} is {array.dtype}, not float")
            elif not np.isfinite(array).all():
                problems.append(f"{key} holds values that are not finite")
    return problems


def flatten(layers: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves by their paths, joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in layers.items():
        nested = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def nest(flat: Mapping[str, Any]) -> Layers:
    """The inverse of `flatten`."""
    layers: Layers = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        place = layers
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    return layers
