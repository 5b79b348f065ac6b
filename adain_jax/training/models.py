"""What is trained: the paper's decoder, or a light network with an encoder of its own."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Int

from adain_jax import weights
from adain_jax.nn import bind
from adain_jax.nn.distilled import DistilledNetwork
from adain_jax.nn.fast import FastNetwork
from adain_jax.nn.network import FeatureMap, StyleNetwork
from adain_jax.nn.norms import BatchNorm, ConditionalInstanceNorm, InstanceNorm
from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import Decoder
from adain_jax.style import adain, statistics
from adain_jax.training.config import Config

Params = Mapping[str, Any]


class Trainee(Protocol):
    """A module to be trained: from the features of contents and styles to stylized pictures."""

    def encode(self, pictures: Features, relu4_1: Features) -> Any:
        """The features that the style enters, of pictures (n, h, w, 3).

        `relu4_1` are VGG19's own features of the same pictures, (n, h / 8, w / 8, 512).
        """
        ...

    def __call__(self, content: Any, style: Any, style_index: Int[Array, " n"]) -> Features:
        """Stylized pictures (n, h, w, 3), not clipped, of features that `encode` gave."""
        ...


class StyleDecoder(nnx.Module):
    """--model vgg19: a decoder, and the transform before it where that learns."""

    def __init__(self, config: Config, styles: int, *, rngs: nnx.Rngs):
        norm = {"none": None, "instance": InstanceNorm, "batch": BatchNorm}[config.norm]
        c_in = 1024 if config.transform == "concat" else 512
        self.transform = config.transform
        self.decoder = Decoder(norm=norm, c_in=c_in, rngs=rngs)
        if config.transform == "conditional":
            self.conditional = ConditionalInstanceNorm(512, styles)

    def encode(self, pictures: Features, relu4_1: Features) -> Features:
        """VGG19's features: its encoder is frozen."""
        return relu4_1

    def __call__(
        self, content: Features, style: Features, style_index: Int[Array, " n"]
    ) -> Features:
        """Section 6.1, or one of the ablations of section 7.2."""
        if self.transform == "concat":
            x = jnp.concatenate([content, style], axis=-1)
        elif self.transform == "conditional":
            x = self.conditional(content, style_index)
        else:
            x = adain(content, statistics(style))
        return self.decoder(x)


class NetworkTrainee(nnx.Module):
    """--model fast or distilled: a network with an encoder of its own, all of it trained."""

    def __init__(
        self, network: Callable[..., StyleNetwork], config: Config, styles: int, *, rngs: nnx.Rngs
    ):
        self.network = network(rngs=rngs)

    def encode(self, pictures: Features, relu4_1: Features) -> list[Features]:
        """The features of the network's own encoder, scale by scale."""
        return [scale.features for scale in self.network.encode(pictures, None)]

    def __call__(
        self, content: list[Features], style: list[Features], style_index: Int[Array, " n"]
    ) -> Features:
        """AdaIN at every scale, and the network's own decoder."""
        contents, styles = (
            [FeatureMap(features, None) for features in scales] for scales in (content, style)
        )
        return self.network.stylize(contents, self.network.statistics(styles))


class Entry(NamedTuple):
    """How a model is trained, and what is saved of it."""

    trainee: Callable[..., Any]
    part: str
    """The attribute of the trainee whose parameters become a weight file."""
    kind: weights.Kind
    """The kind of that file."""


REGISTRY: dict[str, Entry] = {
    "vgg19": Entry(StyleDecoder, "decoder", "vgg19-decoder"),
    "fast": Entry(partial(NetworkTrainee, FastNetwork), "network", "fast"),
    "distilled": Entry(partial(NetworkTrainee, DistilledNetwork), "network", "distilled"),
}


def initial_variables(config: Config, styles: int, init: Params | None) -> tuple[Any, Any]:
    """Parameters and batch statistics of a trainee, as nested dictionaries of arrays.

    Args:
        config: of the run.
        styles: number of fixed styles, for the conditional transform.
        init: layers as `weights.read` gives them; None for random ones from the seed.
    """
    entry = REGISTRY[config.model]

    @jax.jit
    def initialize() -> tuple[Any, Any]:
        model = entry.trainee(config, styles, rngs=nnx.Rngs(config.seed))
        return variables(model, nnx.Param), variables(model, nnx.BatchStat)

    params, batch_stats = initialize()
    if init is not None:
        params = merge(params, {entry.part: jax.tree.map(jnp.asarray, dict(init))})
    return params, batch_stats


def bind_trainee(config: Config, styles: int, params: Params, batch_stats: Params) -> Any:
    """The trainee with these parameters and batch statistics."""
    make = partial(REGISTRY[config.model].trainee, config, styles)
    return bind(make, merge(params, batch_stats))


def variables(model: nnx.Module, kind: type[nnx.Variable]) -> Any:
    """A module's variables of one kind as a nested dictionary of arrays."""
    return nnx.to_pure_dict(nnx.state(model, kind))


def merge(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries laid over each other."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            nested = isinstance(value, Mapping)
            merged[key] = merge(merged.get(key, {}), value) if nested else value
    return merged
