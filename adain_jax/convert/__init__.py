"""Converting published VGG19 and AdaIN decoder weights to the project's own files."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from adain_jax import weights
from adain_jax.convert import key_tables, sources
from adain_jax.convert.errors import ConversionError, UnknownConventionError, some
from adain_jax.files import safetensors_metadata
from adain_jax.weights import Kind, Layers

__all__ = [
    "Convention",
    "ConversionError",
    "Converted",
    "UnknownConventionError",
    "convert",
    "fold_preprocessing",
    "normalize_encoder",
]

Convention = Literal["unit", "torchvision", "caffe", "caffe-rgb"]

_KERAS_LAYER = re.compile(r"block1_conv1|conv2d(_\d+)?/")
_CLASSIFIER = re.compile(r"classifier\.(\d+)\.weight$")

# What an encoder expects, as an affine map of RGB in [0, 1]: x -> matrix @ x + offset.
_CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_PREPROCESSING: dict[Convention, tuple[np.ndarray, np.ndarray]] = {
    "unit": (np.eye(3), np.zeros(3)),
    "torchvision": (np.diag(1 / _IMAGENET_STD), -_IMAGENET_MEAN / _IMAGENET_STD),
    "caffe": (255 * np.eye(3)[::-1], -_CAFFE_MEAN_BGR),
    "caffe-rgb": (255 * np.eye(3), -_CAFFE_MEAN_BGR[::-1]),
}


@dataclass(frozen=True)
class Converted:
    """Weights in the project's layout.

    Attributes:
        kind: encoder or decoder.
        layers: float32 {layer: {"kernel": (3, 3, c_in, c_out), "bias": (c_out,)}}; an encoder takes
            RGB in [0, 1].
        left_out: the source's keys that are not used: layers after relu4_1, the classifier, and
            what else a checkpoint holds.
        metadata: the source's name, its sha256 and, for an encoder, its convention.
        values: identifies the source's own values, whatever kind of file they came in: a digest of
            all biases and of the kernels up to conv3_4 of an encoder, see `_digest`.
    """

    kind: Kind
    layers: Layers
    left_out: list[str]
    metadata: Mapping[str, str]
    values: str

    def write(self, path: str | Path) -> None:
        """Writes the safetensors file that `adain_jax.weights.read` reads, atomically."""
        weights.write(path, self.layers, self.kind, self.metadata)


def convert(source: str | Path, convention: Convention | None = None) -> Converted:
    """Reads a weight file of any known kind and converts it to the project's layout.

    Args:
        source: `.pth` (legacy or zip), `.t7`, `.npz`, `.h5`, `.keras`, `.safetensors` or
            `.caffemodel`. The network may be nested in a checkpoint, if there is only one.
        convention: the pictures that the source's encoder expects, by default inferred from its key
            names: "unit" (RGB in [0, 1]), "torchvision" (RGB, minus ImageNet's mean, divided by its
            standard deviation), "caffe" (BGR in 0..255, minus the mean) or "caffe-rgb" (the same in
            RGB order). Not used for encoders that begin with a 1x1 preprocessing layer.

    Raises:
        UnknownConventionError: the key names do not tell which pictures the encoder expects.
        ConversionError: the file cannot be read, is refused, or is not such a network; every
            problem is listed, one per line, and then the keys of the file.
    """
    path = Path(source)
    arrays = sources.read(path)
    network = key_tables.match_layers(arrays, path)
    layers = network.layers
    metadata = {"source": path.name, "sha256": sources.sha256(path)}
    if network.kind == "vgg19-encoder":
        if network.preprocessing is not None:
            matrix, offset = network.preprocessing
            metadata["convention"] = "1x1 layer, folded"
        else:
            used = convention or _convention_of(path, arrays, network)
            matrix, offset = _PREPROCESSING[used]
            metadata["convention"] = used
        layers = {**layers, "conv1_1": fold_preprocessing(layers["conv1_1"], matrix, offset)}
    layers = {
        name: {part: array.astype(np.float32) for part, array in parts.items()}
        for name, parts in layers.items()
    }
    return Converted(network.kind, layers, network.left_out, metadata, _digest(network))


def normalize_encoder(converted: Converted, folder: Path) -> Converted:
    """Scales every filter of an encoder to a mean activation of 1 over a folder of pictures.

    Raises:
        ConversionError: the folder holds no picture.
        PictureError: it is not a folder, or a picture cannot be read.
    """
    # JAX takes seconds to import, and only this needs it.
    from adain_jax.convert.activations import mean_activations, normalize_filters
    from adain_jax.images import find_pictures, read_picture
    from adain_jax.progress import track

    paths = find_pictures(folder)
    if not paths:
        raise ConversionError("no picture in this folder", folder)
    pictures = (read_picture(path, size=256, crop=True) for path in paths)
    tracked = track("measuring activations", pictures, len(paths))
    layers = normalize_filters(converted.layers, mean_activations(converted.layers, tracked))
    metadata = {**converted.metadata, "normalized": f"mean activation 1 over {folder.name}"}
    return replace(converted, layers=layers, metadata=metadata)


def fold_preprocessing(
    layer: Mapping[str, np.ndarray], matrix: np.ndarray, offset: np.ndarray
) -> dict[str, np.ndarray]:
    """Folds the map x -> matrix @ x + offset into the layer that follows it.

    This is exact, because reflection padding only copies pixels.
    """
    kernel = layer["kernel"].astype(np.float64)
    bias = layer["bias"] + np.einsum("hwio,i->o", kernel, offset)
    return {"kernel": np.einsum("hwio,ij->hwjo", kernel, matrix), "bias": bias}


def _digest(network: key_tables.MatchedNetwork) -> str:
    """A digest of the values of a network as its file has them, in float32, before any folding.

    Kernels of decoders, and conv4_1's, are left out: to recognize the published networks, this needs
    their exact values, and these kernels were known only rounded when it was written.
    """
    digest = hashlib.sha256()
    for array in network.preprocessing or ():
        digest.update(array.astype("<f4").tobytes())
    for name, parts in network.layers.items():
        if network.kind == "vgg19-encoder" and name != "conv4_1":
            digest.update(parts["kernel"].astype("<f4").tobytes())
        digest.update(parts["bias"].astype("<f4").tobytes())
    return digest.hexdigest()


def _convention_of(
    path: Path, arrays: Mapping[str, np.ndarray], network: key_tables.MatchedNetwork
) -> Convention:
    """The convention that a source's key names imply."""
    if network.naming == "torchvision" and "features." in network.prefix:
        return "caffe" if _has_classifier_of_caffe(arrays) else "torchvision"
    if path.suffix == ".caffemodel" or any(_KERAS_LAYER.search(key) for key in arrays):
        return "caffe"
    if (
        path.suffix == ".safetensors"
        and safetensors_metadata(path.read_bytes()).get("format") == "adain-jax"
    ):
        return "unit"
    raise UnknownConventionError(
        f"its names ({some(list(arrays), most=4)}) do not tell which pictures it expects; the "
        "convention is one of " + ", ".join(get_args(Convention)),
        path,
    )


def _has_classifier_of_caffe(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a VGG19 under torchvision's names has the classifier of those translated from Caffe.

    Their linear layers are modules 1 and 4 of the classifier, torchvision's are 0, 3 and 6.
    """
    numbers = {match[1] for match in map(_CLASSIFIER.search, arrays) if match}
    return bool(numbers & {"1", "4"}) and not numbers & {"0", "3"}
