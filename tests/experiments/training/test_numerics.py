"""What the last bits of a number depend on is told, kept, and compared when a training goes on elsewhere."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from experiments.gradients.cases import TAXI
from experiments.session import run as session
from experiments.session.surroundings import plain_arithmetic
from experiments.storage.run_folder import RunFolder
from experiments.training.numerics import arithmetic, differences
from tests.experiments.comparisons import assert_same, comparison, run_by_run
from tests.experiments.small_training import Crash
from tests.experiments.small_training import train as train_small

ROOT = Path(__file__).parents[3]
# What can be changed from outside on every processor of this kind, and what tells of it.
SETTINGS = {
    "NUMBA_CPU_NAME": ("generic", "numba's processor"),
    "NUMBA_CPU_FEATURES": ("+sse2", "numba's instructions"),
    "NUMBA_OPT": ("1", "numba's flags"),
    "OPENBLAS_CORETYPE": ("Nehalem", "BLAS kernels"),
    "ATEN_CPU_CAPABILITY": ("default", "torch's instructions"),
    "MKL_CBWR": ("COMPATIBLE", "variables"),
}
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names kernels of x86 processors")


def in_a_process(*words: str | Path, **settings: str) -> str:
    """What a process of its own prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, *words], env=environment | settings, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@on_x86
@pytest.mark.slow
def test_whatever_changes_the_last_bits_from_outside_is_told() -> None:
    chosen = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    settings = {name: value for name, (value, _) in SETTINGS.items()} | {
        "NPY_DISABLE_CPU_FEATURES": " ".join(chosen)
    }
    script = (
        "import json; from experiments.training.numerics import arithmetic; print(json.dumps(arithmetic(True)))"
    )
    here, there = arithmetic(True), json.loads(in_a_process("-c", script, **settings))
    assert {name for name in here if here[name] != there[name]} == {
        *(name for _, name in SETTINGS.values()),
        *(["NumPy's instructions"] if chosen else []),  # else there are none but those it cannot do without
    }


def test_differences_are_told_word_by_word() -> None:
    before = {"numpy": "2.4.5", "instructions": "avx avx2 fma", "kernels": "openblas Zen", "gone": "1"}
    assert differences(before, before) == ""
    now = {"numpy": "2.4.6", "instructions": "avx avx2 avx512f fma", "kernels": "openblas Haswell", "new": "2"}
    told = "numpy 2.4.6 instead of 2.4.5; instructions with avx512f; kernels Haswell instead of Zen"
    assert differences(before, now) == told
    assert "instructions without avx512f" in differences(now, before)


def elsewhere(monkeypatch: pytest.MonkeyPatch, **differing: str) -> None:
    monkeypatch.setattr(session, "arithmetic", lambda with_torch: arithmetic(with_torch) | differing)


def crashed(folder: Path, at: int, **options: Any) -> None:
    with pytest.raises(Crash):
        train_small(folder, crash_at=at, **options)


def test_a_training_that_goes_on_elsewhere_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        elsewhere(there, processor="i486")
        crashed(tmp_path, at=5)
    told: list[str] = []
    with monkeypatch.context() as again:
        again.setattr(session, "differences", lambda *both: told.append(differences(*both)) or told[-1])
        crashed(tmp_path, at=9, resume=True)
        _, said = train_small(tmp_path, resume=True)
    change = f"processor {arithmetic(True)['processor']} instead of i486"
    assert told == [change, ""]
    assert said == []
    summary = RunFolder(tmp_path).read_summary()
    assert summary["arithmetic"] == arithmetic(with_torch=False)
    assert summary["arithmetic_changes"] == [change]


def test_a_checkpoint_that_does_not_tell_is_gone_on_from_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as of_an_earlier_version:
        of_an_earlier_version.setattr(session, "arithmetic", lambda with_torch: {})
        crashed(tmp_path, at=5)
    summary, said = train_small(tmp_path, resume=True)
    assert said == []
    assert "arithmetic_changes" not in summary


RESUMED = """
import json, sys
from pathlib import Path
from tests.experiments.small_training import train

print(json.dumps(train(Path(sys.argv[1]), resume=True)[1]))
"""


@on_x86
@pytest.mark.slow
def test_a_training_that_goes_on_says_so_in_one_line(tmp_path: Path) -> None:
    crashed(tmp_path, at=9)
    settings = {"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Nehalem"}  # torch takes no part in it
    (said,) = json.loads(in_a_process("-c", RESUMED, tmp_path, **settings))
    assert said.count("last bits") == 1
    assert "BLAS kernels Nehalem instead of" in said
    assert "torch's instructions" not in said
    (change,) = RunFolder(tmp_path).read_summary()["arithmetic_changes"]
    assert change in said


def test_training_computes_with_one_blas_thread_and_gives_back_the_others() -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        with plain_arithmetic():
            assert threads() == {1}
        assert threads() == {2}


COMPILED_PRODUCT = """
import numba, numpy as np
from threadpoolctl import threadpool_info
import experiments.session.surroundings as surroundings

product = numba.njit(lambda a, b: np.dot(a, b))
with surroundings.plain_arithmetic():
    product(np.ones((9, 9)), np.ones((9, 9)))
    print({library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"})
"""


def test_the_blas_of_compiled_code_has_one_thread_whatever_the_environment_says() -> None:
    """It is SciPy's, which is loaded at the first product: too late for a limit that was set before."""
    words = [sys.executable, "-c", COMPILED_PRODUCT]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"


@pytest.mark.parametrize("world", [TAXI])
def test_the_number_of_blas_threads_changes_nothing(world: str) -> None:
    """500 equations: so many are shared between threads, and rounded otherwise than by one."""
    agent = {"policy": "tabular", "gradient": "exact", "horizon": "infinite", "discount": 0.9}
    config = comparison({"id": world, "max_episode_steps": 10}, agent, {"one": {}}, 1, 2, 1)
    with threadpool_limits(1, "blas"):
        (one,) = run_by_run(config).values()
    with threadpool_limits(2, "blas"):
        (two,) = run_by_run(config).values()
    assert_same(one, two)
