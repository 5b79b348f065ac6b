# Everything runs in VENV, made on first use; PYTHON is any Python from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# A folder with the published vgg_normalised.pth and decoder.pth, for some tests.
export ADAIN_JAX_TEST_WEIGHTS ?= $(abspath $(wildcard ../shared/weights))

.PHONY: demo app test test-essentials test-newest lint clean

# Stylizes the example pictures in the example styles.
demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

# Starts the web page; PORT=80 and the like choose where.
PORT ?= 8501
app: $(INSTALLED)
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# A small part that trains, resumes, stylizes and converts.
test-essentials: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m essential

# The same with the newest Python that is found, on the PATH or of pyenv, and the JAX that needs it.
OF_PYENV := $$HOME/.pyenv/versions
test-newest:
	@for python in python3.13 $(OF_PYENV)/3.13.*/bin/python python3.12 $(OF_PYENV)/3.12.*/bin/python; do \
	  if "$$python" -c '' 2> /dev/null; then exec $(MAKE) test-essentials VENV=.venv-newest PYTHON="$$python"; fi; \
	done; \
	echo 'No Python 3.12 or 3.13 was found: the JAX releases that need one were not tested.'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'adain-jax needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-newest build dist *.egg-info
