"""`adain app`: serves the web page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Serve the web page: upload or photograph a picture, pick styles, download the painting.

    Ctrl-C stops it.

    Example: adain app --port 8080
    """

    port: Annotated[int, tyro.conf.arg(aliases=["-p"])] = 8501
    """The port to serve on."""
    debug: bool = False
    """Show a traceback on failure."""


def serve(options: Options) -> None:
    """Serves the page until the process is ended.

    Raises:
        UsageError: Streamlit is not installed.
    """
    try:
        from streamlit.web import cli as streamlit
    except ModuleNotFoundError:
        raise UsageError("the page needs Streamlit: pip install 'adain-jax[app]'") from None
    print("Loading the network; the page opens meanwhile ...", flush=True)
    from adain_jax.app.server import shared_state

    shared_state()  # gets ready from now on, not from when the first visitor comes
    # Streamlit reads the limits and the look from `.streamlit` beside its script: in a clone that is
    # the top folder, in an installed package the page's own.
    package = Path(__file__).parents[1]
    script = package.parent / "app.py"
    if not script.exists():
        script = package / "app" / "page.py"
    streamlit.main(["run", str(script), "--server.port", str(options.port)])
