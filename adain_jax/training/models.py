"""What is trained: the paper's decoder, or the fast network, which has its own encoder."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from adain_jax.models import MODELS, Model
from adain_jax.nn import bind
from adain_jax.nn.fast import FastNetwork
from adain_jax.nn.network import FeatureMap
from adain_jax.nn.norms import BatchNorm, ConditionalInstanceNorm, InstanceNorm
from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import Decoder
from adain_jax.style import EPSILON, adain, statistics
from adain_jax.training.config import Config
from adain_jax.weights import Layers
from adain_jax.weights.architecture import Architecture

Params = Mapping[str, Any]


class Trainee(Protocol):
    """A module to train: it turns the features of contents and styles into stylized pictures."""

    def encode(self, pictures: Features, relu4_1: Features) -> Features:
        """Returns the features on which the style acts.

        Args:
            pictures: float (n, h, w, 3) in [0, 1]; h and w are multiples of 8.
            relu4_1: VGG19's own features of the pictures, float (n, h / 8, w / 8, 512).
        """
        ...

    def __call__(
        self, content: Features, style: Features, style_index: Int[Array, " n"]
    ) -> Features:
        """Returns stylized pictures, float (n, h, w, 3), not clipped to [0, 1].

        Args:
            content, style: what `encode` returned for the contents and the styles.
            style_index: int (n,), the number of each style; only conditional normalization uses it.
        """
        ...


class StyleDecoder(nnx.Module):
    """--model vgg19: a decoder, and the transform before it if that has parameters.

    Args:
        config: the configuration of the run.
        styles: number of fixed styles, for the conditional transform.
        rngs: random keys for the initial parameters.
    """

    def __init__(self, config: Config, styles: int, *, rngs: nnx.Rngs):
        norm = {"none": None, "instance": InstanceNorm, "batch": BatchNorm}[config.norm]
        c_in = 1024 if config.transform == "concat" else 512
        self.transform = config.transform
        self.decoder = Decoder(norm=norm, c_in=c_in, rngs=rngs)
        if config.transform == "conditional":
            self.conditional = ConditionalInstanceNorm(512, styles)

    def encode(self, pictures: Features, relu4_1: Features) -> Features:
        """Returns VGG19's features, float (n, h / 8, w / 8, 512): the encoder is frozen."""
        return relu4_1

    def __call__(
        self, content: Features, style: Features, style_index: Int[Array, " n"]
    ) -> Features:
        """Decodes the output of AdaIN (section 6.1), or of another transform (sections 3.3, 7.2).

        The arguments are those of `Trainee`; features are float (n, h / 8, w / 8, 512). Returns
        float (n, h, w, 3), not clipped to [0, 1].
        """
        if self.transform == "concat":
            x = jnp.concatenate([content, style], axis=-1)
        elif self.transform == "conditional":
            x = self.conditional(content, style_index)
        else:
            x = adain(content, statistics(style))
        return self.decoder(x)


class FastTrainee(nnx.Module):
    """--model fast: a network with its own encoder, all of it trained.

    Args:
        config, styles: not used.
        rngs: random keys for the initial parameters.
    """

    def __init__(self, config: Config, styles: int, *, rngs: nnx.Rngs):
        self.network = FastNetwork(rngs=rngs)

    def encode(self, pictures: Features, relu4_1: Features) -> Features:
        """Returns the encoder's stand-in for `relu4_1`, float (n, h / 8, w / 8, 512)."""
        return self.network.encode(pictures).features

    def __call__(
        self, content: Features, style: Features, style_index: Int[Array, " n"]
    ) -> Features:
        """Applies AdaIN and decodes: float (n, h, w, 3), not clipped."""
        return self.network.stylize(FeatureMap(content, None), statistics(style))


TRAINEES: dict[Model, Callable[..., Any]] = {"vgg19": StyleDecoder, "fast": FastTrainee}
"""What is trained of each model: the attribute that `MODELS` calls `trained` becomes a weight file."""


def exported(config: Config, params: Params, batch_stats: Params) -> Layers:
    """The part of a trainee's parameters, arrays of NumPy, that is saved, as files hold it.

    Batch normalization by its running statistics is an affine map, which becomes a part of the
    convolution before it; the table of a conditional network lies beside the decoder's layers.
    """
    part = MODELS[config.model].trained
    layers = dict(params[part])
    for name in [name for name in layers if f"{name}_norm" in layers and config.norm == "batch"]:
        norm, running = layers.pop(f"{name}_norm"), batch_stats[part][f"{name}_norm"]
        factor = norm["scale"] / np.sqrt(running["var"] + EPSILON)
        layers[name] = {
            "kernel": layers[name]["kernel"] * factor,
            "bias": (layers[name]["bias"] - running["mean"]) * factor + norm["shift"],
        }
    if "conditional" in params:
        layers["conditional"] = params["conditional"]
    return layers


def architecture(config: Config, styles: Sequence[str]) -> Architecture:
    """What `exported` has beside the paper's layers; `styles` are the fixed ones' names."""
    return Architecture(
        "instance" if config.norm == "instance" else "none",
        config.transform,
        tuple(styles) if config.transform == "conditional" else (),
    )


def initial_variables(config: Config, styles: int, init: Params | None) -> tuple[Any, Any]:
    """The initial parameters and batch statistics of a trainee.

    Args:
        config: the configuration of the run.
        styles: number of fixed styles, for the conditional transform.
        init: layers as `weights.read` returns them; None for random ones from the seed.

    Returns:
        Two nested dictionaries of float32 arrays; the second is empty without batch normalization.
    """

    @jax.jit
    def initialize() -> tuple[Any, Any]:
        model = TRAINEES[config.model](config, styles, rngs=nnx.Rngs(config.seed))
        return variables(model, nnx.Param), variables(model, nnx.BatchStat)

    params, batch_stats = initialize()
    if init is not None:
        params = merge(
            params, {MODELS[config.model].trained: jax.tree.map(jnp.asarray, dict(init))}
        )
    return params, batch_stats


def bind_trainee(config: Config, styles: int, params: Params, batch_stats: Params) -> Any:
    """The trainee of `config.model` with these variables: nested dictionaries of arrays."""
    make = partial(TRAINEES[config.model], config, styles)
    return bind(make, merge(params, batch_stats))


def variables(model: nnx.Module, kind: type[nnx.Variable]) -> Any:
    """The variables of one kind of a module, as a nested dictionary of arrays."""
    return nnx.to_pure_dict(nnx.state(model, kind))


def merge(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Merges nested dictionaries; where they have the same leaf, the last one counts."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            nested = isinstance(value, Mapping)
            merged[key] = merge(merged.get(key, {}), value) if nested else value
    return merged
