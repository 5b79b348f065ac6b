"""Train an AdaIN decoder: the same as `adain train`."""

from adain_jax.cli.train import main

if __name__ == "__main__":
    main()
