"""Where the project's own example pictures are."""

from pathlib import Path

# An installed package brings them along; in a clone they lie at the top.
EXAMPLES = Path(__file__).parent / "app" / "examples"
if not EXAMPLES.exists():
    EXAMPLES = Path(__file__).parents[1] / "examples"
