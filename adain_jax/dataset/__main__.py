"""`python -m adain_jax.dataset`, which is `adain dataset`."""

import sys

from adain_jax.__main__ import main

if __name__ == "__main__":
    main(["dataset", *sys.argv[1:]])
