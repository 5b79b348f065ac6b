"""The project's weight files: safetensors with one kernel and bias per layer, read strictly.

Keys are `conv1_1.kernel`, float (3, 3, c_in, c_out), and `conv1_1.bias`, float (c_out,), and so on;
decoder layers are named after the encoder layer they mirror. The encoder takes RGB in [0, 1].
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from adain_jax.errors import AdainError
from adain_jax.files import write_atomically

Model = Literal["fast", "vgg19"]
Kind = Literal["fast", "vgg19-encoder", "vgg19-decoder"]
Layers = dict[str, dict[str, Float[np.ndarray, "..."]]]

_VGG19 = {
    "conv1_1": (3, 64),
    "conv1_2": (64, 64),
    "conv2_1": (64, 128),
    "conv2_2": (128, 128),
    "conv3_1": (128, 256),
    "conv3_2": (256, 256),
    "conv3_3": (256, 256),
    "conv3_4": (256, 256),
    "conv4_1": (256, 512),
}
CHANNELS: dict[Kind, dict[str, tuple[int, int]]] = {
    "fast": {
        "half_1": (12, 24),
        "quarter_1": (96, 64),
        **{f"quarter_{i}": (64, 64) for i in (2, 3)},
        "eighth_1": (64, 128),
        **{f"eighth_{i}": (128, 128) for i in range(2, 8)},
        "quarter_4": (128, 64),
        **{f"quarter_{i}": (64, 64) for i in range(5, 9)},
        "half_2": (64, 24),
        "half_3": (24, 12),
    },
    "vgg19-encoder": _VGG19,
    "vgg19-decoder": {name: (c, b) for name, (b, c) in reversed(_VGG19.items())},
}


class WeightsError(AdainError):
    """A weights file that is missing or not what it should be; `path` names it."""


def default_path(kind: Kind) -> Path:
    """Where weights lie unless told otherwise: what was converted, else what ships with the package.

    Converted weights lie in the user's data folder, or in the one that the environment variable
    ADAIN_JAX_DATA names. The fast network and a decoder for VGG19 ship.
    """
    own = converted_path(kind)
    shipped = Path(__file__).parent / own.name
    return shipped if shipped.exists() and not own.exists() else own


def converted_path(kind: Kind) -> Path:
    """Where `convert_vgg.py` writes."""
    from platformdirs import user_data_path

    folder = os.environ.get("ADAIN_JAX_DATA")
    return (Path(folder) if folder else user_data_path("adain-jax")) / f"{kind}.safetensors"


def read(path: str | Path, kind: Kind) -> Layers:
    """Reads the weights of one network, as {layer: {"kernel": ..., "bias": ...}} in float32.

    Raises:
        WeightsError: the file is missing, not of this kind, or any layer is missing, unknown, of
            another shape or not finite; all that is wrong is listed at once.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        remedy = {
            "fast": "",
            "vgg19-encoder": "; `python convert_vgg.py --download` fetches and converts one",
            "vgg19-decoder": "; `python convert_vgg.py FILE` converts a published one",
        }[kind]
        raise WeightsError(f"no such file{remedy}", path) from None
    except OSError as error:
        raise WeightsError(error.strerror or str(error), path) from error
    try:
        arrays = load(data)
        metadata = header(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(
            f"not a safetensors file; run `python convert_vgg.py {path}` if it holds "
            f"published weights",
            path,
        ) from error
    if metadata.get("kind") != kind:
        raise WeightsError(
            f"holds {metadata.get('kind', 'weights of another project')}, not {kind}"
            + ("" if "kind" in metadata else f"; run `python convert_vgg.py {path}` on it"),
            path,
        )
    problems = check(arrays, kind)
    if problems:
        raise WeightsError("; ".join(problems), path)
    layers: Layers = {}
    for name in CHANNELS[kind]:
        layers[name] = {
            part: arrays[f"{name}.{part}"].astype(np.float32) for part in ("kernel", "bias")
        }
    return layers


def write(
    path: str | Path, layers: Layers, kind: Kind, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes one network atomically, with `metadata` beside the format and kind."""
    from safetensors.numpy import save

    arrays = {
        f"{name}.{part}": np.ascontiguousarray(array)
        for name, parts in layers.items()
        for part, array in parts.items()
    }
    problems = check(arrays, kind)
    if problems:
        raise WeightsError("; ".join(problems), path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(arrays, {"format": "adain-jax", "kind": kind, **(metadata or {})}))


def check(arrays: Mapping[str, np.ndarray], kind: Kind) -> list[str]:
    """All that keeps `arrays` from being the weights of this kind, in words."""
    expected: dict[str, tuple[int, ...]] = {}
    for name, (c_in, c_out) in CHANNELS[kind].items():
        expected[f"{name}.kernel"] = (3, 3, c_in, c_out)
        expected[f"{name}.bias"] = (c_out,)
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


def header(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else {}
