"""`python -m adain_jax.reproduce` is `adain reproduce`."""

import sys

from adain_jax.__main__ import main

if __name__ == "__main__":
    main(["reproduce", *sys.argv[1:]])
