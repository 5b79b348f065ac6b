"""Convert published VGG19 and AdaIN decoder weights: `python convert_vgg.py --help`."""

from adain_jax.cli.convert_vgg import main

if __name__ == "__main__":
    main()
