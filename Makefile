# Everything runs in .venv, made on the first call; a second call installs nothing. Another Python gets another folder:
#   make test-fast PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
# torch from PyPI on Linux is a CUDA build of several gigabytes. For the small CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# The folder that `make tensorboard` shows.
RUN ?= runs/demo
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# botocore does not accept our pin of python-dateutil.
UNPINNED := $(BIN)/python -m pip install --quiet

PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast test-all check tensorboard docs clean

demo: $(VENV)/.installed
	$(BIN)/python train.py --out runs/demo --overwrite

# In a process for each core, each of which takes one file after another.
test: $(VENV)/.installed-dev
	$(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow and not long"

# With what takes minutes in other people's programs: all that this machine can install of our extras.
test-all: $(VENV)/.installed-all
	$(PYTEST) -m ""

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The command that train.py prints at its end, without --open.
tensorboard: $(VENV)/.installed
	$(BIN)/python -m experiments.look $(RUN)

# The whole argument (some minutes), and what docs/ has of it: its numbers, its page, one report, the README's
# pictures; and the page of the text.
docs: $(VENV)/.installed
	$(BIN)/python -m experiments.argument
	cp runs/argument/summary.json docs/argument.json
	cp runs/argument/report.html docs/argument.html
	cp runs/argument/two_rooms/report.html docs/two_rooms.html
	cp runs/argument/mazes/figures/by_world.svg runs/argument/two_rooms/figures/entropy_bits.svg docs/
	$(BIN)/python -m tests.readme_numbers
	$(BIN)/python -m experiments.explain

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable ".[dev]"
	touch $@

$(VENV)/.installed-all: $(VENV)/.installed-dev
	$(INSTALL) --editable ".[dev,peers,box2d,ray]"
	$(UNPINNED) --editable ".[remote]" "aiobotocore[boto3]" "moto[s3]>=5.1" flask flask-cors
	touch $@

clean:
	rm -rf .venv .venv-* runs build *.egg-info
