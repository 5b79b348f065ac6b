"""Stylize pictures: `python infer.py --help`."""

from adain_jax.cli.infer import main

if __name__ == "__main__":
    main()
