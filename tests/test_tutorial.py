"""The notebook runs, and is committed as it ran."""

import json
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "examples" / "tutorial.ipynb"


def test_the_committed_notebook_is_small_and_has_its_outputs():
    assert TUTORIAL.stat().st_size < 500_000
    cells = json.loads(TUTORIAL.read_text())["cells"]
    assert len(cells) == 15
    assert "%pip install" in "".join(cells[0]["source"])
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) == 8
    assert not any(output["output_type"] == "error" for output in outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
def test_every_cell_runs():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(TUTORIAL, 4)
    # It asserts itself that the step by hand is the one of training.
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
