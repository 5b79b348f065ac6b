"""What only CPUs need: faster convolutions than XLA's own."""
