"""`python -m adain_jax.training recipe`, `plot`, `export` and `mirror`: the commands of `adain`."""

from adain_jax.__main__ import main

if __name__ == "__main__":
    main()
