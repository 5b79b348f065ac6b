# Everything runs in .venv, made on first use; PYTHON is any Python from 3.11 on.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# A folder with the published vgg_normalised.pth and decoder.pth, for some tests.
export ADAIN_JAX_TEST_WEIGHTS ?= $(abspath $(wildcard ../shared/weights))

.PHONY: demo app test lint clean

# Stylises the example pictures in the example styles.
demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

# Starts the web page; PORT=80 and the like choose where.
PORT ?= 8501
app: $(INSTALLED)
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'adain-jax needs Python 3.11 or newer')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
