# make demo: a VAE trained on the embedded data, with figures.   make test: the whole test suite.
# make tpu-report: what a training step takes on a TPU, without one.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
make_venv = $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
install = $(UV) pip install --quiet --python $(BIN)/python
else
make_venv = $(PYTHON) -m venv $(VENV) || (echo "python3 -m venv failed: install Python's venv module (on Debian: apt install python3-venv)"; exit 1)
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: demo test tpu-report check format notebooks clean

demo: $(VENV)/.ready
	rm -rf runs/demo
	$(BIN)/python -m experiments.sprites --out runs/demo

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n 2 --dist loadfile  # what the tests of a file share is made once

tpu-report: $(VENV)/.ready-tpu
	JAX_PLATFORMS=cpu $(BIN)/python -m experiments.tpu_report

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(VENV)/.ready-test
	$(BIN)/jupytext --quiet --update --to ipynb notebooks/*.py

$(VENV)/.ready: pyproject.toml
	@echo "installing into $(VENV) (a minute or two the first time)"
	@$(make_venv)
	@$(install) -e .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@$(install) -e '.[test]'
	@touch $@

$(VENV)/.ready-tpu: $(VENV)/.ready
	@$(install) -e '.[tpu]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(install) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
