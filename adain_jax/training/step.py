"""One training step (section 6.2): a pure function that changes only the trainee's state."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from adain_jax.images.dtypes import to_float
from adain_jax.losses import (
    adain_losses,
    content_loss,
    pixel_loss,
    total_variation,
)
from adain_jax.nn import bind
from adain_jax.nn.valid_size import Features
from adain_jax.nn.vgg19 import Decoder, Taps, VGG19Encoder
from adain_jax.style import adain, statistics
from adain_jax.training.as_seen import clip, random_corner, window
from adain_jax.training.config import Config
from adain_jax.training.models import Params, Trainee, bind_trainee, initial_variables, variables
from adain_jax.training.optimizer import learning_rate, make_optimizer, style_weight
from adain_jax.training.pictures_on_device import PicturesOnDevice, crop_windows
from adain_jax.training.style_augmentation import augment_styles

Batch = Mapping[str, Array]
Measurements = dict[str, Float[Array, ""]]


class State(NamedTuple):
    """Everything that training changes; arrays have no device axis."""

    step: Array
    """int32 (), the number of steps done."""
    params: Any
    """Parameters of the trainee, a nested dictionary of float32 arrays."""
    batch_stats: Any
    """Running statistics of batch normalization; empty without it."""
    opt_state: Any
    ema: Any
    """Moving average of the parameters; None without --ema."""


class Frozen(NamedTuple):
    """Everything that training reads but never changes; no gradient is taken for it."""

    encoder: Params
    """Parameters of VGG19's encoder."""
    teacher: Params | None = None
    """Parameters of a VGG19 decoder to learn from, with --teacher-weight."""
    content: PicturesOnDevice | None = None
    style: PicturesOnDevice | None = None
    """The pictures, if they are in device memory; a batch then holds their numbers."""


class Pairs(NamedTuple):
    """Contents and styles of a batch, float pictures (n, h, w, 3) in [0, 1]."""

    content: Features
    style: Features


def initial_state(config: Config, styles: int, init: Params | None = None) -> State:
    """Returns the state at step 0. The arguments are those of `initial_variables`."""
    params, batch_stats = initial_variables(config, styles, init)
    ema = jax.tree.map(jnp.copy, params) if config.ema else None
    opt_state = make_optimizer(config).init(params)
    return State(jnp.zeros((), jnp.int32), params, batch_stats, opt_state, ema)


