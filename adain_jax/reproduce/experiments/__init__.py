"""The experiments, one module each, in the order of the page."""

from adain_jax.reproduce.experiments import (
    batch_or_instance,
    concatenation,
    content_target,
    controls,
    decoder_norms,
    gram,
    quality_and_speed,
    table_of_styles,
    torchvision,
)
from adain_jax.reproduce.lab import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        batch_or_instance,
        table_of_styles,
        concatenation,
        decoder_norms,
        content_target,
        gram,
        torchvision,
        controls,
        quality_and_speed,
    )
}
