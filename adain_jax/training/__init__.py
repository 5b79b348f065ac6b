"""Training of decoders and light networks: the step, checkpoints, the loop, recipes."""
