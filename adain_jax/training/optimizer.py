"""The optimizer, and how the learning rate and the style weight change over a run."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array

from adain_jax.training.config import Config


def learning_rate(config: Config) -> optax.Schedule:
    """The learning rate by step."""
    if config.schedule == "cosine":
        return optax.cosine_decay_schedule(config.learning_rate, config.steps)
    if config.schedule == "inverse":
        return lambda step: config.learning_rate / (1 + 5e-5 * step)
    return optax.constant_schedule(config.learning_rate)


def style_weight(config: Config, step: Array) -> Array | float:
    """The weight of the style loss by step: it grows from a tenth over --ramp steps, then stays."""
    if not config.ramp:
        return config.weight_of_style
    grown = jnp.clip((step - config.reconstruct) / config.ramp, 0, 1)
    return config.weight_of_style * 10 ** (grown - 1)


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """Update directions of unit learning rate; the step scales them, by its own count of steps."""
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
