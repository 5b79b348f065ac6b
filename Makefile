# Everything runs in VENV, made on first use; PYTHON is any Python from 3.11 on. `make demo` installs what
# the commands need, `make app`, `make web` and `make docs` also what theirs need, and `make test` and the
# linters everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WITH_APP := $(VENV)/installed-app
WITH_DOCS := $(VENV)/installed-docs
WITH_WEB := $(VENV)/installed-web
WITH_TESTS := $(VENV)/installed-test
WITH_ALL := $(VENV)/installed-dev
# A folder with the published vgg_normalised.pth and decoder.pth, for some tests.
export ADAIN_JAX_TEST_WEIGHTS ?= $(abspath $(wildcard ../shared/weights))

.PHONY: demo app web docs test test-essentials test-newest lint clean

# Stylizes the example pictures in the example styles.
demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

# Starts the web page; PORT=80 and the like choose where.
PORT ?= 8501
app: $(WITH_APP)
	$(BIN)/adain app --port $(PORT)

# Builds the page that needs no server into web/dist, and serves it on this machine.
web: $(WITH_WEB)
	@PATH="$(abspath $(BIN)):$$PATH" $(MAKE) --directory web serve PORT=$(PORT)

# In the order that tests/conftest.py gives the files.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
test: $(WITH_ALL)
	$(PYTEST)

# A small part that trains, resumes, stylizes and converts.
test-essentials: $(WITH_TESTS)
	$(PYTEST) -m essential

# The same with the newest Python that is found, on the PATH or of pyenv, and the JAX that needs it.
OF_PYENV := $$HOME/.pyenv/versions
test-newest:
	@for python in python3.13 $(OF_PYENV)/3.13.*/bin/python python3.12 $(OF_PYENV)/3.12.*/bin/python; do \
	  if "$$python" -c '' 2> /dev/null; then exec $(MAKE) test-essentials VENV=.venv-newest PYTHON="$$python"; fi; \
	done; \
	echo 'No Python 3.12 or 3.13 was found: the JAX releases that need one were not tested.'

# The documentation site, in build/site; warnings are errors. (The variable silences an advertisement.)
docs: $(WITH_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml

lint: $(WITH_ALL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2

PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'adain-jax needs Python 3.11 or newer')"
	@echo 'Installing into $(VENV), about a gigabyte, which takes a minute or two ...'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) .
	@du -sh $(VENV)
	@touch $@

$(VENV)/installed-%: $(INSTALLED)
	@echo 'Adding to $(VENV) what $* needs ...'
	@$(PIP_INSTALL) '.[$*]'
	@touch $@

clean:
	rm -rf .venv .venv-newest build dist *.egg-info web/dist web/models web/node_modules
