"""The optimizer, and how the learning rate and the style weight change over a run."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array

from adain_jax.training.config import Config


def learning_rate(config: Config, step: Array, elapsed: Array | float = 0.0) -> Array:
    """Returns the learning rate, float32 ().

    Args:
        config: the configuration of the run.
        step: the number of steps done, int ().
        elapsed: the part of `config.minutes` that is over. The cosine ends with the steps or with
            the time, whatever is nearer, so that a run that ends by the clock ends quietly too.
    """
    if config.schedule == "cosine":
        done = jnp.clip(jnp.maximum(step / config.steps, elapsed), 0, 1)
        factor = (1 + jnp.cos(jnp.pi * done)) / 2
    elif config.schedule == "inverse":
        factor = 1 / (1 + 5e-5 * step)
    else:
        factor = jnp.ones(())
    return jnp.float32(config.learning_rate * factor)


def style_weight(config: Config, step: Array) -> Array | float:
    """Returns the weight of the style loss at a step, int ().

    With --ramp, the weight grows from a tenth over that many steps, then stays.
    """
    if not config.ramp:
        return config.weight_of_style
    grown = jnp.clip((step - config.reconstruct) / config.ramp, 0, 1)
    return config.weight_of_style * 10 ** (grown - 1)


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """Returns an optimizer with a learning rate of 1; the training step scales its updates."""
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
    # The style loss has a heavy tail: otherwise one bad batch dominates the momentum for 20 steps.
    return optax.chain(optax.normalize_by_update_norm(), muon)
