"""One step of training: pure, over the decoder alone, the same under `jit` and `pmap`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from flax import nnx
from jaxtyping import Array, Float

from adain_jax import weights
from adain_jax.images.dtypes import to_float
from adain_jax.losses import content_loss, gram_losses, style_losses, total_variation
from adain_jax.nn import bind
from adain_jax.nn.fast import FastNetwork
from adain_jax.nn.norms import BatchNorm, ConditionalInstanceNorm, InstanceNorm
from adain_jax.nn.vgg19 import Decoder, VGG19Encoder
from adain_jax.style import adain, statistics
from adain_jax.training.config import Config

Params = Mapping[str, Any]
Measurements = dict[str, Float[Array, ""]]
AXIS = "devices"


class State(NamedTuple):
    """All that changes in training; arrays without a device axis."""

    step: Array
    params: Any
    running: Any  # running statistics of batch normalisation, if there is any
    opt_state: Any
    ema: Any  # None without --ema


class Pairs(NamedTuple):
    """Contents and styles of a batch: pictures (n, h, w, 3) or relu4_1 (n, h / 8, w / 8, 512)."""

    content: Array
    style: Array


class StyleDecoder(nnx.Module):
    """What is trained of --model vgg19: a decoder, and the transform before it where that learns."""

    def __init__(self, config: Config, styles: int, *, rngs: nnx.Rngs):
        norm = {"none": None, "instance": InstanceNorm, "batch": BatchNorm}[config.norm]
        c_in = 1024 if config.transform == "concat" else 512
        self.transform = config.transform
        self.decoder = Decoder(norm=norm, c_in=c_in, rngs=rngs)
        if config.transform == "conditional":
            self.conditional = ConditionalInstanceNorm(512, styles)

    def __call__(self, pictures: Pairs, features: Pairs, style_index: Array) -> Array:
        """The stylised pictures, of features alone."""
        content, style = features
        if self.transform == "concat":
            x = jnp.concatenate([content, style], axis=-1)
        elif self.transform == "conditional":
            x = self.conditional(content, style_index)
        else:
            x = adain(content, statistics(style))
        return self.decoder(x)


class TrainedNetwork(nnx.Module):
    """What is trained of --model fast: all of it."""

    def __init__(self, config: Config, styles: int, *, rngs: nnx.Rngs):
        self.network = FastNetwork(rngs=rngs)

    def __call__(self, pictures: Pairs, features: Pairs, style_index: Array) -> Array:
        """The stylised pictures, of pictures alone."""
        return self.network(pictures.content, self.network.encode_style(pictures.style))


Trained = StyleDecoder | TrainedNetwork
TRAINED: dict[str, Callable[..., Trained]] = {"vgg19": StyleDecoder, "fast": TrainedNetwork}
KINDS: dict[str, tuple[str, weights.Kind]] = {
    "vgg19": ("decoder", "vgg19-decoder"),
    "fast": ("network", "fast"),
}  # where a model's parameters are what kind of weights


def learning_rate(config: Config) -> optax.Schedule:
    """The learning rate by step."""
    if config.schedule == "cosine":
        return optax.cosine_decay_schedule(config.learning_rate, config.steps)
    if config.schedule == "inverse":
        return lambda step: config.learning_rate / (1 + 5e-5 * step)
    return optax.constant_schedule(config.learning_rate)


def style_weight(config: Config, step: Array) -> Array | float:
    """The weight of the style loss by step: --ramp steps from a tenth of itself, then constant."""
    if not config.ramp:
        return config.weight_of_style
    grown = jnp.clip((step - config.reconstruct) / config.ramp, 0, 1)
    return config.weight_of_style * 10 ** (grown - 1)


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """Directions of unit learning rate; the step scales them, by its own count of steps."""
    if config.optimizer == "adam":
        return optax.adam(1.0)
    over_inputs = optax.contrib.MuonDimensionNumbers((0, 1, 2), 3)
    muon = optax.contrib.muon(
        1.0,
        consistent_rms=0.2,  # updates about as large as Adam's
        muon_weight_dimension_numbers=lambda params: jax.tree.map(
            lambda leaf: over_inputs if leaf.ndim == 4 else None, params
        ),
    )
    # The style loss has a heavy tail: without this, one bad batch leads the momentum for twenty steps.
    return optax.chain(optax.normalize_by_update_norm(), muon)


def initial_state(config: Config, styles: int, init: Params | None = None) -> State:
    """Step 0, with given weights or random ones from the seed.

    Args:
        config: of the run.
        styles: number of fixed styles, for the conditional transform.
        init: layers as `weights.read` gives them.
    """

    @jax.jit
    def initialise() -> tuple[Any, Any]:
        model = TRAINED[config.model](config, styles, rngs=nnx.Rngs(config.seed))
        return _pure(model, nnx.Param), _pure(model, nnx.BatchStat)

    params, running = initialise()
    if init is not None:
        params = merge(params, {KINDS[config.model][0]: jax.tree.map(jnp.asarray, dict(init))})
    opt_state = make_optimizer(config).init(params)
    ema = jax.tree.map(jnp.copy, params) if config.ema else None
    return State(jnp.zeros((), jnp.int32), params, running, opt_state, ema)


def _reconstruct(
    config: Config, model: Trained, encoder: VGG19Encoder, batch: Mapping[str, Array]
) -> Measurements:
    """Each picture of a batch in its own style: mean absolute difference of pixels."""
    pictures = to_float(jnp.concatenate([batch["content"], batch["style"]]))
    features = encoder(pictures).relu4_1 if config.model == "vgg19" else pictures
    index = jnp.tile(batch["style_index"], 2)
    result = model(Pairs(pictures, pictures), Pairs(features, features), index)
    difference = jnp.abs(result - pictures).mean()
    return {"loss": difference, "pixel_loss": difference}


def _stylise(
    config: Config,
    model: Trained,
    encoder: VGG19Encoder,
    batch: Mapping[str, Array],
    step: Array,
) -> Measurements:
    """The losses of equations 11 to 13, of each content with its styles."""
    pictures = Pairs(to_float(batch["content"]), to_float(batch["style"]))
    content, style_taps = encoder(pictures.content).relu4_1, encoder(pictures.style)
    style_index = batch["style_index"]
    if config.pairings > 1:
        turns = range(config.pairings)

        def repeat(x: Array) -> Array:
            return jnp.concatenate([x for _ in turns])

        def pair(x: Array) -> Array:
            """Beside the k-th repetition of the contents, the styles turned by k."""
            return jnp.concatenate([jnp.roll(x, k, axis=0) for k in turns])

        pictures = Pairs(repeat(pictures.content), pair(pictures.style))
        content = repeat(content)
        style_taps, style_index = jax.tree.map(pair, (style_taps, style_index))
    tap_styles = tuple(statistics(tap) for tap in style_taps)
    result = model(pictures, Pairs(content, style_taps.relu4_1), style_index)
    taps = encoder(result)

    target = content
    if config.content_target == "adain":
        target = adain(content, tap_styles[-1])
    by_mean = config.loss == "pytorch"
    if config.style_statistic == "gram":
        layers = gram_losses(taps, style_taps, mean_over_channels=by_mean)
    else:
        layers = style_losses(taps, tap_styles, mean_over_channels=by_mean)
    measurements = {
        "content_loss": content_loss(taps.relu4_1, target),
        "style_loss": sum(layers.values(), jnp.zeros(())),
        **{f"style_loss/{name}": value for name, value in layers.items()},
    }
    total = config.content_weight * measurements["content_loss"]
    total += style_weight(config, step) * measurements["style_loss"]
    if config.tv_weight:
        measurements["tv_loss"] = total_variation(result)
        total += config.tv_weight * measurements["tv_loss"]
    return {"loss": total, **measurements}


def make_train_step(
    config: Config, styles: int, *, reconstruct: bool = False
) -> Callable[..., tuple[State, Measurements]]:
    """The function (state, encoder_params, batch, axis_name=None) -> (state, measurements).

    The encoder's parameters are an argument of their own: no gradient is taken for them, and no
    optimizer state exists. With `axis_name`, gradients and measurements are averaged over it.

    Args:
        config: of the run.
        styles: number of fixed styles, for the conditional transform.
        reconstruct: the step of the beginning as an auto-encoder.
    """
    optimizer = make_optimizer(config)
    dtype = jnp.dtype(config.dtype)

    def cast(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)

    def loss(
        params: Params,
        running: Any,
        encoder_params: Params,
        batch: Mapping[str, Array],
        step: Array,
    ) -> tuple[Array, tuple[Measurements, Any]]:
        encoder = bind(VGG19Encoder, cast(encoder_params))
        make = partial(TRAINED[config.model], config, styles)
        model = bind(make, merge(cast(params), running))
        if reconstruct:
            measurements = _reconstruct(config, model, encoder, batch)
        else:
            measurements = _stylise(config, model, encoder, batch, step)
        return measurements["loss"], (measurements, _pure(model, nnx.BatchStat))

    value_and_grad = jax.value_and_grad(
        jax.checkpoint(loss) if config.remat else loss, has_aux=True
    )

    def gradients(
        state: State, encoder_params: Params, batch: Mapping[str, Array]
    ) -> tuple[Any, Measurements, Any]:
        """Gradients and measurements of the whole batch, part by part."""

        def part(running: Any, batch: Mapping[str, Array]) -> tuple[Any, tuple[Any, Measurements]]:
            (_, (measurements, running)), grads = value_and_grad(
                state.params, running, encoder_params, batch, state.step
            )
            return running, (grads, measurements)

        if config.accumulate == 1:
            running, (grads, measurements) = part(state.running, batch)
            return grads, measurements, running
        parts = jax.tree.map(lambda x: x.reshape(config.accumulate, -1, *x.shape[1:]), dict(batch))
        running, stacked = jax.lax.scan(part, state.running, parts)
        grads, measurements = jax.tree.map(lambda x: x.mean(0), stacked)
        return grads, measurements, running

    def train_step(
        state: State,
        encoder_params: Params,
        batch: Mapping[str, Array],
        axis_name: str | None = None,
    ) -> tuple[State, Measurements]:
        grads, measurements, running = gradients(state, encoder_params, batch)
        if axis_name:
            grads, measurements, running = jax.lax.pmean((grads, measurements, running), axis_name)
        opt_state = state.opt_state
        if config.reconstruct:  # Adam begins anew with the losses, whose gradients are far larger
            fresh = state.step == config.reconstruct
            opt_state = jax.tree.map(
                lambda new, old: jnp.where(fresh, new, old),
                optimizer.init(state.params),
                opt_state,
            )
        directions, opt_state = optimizer.update(grads, opt_state, state.params)
        rate = learning_rate(config)(state.step)
        updates = jax.tree.map(lambda x: rate * x, directions)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if config.ema:
            ema = optax.incremental_update(params, ema, 1 - config.ema)
        measurements |= {
            "grad_norm": optax.tree.norm(grads),
            "param_norm": optax.tree.norm(params),
            "update_norm": optax.tree.norm(updates),
            "learning_rate": jnp.asarray(rate, jnp.float32),
        }
        return State(state.step + 1, params, running, opt_state, ema), measurements

    return train_step


def pmapped(train_step: Callable[..., Any]) -> Callable[..., tuple[State, Measurements]]:
    """The step over all devices: state and encoder replicated, batch (devices, n, ...).

    The state keeps no device axis, and is donated.
    """
    return jax.pmap(
        partial(train_step, axis_name=AXIS),
        axis_name=AXIS,
        in_axes=(None, None, 0),
        out_axes=(None, None),
        donate_argnums=(0,),
    )


def replicate(tree: Any) -> Any:
    """The tree on every local device, as `pmapped` needs it where several processes train."""
    return jax.device_put(tree, _local_sharding())


def shard(tree: Any) -> Any:
    """Arrays (n, ...) split evenly over the local devices, as `pmapped` takes a batch."""
    devices = jax.local_device_count()
    rows = jax.tree.map(lambda a: a.reshape(devices, -1, *a.shape[1:]), tree)
    return jax.device_put(rows, _local_sharding(AXIS))


def _local_sharding(*axes: str) -> jax.sharding.NamedSharding:
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))


def _pure(model: nnx.Module, kind: type[nnx.Variable]) -> Any:
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
