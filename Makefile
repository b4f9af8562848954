# Everything runs in .venv, made on the first call; a second call installs nothing.
PYTHON ?= python3
# torch from PyPI on Linux is a CUDA build of several gigabytes. For the small CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# The folder that `make tensorboard` shows.
RUN ?= runs/demo
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test check tensorboard clean

demo: .venv/.installed
	$(BIN)/python train.py --out runs/demo --overwrite

# In a process for each core, each of which has the fast, or the slow, tests of one file after another.
test: .venv/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The same command and links that train.py prints at its end.
tensorboard: .venv/.installed
	$(BIN)/python -m experiments.look $(RUN)

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs build *.egg-info
