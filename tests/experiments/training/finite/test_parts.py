"""The parts in which the training of a run is compiled hold all that it calls, with the types of its calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPILED_LATE = """
from numba.core import event
from experiments.training.finite import parts
from experiments.training.loop import Training
from tests.experiments.comparisons import MLP, TABLE, TWO_ROOMS, comparison

class Late(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if not function.__module__.startswith("numba."):
            print(function.__name__)
    def on_end(self, event): pass

training = Training(comparison(TWO_ROOMS, {policy}, {{"one": {{}}}}, [0], 1, 2))
assert parts.are_missing()
for part in parts.PARTS:
    training.compile_part(part)
with event.install_listener("numba:compile", Late()):
    training.advance(1)
assert not parts.are_missing()
"""


@pytest.mark.long
@pytest.mark.parametrize("policy", ["MLP", "TABLE"])
def test_the_training_itself_is_all_that_is_left_to_compile(tmp_path: Path, policy: str) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "1"}  # sooner compiled
    program = [sys.executable, "-c", COMPILED_LATE.format(policy=policy)]
    told = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "_train\n"), told.stderr
