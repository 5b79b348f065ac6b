"""The programs in StableHLO, by `jax.export`, of any height and width and for every platform of JAX's.

`jax.export.deserialize(data).call(content=..., mean=..., std=..., alpha=...)` runs one.
"""

from collections.abc import Callable
from typing import Any

import flatbuffers  # noqa: F401  # what `jax.export` writes files with, which JAX does not require
import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float

from adain_jax.export.programs import Program
from adain_jax.inference.stylizer import Stylizer
from adain_jax.nn import StyleNetwork, bind
from adain_jax.nn.fast import round_up
from adain_jax.nn.network import FeatureMap
from adain_jax.style import AnyArray, Style

PLATFORMS = ("cpu", "cuda", "tpu")


def serialize(program: Program, stylizer: Stylizer, *, half: bool) -> bytes:
    """The file's bytes, with the weights in float16 or float32."""
    stored = jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float16 if half else np.float32), stylizer.params
    )

    def network() -> StyleNetwork:
        # Within the program, so that the file holds the weights as they are stored.
        full = jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(jnp.float32), stored)
        return bind(stylizer.network, full)

    def encode_style(style: Array) -> dict[str, AnyArray]:
        encoded = network().encode_style(*_framed(style))
        return {"mean": encoded.mean, "std": encoded.std}

    def paint(
        content: Array, mean: Array, std: Array, alpha: Array, masks: Array | None = None
    ) -> dict[str, Array]:
        framed, size = _framed(content)
        if masks is None:
            result = network()(framed, Style(mean, std), alpha, size=size)
        else:
            result = network()(framed, Style(mean, std), alpha, _framed(masks)[0], size)
        _, height, width, _ = content.shape
        return {"result": jnp.clip(result[:, :height, :width], 0, 1)}

    def encode(picture: Array) -> dict[str, Array]:
        return {"features": network().encode(*_framed(picture)).features.transpose(0, 3, 1, 2)}

    def decode(
        features: Array,
        content_mean: Array,
        content_std: Array,
        mean: Array,
        std: Array,
        alpha: Array,
    ) -> dict[str, Array]:
        own, style = Style(content_mean, content_std), Style(mean, std)
        features = features.transpose(0, 2, 3, 1)
        size = jnp.array([features.shape[1:3]], jnp.int32)
        result = network().stylize(FeatureMap(features, size), style, alpha, None, own)
        return {"result": jnp.clip(result, 0, 1)}

    # All shapes at once, so that the same name is the same length in each.
    scope = export.SymbolicScope()
    inputs = {
        name: jax.ShapeDtypeStruct(
            export.symbolic_shape(",".join(map(str, values.shape)), scope=scope), jnp.float32
        )
        for name, values in program.inputs.items()
    }
    functions: dict[str, Callable[..., dict[str, Any]]] = {
        "style": encode_style,
        "encoder": encode,
        "decoder": decode,
    }
    function = functions.get(program.name, paint)
    function.__name__ = f"{stylizer.model}_{program.name}".replace("-", "_")
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(**inputs)
    return bytes(exported.serialize())


def _framed(x: Float[Array, "1 h w c"]) -> tuple[Float[Array, "1 _ _ c"], Array]:
    """x in a frame whose sides are multiples of 8, and its own size, as our networks take them."""
    _, height, width, _ = x.shape
    margins = ((0, round_up(side) - side) for side in (height, width))
    return jnp.pad(x, ((0, 0), *margins, (0, 0))), jnp.array([[height, width]], jnp.int32)
