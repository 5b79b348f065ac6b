"""`python -m adain_jax.data pack`, which is `adain pack`."""

from adain_jax.__main__ import main

if __name__ == "__main__":
    main()
