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

.PHONY: demo test check tensorboard docs clean

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

# The whole argument (some minutes), and what docs/ has of it: its numbers, its page, one report, the README's
# pictures; and the page of the text.
docs: .venv/.installed
	$(BIN)/python -m experiments.argument
	cp runs/argument/summary.json docs/argument.json
	cp runs/argument/report.html docs/argument.html
	cp runs/argument/two_rooms/report.html docs/two_rooms.html
	cp runs/argument/mazes/figures/by_world.svg runs/argument/two_rooms/figures/entropy_bits.svg docs/
	$(BIN)/python -m experiments.explain

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs build *.egg-info
