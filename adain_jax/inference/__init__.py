"""The engine: batched inference on pictures of any size, in tiles where memory asks for it."""