def make_train_step(
    config: Config, styles: int, *, reconstruct: bool = False
) -> Callable[..., tuple[State, Measurements]]:
    """Makes the training step, a pure function for `jit` or `pmap`.

    Args:
        config: the configuration of the run.
        styles: number of fixed styles, for the conditional transform.
        reconstruct: whether to make the step of the first phase, which trains an auto-encoder.

    Returns:
        A function (state, frozen, batch, axis_name=None) -> (state, measurements). The batch holds
        the arrays (n, ...) of `adain_jax.data.pipeline.Batch.arrays` and, in a run with --minutes,
        `elapsed`, float32 (n,), n times the part of them that is over; measurements are scalars.
        With `axis_name`, gradients and measurements are averaged over that axis.
    """
    optimizer = make_optimizer(config)
    objective = reconstruction_objective if reconstruct else style_transfer_objective

    def loss(
        params: Params, batch_stats: Any, frozen: Frozen, batch: Batch, step: Array
    ) -> tuple[Array, tuple[Measurements, Any]]:
        trainee = bind_trainee(config, styles, _cast(params, config.dtype), batch_stats)
        encoder = bind(VGG19Encoder, _cast(frozen.encoder, config.dtype))
        pictures = load_pairs(config, frozen, batch)
        measured = objective(config, trainee, encoder, frozen, pictures, batch, step)
        return measured["loss"], (measured, variables(trainee, nnx.BatchStat))

    if config.remat:
        loss = jax.checkpoint(loss)
    value_and_grad = jax.value_and_grad(loss, has_aux=True)

    def gradients(state: State, frozen: Frozen, batch: Batch) -> tuple[Any, Measurements, Any]:
        """Gradients, measurements and batch statistics of the whole batch, computed in parts."""

        def one_part(batch_stats: Any, part: Batch) -> tuple[Any, tuple[Any, Measurements]]:
            (_, (measured, batch_stats)), grads = value_and_grad(
                state.params, batch_stats, frozen, part, state.step
            )
            return batch_stats, (grads, measured)

        parts = jax.tree.map(lambda x: x.reshape(config.accumulate, -1, *x.shape[1:]), dict(batch))
        batch_stats, stacked = _scan(one_part, state.batch_stats, parts)
        grads, measured = jax.tree.map(lambda x: x.mean(0), stacked)
        return grads, measured, batch_stats

    def train_step(
        state: State, frozen: Frozen, batch: Batch, axis_name: str | None = None
    ) -> tuple[State, Measurements]:
        grads, measured, batch_stats = gradients(state, frozen, batch)
        if axis_name:
            grads, measured, batch_stats = jax.lax.pmean((grads, measured, batch_stats), axis_name)
        opt_state = state.opt_state
        # The optimizer starts again after the first phase: gradients are far larger from there on.
        if config.reconstruct:
            fresh = state.step == config.reconstruct
            opt_state = jax.tree.map(
                lambda new, old: jnp.where(fresh, new, old),
                optimizer.init(state.params),
                opt_state,
            )
        directions, opt_state = optimizer.update(grads, opt_state, state.params)
        elapsed = batch["elapsed"][0] if "elapsed" in batch else 0.0
        rate = learning_rate(config, state.step, elapsed)
        updates = jax.tree.map(lambda x: rate * x, directions)
        params = optax.apply_updates(state.params, updates)
        ema = optax.incremental_update(params, state.ema, 1 - config.ema) if config.ema else None
        measured |= {
            "grad_norm": optax.tree.norm(grads),
            "param_norm": optax.tree.norm(params),
            "update_norm": optax.tree.norm(updates),
            "learning_rate": rate,
        }
        return State(state.step + 1, params, batch_stats, opt_state, ema), measured

    return train_step


def in_sequence(train_step: Callable[..., Any]) -> Callable[..., tuple[State, Measurements]]:
    """Turns a training step into a function that runs several steps in one program.

    The function takes the batches of k steps, arrays (k, n, ...), and returns the state after them
    and the measurements of each step, (k,).
    """

    def train_steps(
        state: State, frozen: Frozen, batches: Batch, axis_name: str | None = None
    ) -> tuple[State, Measurements]:
        def one_step(state: State, batch: Batch) -> tuple[State, Measurements]:
            return train_step(state, frozen, batch, axis_name)

        return _scan(one_step, state, dict(batches))

    return train_steps


def load_pairs(config: Config, frozen: Frozen, batch: Batch) -> Pairs:
    """Returns the pictures of a batch, float32 (n, crop, crop, 3) in [0, 1].

    Pictures in device memory are cropped here. Their random keys come from the seed and the number
    of the pair in the run, so that every pair is the same however many devices share the batch.
    """
    content, style = batch["content"], batch["style"]
    if frozen.content is None and not config.augment_styles:
        return Pairs(to_float(content), to_float(style))
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    content_keys, style_keys, augmentation_keys = (
        fold(key, batch["pair"]) for key in jax.random.split(jax.random.key(config.seed), 3)
    )
    if frozen.content is not None and frozen.style is not None:
        content = crop_windows(frozen.content, content, content_keys, config.crop, config.flip)
        style = crop_windows(frozen.style, style, style_keys, config.crop, config.flip)
    content, style = to_float(content), to_float(style)
    if config.augment_styles:
        style = augment_styles(augmentation_keys, style)
    return Pairs(content, style)


