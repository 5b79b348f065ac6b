"""Maps a source's keys to our layers, and tells which keys are left out.

Three kinds of keys are known. *Numbers* count the modules of a PyTorch or Torch7 `Sequential`; the
tables below say which of them are convolutions. *Names* are Caffe's `conv1_1` and Keras's
`block1_conv1`. *Ranks* are Keras 3's `conv2d`, `conv2d_1` and so on, from a model's input to its
output. All may have a prefix, under which a checkpoint keeps a network among others. The layout of a
kernel follows from its shape.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from adain_jax.convert.errors import ConversionError, some
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
    r"(?P<prefix>(?:.*?[./_])??)"
    r"(?P<layer>block(?P<block>\d)_conv(?P<conv>\d)|conv(?P<name>\d_\d)|conv2d(?:_(?P<rank>\d+))?"
    r"|(?P<number>\d+))(?:[./](?P=layer))?"
    rf"(?:_1)?[./_](?P<part>{'|'.join(_KERNEL_WORDS + _BIAS_WORDS)})(?:_1)?(?::0)?"
)
# Heads of classifiers: Caffe's and Keras's, torchvision's, timm's.
_HEAD = re.compile(
    r"(.*[./])?(classifier|fc\d*|predictions|dense(_\d+)?|pre_logits|head|logits)([./_].*)?"
)
_OPTIMIZER = re.compile(r"(.*[./_])?optim", re.IGNORECASE)
_VGG19 = [
    f"conv{block}_{n}"
    for block, count in enumerate((2, 2, 4, 4, 4), 1)
    for n in range(1, count + 1)
]
_MOST_PROBLEMS = 40
_FEWEST_KEYS = 18  # nine layers, a kernel and a bias each

Keys = dict[tuple[str, str], str]  # (the source's layer, "kernel" or "bias") -> key


@dataclass(frozen=True)
class MatchedNetwork:
    """A source's layers in our layout, before any folding.

    Attributes:
        kind: encoder or decoder.
        naming: which key table matched, or "names".
        prefix: what precedes the names of its layers in the source's keys.
        layers: kernels float64 (3, 3, c_in, c_out) and biases float64 (c_out,).
        preprocessing: kernel (3, 3) and bias (3,) of a 1x1 layer before conv1_1, or None.
        left_out: keys that are not used: layers after relu4_1, the classifier, and what else a
            checkpoint holds beside the network.
    """

    kind: Kind
    naming: str
    prefix: str
    layers: Layers
    preprocessing: tuple[np.ndarray, np.ndarray] | None
    left_out: list[str]


def match_layers(arrays: Mapping[str, np.ndarray], path: Path) -> MatchedNetwork:
    """Finds the only network in the file at `path`, and assigns its arrays to layers.

    Raises:
        ConversionError: layers are missing, of another shape or not finite, or keys are unknown;
            all problems are listed at once, one per line, and then the keys. Or there are several
            networks.
    """
    networks = []
    prefixes = Counter(match["prefix"] for match in map(_KEY.fullmatch, arrays) if match)
    for prefix in (one for one, keys in prefixes.items() if keys >= _FEWEST_KEYS):
        network, problems = _match(arrays, prefix)
        if network and not problems:
            networks.append(network)
    if len(networks) > 1:
        found = " and ".join(f"{one.kind} under {one.prefix or 'no prefix'}" for one in networks)
        raise ConversionError(f"holds {found}; save one of them in a file of its own", path)
    if networks:
        return networks[0]
    # Perhaps its layers have different prefixes.
    network, problems = _match(arrays, None)
    if network and not problems:
        return network
    if any(key.endswith("running_mean") for key in arrays):
        problems = ["has batch normalization; take the VGG19 without it"]
    if len(problems) > _MOST_PROBLEMS:
        more = len(problems) - _MOST_PROBLEMS
        problems = [*problems[:_MOST_PROBLEMS], f"and {more} more problems"]
    problems.append(f"the keys found are {some(list(arrays))}")
    raise ConversionError("\n".join(problems), path)


def _match(
    arrays: Mapping[str, np.ndarray], prefix: str | None
) -> tuple[MatchedNetwork | None, list[str]]:
    """The network whose keys have this prefix, or any if it is None; and what is wrong with it."""
    parsed, left_out, unknown, problems = _parse(arrays, prefix)
    selected = _select_table(arrays, parsed)
    if not selected:
        return None, ["no layer names are known: expected 0.weight, conv1_1 or block1_conv1"]
    kind, naming, sources = selected
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
    left_out.sort(key=_natural)
    return MatchedNetwork(kind, naming, prefix or "", layers, preprocessing, left_out), problems


def _parse(
    arrays: Mapping[str, np.ndarray], prefix: str | None
) -> tuple[Keys, list[str], list[str], list[str]]:
    """The keys by layer and part, those that are left out, the unknown keys, and problems."""
    parsed: Keys = {}
    left_out, unknown, problems = [], [], []
    for key in arrays:
        match = _KEY.fullmatch(key)
        elsewhere = prefix is not None and (
            match["prefix"] != prefix if match else not key.startswith(prefix)
        )
        if elsewhere or _HEAD.fullmatch(key) or _OPTIMIZER.match(key):
            left_out.append(key)
        elif not match:
            unknown.append(key)
        else:
            part = "kernel" if match["part"] in _KERNEL_WORDS else "bias"
            layer = _layer(match)
            if (layer, part) in parsed:
                problems.append(f"{key} and {parsed[layer, part]} are both {layer}'s {part}")
            parsed[layer, part] = key
    return _name_ranks(arrays, parsed), left_out, unknown, problems


def _layer(match: re.Match[str]) -> str:
    """A source's layer: conv1_1, a number, or rank 0 for conv2d, rank 1 for conv2d_1 and so on."""
    if match["number"]:
        return match["number"]
    if match["layer"].startswith("conv2d"):
        return f"rank {int(match['rank'] or 0)}"
    return f"conv{match['name'] or match['block'] + '_' + match['conv']}"


