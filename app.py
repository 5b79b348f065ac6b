"""The web page: `make app`, or `streamlit run app.py`."""

from adain_jax.app.page import main

main()
