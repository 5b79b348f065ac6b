"""Flax NNX modules: layers, normalization, the VGG19 encoder and its decoder, the fast network."""

from adain_jax.nn.binding import abstract, bind, parameter_shapes
from adain_jax.nn.fast import FastDecoder, FastEncoder, FastNetwork
from adain_jax.nn.layers import PointwiseConv, ReflectConv, UpsampleConv, max_pool
from adain_jax.nn.network import FeatureMap, StyleNetwork
from adain_jax.nn.norms import (
    AdaptiveInstanceNorm,
    BatchNorm,
    ConditionalInstanceNorm,
    InstanceNorm,
)
from adain_jax.nn.vgg19 import Decoder, Taps, VGG19Encoder, VGG19Network

__all__ = [
    "AdaptiveInstanceNorm",
    "BatchNorm",
    "ConditionalInstanceNorm",
    "Decoder",
    "FastDecoder",
    "FastEncoder",
    "FastNetwork",
    "FeatureMap",
    "InstanceNorm",
    "PointwiseConv",
    "ReflectConv",
    "StyleNetwork",
    "Taps",
    "UpsampleConv",
    "VGG19Encoder",
    "VGG19Network",
    "abstract",
    "bind",
    "max_pool",
    "parameter_shapes",
]
