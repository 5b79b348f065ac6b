"""The engine: batched inference on pictures of any size, in tiles if memory requires it."""
