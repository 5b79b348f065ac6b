"""Maps a source's keys to our layers, and tells which keys are left out.

Two kinds of keys are known. *Numbers* count the modules of a PyTorch or Torch7 `Sequential`; the
tables below say which of them are convolutions. *Names* are Caffe's `conv1_1` and Keras's
`block1_conv1`, with any prefix and suffix. The layout of a kernel follows from its shape.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from adain_jax.convert.errors import ConversionError
from adain_jax.weights import Kind, Layers, shapes

# Module numbers of the layers, from input to output. Module 0 of the sequential encoder is 1x1.
_NUMBERS: dict[str, tuple[Kind, list[int]]] = {
    "sequential encoder": ("vgg19-encoder", [2, 5, 9, 12, 16, 19, 22, 25, 29]),
    "torchvision": ("vgg19-encoder", [0, 2, 5, 7, 10, 12, 14, 16, 19]),
    "sequential decoder": ("vgg19-decoder", [1, 5, 8, 11, 14, 18, 21, 25, 28]),
}
_KERNEL_WORDS = ("kernel", "weight", "weights", "W", "vars/0")
_BIAS_WORDS = ("bias", "biases", "b", "vars/1")
_KEY = re.compile(
    rf"(?:^|.*[./_])(?:block(?P<block>\d)_conv(?P<conv>\d)|conv(?P<name>\d_\d)|(?P<number>\d+))"
    rf"(?:_1)?[./_](?P<part>{'|'.join(_KERNEL_WORDS + _BIAS_WORDS)})(?:_1)?(?::0)?$"
)
_CLASSIFIER = re.compile(r"(^|.*[./])(classifier\.\d+|fc\d|predictions)\b.*")

Keys = dict[tuple[str, str], str]  # (the source's layer, "kernel" or "bias") -> key


@dataclass(frozen=True)
class MatchedNetwork:
    """A source's layers in our layout, before any folding.

    Attributes:
        kind: encoder or decoder.
        naming: which key table matched, or "names".
        layers: kernels float64 (3, 3, c_in, c_out) and biases float64 (c_out,).
        preprocessing: kernel (3, 3) and bias (3,) of a 1x1 layer before conv1_1, or None.
        left_out: keys that are not used: layers after relu4_1, and the classifier.
    """

    kind: Kind
    naming: str
    layers: Layers
    preprocessing: tuple[np.ndarray, np.ndarray] | None
    left_out: list[str]


def match_layers(arrays: Mapping[str, np.ndarray], path: Path) -> MatchedNetwork:
    """Assigns every array of the file at `path` to a layer.

    Raises:
        ConversionError: layers are missing, of another shape or not finite, or keys are unknown;
            all problems are listed at once, one per line.
    """
    parsed, left_out, unknown, problems = _parse(arrays)
    kind, naming, sources = _select_table(arrays, parsed, path)
    layers, missing = _collect(arrays, parsed, kind, sources)
    problems += missing
    used = {(source, part) for source in sources.values() for part in ("kernel", "bias")}
    preprocessing = None
    if naming == "sequential encoder":
        used |= {("0", "kernel"), ("0", "bias")}
        try:
            kernel, bias = (arrays[parsed["0", part]] for part in ("kernel", "bias"))
            preprocessing = kernel.reshape(3, 3).astype(np.float64), bias.astype(np.float64)
        except (KeyError, ValueError):
            problems.append("module 0 must be the 1x1 layer, kernel (3, 3, 1, 1) and bias (3,)")
    for source, part in parsed.keys() - used:
        key = parsed[source, part]
        (left_out if _is_deeper(source, kind, sources) else unknown).append(key)
    problems += [f"{key}: not a part of {kind}" for key in sorted(unknown)]
    if problems:
        raise ConversionError("\n".join(problems), path)
    return MatchedNetwork(kind, naming, layers, preprocessing, sorted(left_out, key=_natural))


def _parse(arrays: Mapping[str, np.ndarray]) -> tuple[Keys, list[str], list[str], list[str]]:
    """The keys by layer and part, the keys of a classifier, the unknown keys, and problems."""
    parsed: Keys = {}
    left_out, unknown, problems = [], [], []
    for key in arrays:
        match = _KEY.match(key)
        if _CLASSIFIER.match(key):
            left_out.append(key)
        elif not match:
            unknown.append(key)
        else:
            part = "kernel" if match["part"] in _KERNEL_WORDS else "bias"
            name = match["name"] or (match["block"] and f"{match['block']}_{match['conv']}")
            layer = f"conv{name}" if name else match["number"]
            if (layer, part) in parsed:
                problems.append(f"{key} and {parsed[layer, part]} are both {layer}'s {part}")
            parsed[layer, part] = key
    return parsed, left_out, unknown, problems


def _collect(
    arrays: Mapping[str, np.ndarray], parsed: Keys, kind: Kind, sources: Mapping[str, str]
) -> tuple[Layers, list[str]]:
    """The layers in our layout, and what is wrong with them."""
    layers: Layers = {}
    expected = shapes(kind)
    problems = []
    for layer, part in product(_layers(kind), ("kernel", "bias")):
        shape = expected[f"{layer}.{part}"]
        own = layers.setdefault(layer, {})
        found = sources[layer], part
        if found not in parsed:
            problems.append(f"{layer}: no {part} (of module {sources[layer]})")
            continue
        array = _to_layout(arrays[parsed[found]], shape)
        if array is None:
            had = arrays[parsed[found]].shape
            problems.append(f"{parsed[found]}: shape {had} does not fit {layer}, {shape}")
        elif not np.isfinite(array).all():
            problems.append(f"{parsed[found]}: holds values that are not finite")
        else:
            own[part] = array.astype(np.float64)
    return layers, problems


def _select_table(
    arrays: Mapping[str, np.ndarray], parsed: Keys, path: Path
) -> tuple[Kind, str, dict[str, str]]:
    """The kind, the naming, and the source's layer for each of ours."""
    numbers = {int(layer) for layer, part in parsed if layer.isdigit() and part == "kernel"}
    names = [layer for layer, part in parsed if not layer.isdigit() and part == "kernel"]
    if names:
        top = arrays[parsed["conv4_1", "kernel"]].shape if "conv4_1" in names else ()
        decoder = top in ((256, 512, 3, 3), (3, 3, 512, 256))
        kind: Kind = "vgg19-decoder" if decoder else "vgg19-encoder"
        return kind, "names", {layer: layer for layer in _layers(kind)}
    if not numbers:
        raise ConversionError(
            "no layer names are known: expected numbers (0.weight), conv1_1 or block1_conv1", path
        )

    def matches(naming: str) -> int:
        return len(numbers & set(_NUMBERS[naming][1]))

    naming = max(_NUMBERS, key=matches)
    kind, table = _NUMBERS[naming]
    return kind, naming, dict(zip(_layers(kind), map(str, table), strict=True))


def _layers(kind: Kind) -> list[str]:
    """The names of a network's layers, from its input to its output."""
    return list(dict.fromkeys(key.split(".")[0] for key in shapes(kind)))


def _to_layout(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Brings an array in HWIO or OIHW to HWIO; None if it is in neither."""
    if array.shape == shape:
        return array
    if len(shape) == 4 and array.shape == (shape[3], shape[2], *shape[:2]):
        return array.transpose(2, 3, 1, 0)
    return None


def _is_deeper(source: str, kind: Kind, sources: Mapping[str, str]) -> bool:
    """Whether this is one of VGG19's layers after relu4_1."""
    if kind == "vgg19-decoder":
        return False
    if source.isdigit():
        return int(source) > int(sources["conv4_1"])
    return "conv4_1" < source <= "conv5_4"


def _natural(key: str) -> list[int | str]:
    return [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", key)]