def style_transfer_objective(
    config: Config,
    trainee: Trainee,
    encoder: VGG19Encoder,
    frozen: Frozen,
    pictures: Pairs,
    batch: Batch,
    step: Array,
) -> Measurements:
    """The losses of equations 11 to 13 and of distillation, for each content with its styles.

    Args:
        config: the configuration of the run.
        trainee: the module to train, with its parameters.
        encoder: VGG19's encoder.
        frozen: holds the teacher, if there is one.
        pictures: float32 (n, h, w, 3) in [0, 1].
        batch: only its `style_index`, int32 (n,), is used.
        step: the number of steps done, int32 (); the style weight and the window of `as_seen` depend on
            it.

    Returns:
        Scalars: `loss`, the weighted sum, and its parts without their weights. A part whose weight
        is 0 may be missing.
    """
    content_relu4_1, style_taps = encoder(pictures.content).relu4_1, encoder(pictures.style)
    content = trainee.encode(pictures.content, content_relu4_1)
    style = trainee.encode(pictures.style, style_taps.relu4_1)
    total = jnp.zeros(())
    measured: Measurements = {}
    if config.feature_weight:
        measured["feature_loss"] = (
            content_loss(content, content_relu4_1) + content_loss(style, style_taps.relu4_1)
        ) / 2
        total += config.feature_weight * measured["feature_loss"]

    # The k-th repetition of the contents is paired with the styles rolled by k.
    repetitions = range(config.pairings)
    content, content_relu4_1 = jax.tree.map(
        lambda x: jnp.concatenate([x for _ in repetitions]), (content, content_relu4_1)
    )
    style, style_taps, style_index = jax.tree.map(
        lambda x: jnp.concatenate([jnp.roll(x, k, axis=0) for k in repetitions]),
        (style, style_taps, batch["style_index"]),
    )
    result = trainee(content, style, style_index)
    if frozen.teacher is not None and config.teacher_weight:
        teacher = bind(Decoder, _cast(frozen.teacher, config.dtype))
        lesson = teacher(adain(content_relu4_1, statistics(style_taps.relu4_1)))
        measured["teacher_loss"] = pixel_loss(result, jax.lax.stop_gradient(lesson))
        total += config.teacher_weight * measured["teacher_loss"]
    if config.content_weight or config.weight_of_style:
        seen = result
        if config.as_seen:
            corner = random_corner(jax.random.fold_in(jax.random.key(config.seed), step))
            seen = window(clip(result), corner)
            below = encoder(window(pictures.content, corner)).relu4_1
            content_relu4_1 = jnp.concatenate([below for _ in repetitions])
        losses = adain_losses(
            encoder(seen),
            content_relu4_1,
            Taps(*style_taps),
            content_target=config.content_target,
            style_statistic=config.style_statistic,
            mean_over_channels=config.loss == "pytorch",
        )
        measured |= losses
        total += config.content_weight * losses["content_loss"]
        total += style_weight(config, step) * losses["style_loss"]
    if config.tv_weight:
        measured["tv_loss"] = total_variation(result)
        total += config.tv_weight * measured["tv_loss"]
    return {"loss": total, **measured}


def reconstruction_objective(
    config: Config,
    trainee: Trainee,
    encoder: VGG19Encoder,
    frozen: Frozen,
    pictures: Pairs,
    batch: Batch,
    step: Array,
) -> Measurements:
    """The loss of the first phase: each picture of a batch is reconstructed in its own style.

    It is the mean absolute difference of pixels. See `style_transfer_objective` for the arguments.
    """
    both = jnp.concatenate(pictures)
    features = trainee.encode(both, encoder(both).relu4_1)
    difference = pixel_loss(trainee(features, features, jnp.tile(batch["style_index"], 2)), both)
    return {"loss": difference, "pixel_loss": difference}


def _scan(body: Callable[..., Any], carry: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan`, but unrolled on CPU, where XLA's convolutions take ten times as long in a loop.

    Workaround, needed with jaxlib 0.10. `python -m benchmarks.training --steps-per-dispatch 2`
    shows when it can be removed.
    """
    if jax.default_backend() != "cpu":
        return jax.lax.scan(body, carry, xs)
    outputs = []
    for i in range(len(jax.tree.leaves(xs)[0])):
        carry, output = body(carry, jax.tree.map(lambda x, i=i: x[i], xs))
        outputs.append(output)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)


def _cast(tree: Any, dtype: str) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