def _name_ranks(arrays: Mapping[str, np.ndarray], parsed: Keys) -> Keys:
    """Gives layers that are known by their rank the names that they have in VGG19 or its mirror."""
    ranks = sorted({int(layer[5:]) for layer, _ in parsed if layer.startswith("rank ")})
    if not ranks:
        return parsed
    first = parsed.get((f"rank {ranks[0]}", "kernel"))
    mirrored = first is not None and arrays[first].shape == (3, 3, 512, 256)
    order = _layers("vgg19-decoder") if mirrored else _VGG19
    names = {f"rank {rank}": name for rank, name in zip(ranks, order, strict=False)}
    return {(names.get(layer, layer), part): key for (layer, part), key in parsed.items()}


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
        key = parsed[found]
        array = _to_layout(arrays[key], shape)
        if array is None:
            problems.append(f"{key}: shape {arrays[key].shape} does not fit {layer}, {shape}")
        elif not np.issubdtype(array.dtype, np.floating):
            problems.append(f"{key}: is {array.dtype}, not float")
        elif not np.isfinite(array).all():
            problems.append(f"{key}: holds values that are not finite")
        else:
            own[part] = array.astype(np.float64)
    return layers, problems


def _select_table(
    arrays: Mapping[str, np.ndarray], parsed: Keys
) -> tuple[Kind, str, dict[str, str]] | None:
    """The kind, the naming, and the source's layer for each of ours; None if no layer is known."""
    numbers = {int(layer) for layer, part in parsed if layer.isdigit() and part == "kernel"}
    names = [layer for layer, part in parsed if not layer.isdigit() and part == "kernel"]
    if names:
        top = arrays[parsed["conv4_1", "kernel"]].shape if "conv4_1" in names else ()
        decoder = top in ((256, 512, 3, 3), (3, 3, 512, 256))
        kind: Kind = "vgg19-decoder" if decoder else "vgg19-encoder"
        return kind, "names", {layer: layer for layer in _layers(kind)}
    if not numbers:
        return None

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
        return sources["conv4_1"].isdigit() and int(source) > int(sources["conv4_1"])
    return "conv4_1" < source <= "conv5_4"


def _natural(key: str) -> list[int | str]:
    return [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", key)]
