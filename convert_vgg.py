"""Convert published VGG19 and AdaIN decoder weights: the same as `adain convert`."""

from adain_jax.cli.convert_vgg import main

if __name__ == "__main__":
    main()
