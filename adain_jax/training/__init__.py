"""Training a decoder as the paper does: losses, the step, checkpoints, the loop."""
