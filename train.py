"""Train an AdaIN decoder: `python train.py --help`."""

from adain_jax.cli.train import main

if __name__ == "__main__":
    main()
