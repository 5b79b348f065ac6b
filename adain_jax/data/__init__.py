"""Training data: sources of pictures, the pipeline that makes batches of them, and packing."""
