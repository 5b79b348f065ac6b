"""Stylize pictures: the same as `adain stylize`."""

from adain_jax.cli.infer import main

if __name__ == "__main__":
    main()
