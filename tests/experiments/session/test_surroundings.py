"""Whatever surrounds the process: other programs' settings, closed streams, screens, threads, torch's defaults."""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numba
import pytest
import torch

import experiments
import train as command
from experiments import ConfigError, load_config
from experiments.analysis.summary import in_json
from experiments.config.measures import RUN_MEASURES
from experiments.pages.training_page import write_report
from experiments.session.console import Screen, verdict_line
from experiments.session.in_memory import Result
from experiments.session.result_tables import results
from experiments.storage.run_folder import RunFolder
from tests.experiments.report_folder import trained
from tests.experiments.small_training import small_config
from tests.experiments.strange_worlds import strange

ROOT = Path(__file__).parents[3]
STRANGE = """
name = "strange"
description = "H(\\u03c0) :smile: [red]not red[/red]"
environment = { id = "FourAction/TwoRooms-v0", max_episode_steps = 5, solved_return = 0.1 }
training = { seeds = 2, updates = 3 }
arms = { a = {}, b = { entropy_coef = 0.1 } }
[[claims]]
statement = "with \\u03b2 > 0 [bold]more[/] :heart:"
measure = "final_entropy_bits"
expect = "b > a"
"""
MATPLOTLIBRC = "text.usetex: True\naxes.facecolor: black\nfont.size: 30\nbackend: TkAgg\nsavefig.dpi: 10\n"


def train_py(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    (folder / "strange.toml").write_text(STRANGE, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("environment", {})
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "strange.toml", *words],
        cwd=folder,
        env=environment,
        text=True,
        timeout=250,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


@pytest.mark.slow
def test_other_programs_settings_change_nothing(tmp_path: Path) -> None:
    """A backend that is not installed here, the user's matplotlib, an old terminal, words like markup."""
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    settings = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "80",
    }
    out = "[red]:smile: \u00fc [/]"
    done = train_py(tmp_path, "--out", out, environment=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "H(?) :smile: [red]not red[/red]" in done.stdout
    assert "with ? > 0 [bold]more[/] :heart:" in done.stdout
    assert "results: [red]:smile: ? [/]\n" in done.stdout
    assert "\x1b" not in done.stdout
    folder = tmp_path / out
    drawn = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    page = (folder / "report.html").read_bytes()
    write_report(folder)
    assert drawn == {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert page == (folder / "report.html").read_bytes()


def test_a_backend_that_is_not_here_is_not_asked_for() -> None:
    code = (
        "from experiments.session.command import begin; begin('x')\n"
        "from experiments.figures.style import style, canvas, svg_of\n"
        "with style(): print(len(svg_of(canvas([])[0], 'nothing')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "no such thing"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 1000


@pytest.mark.slow
def test_closed_streams_cost_the_words_alone(tmp_path: Path) -> None:
    def close() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    done = train_py(tmp_path, "--out", "run", "--workers", "2", preexec_fn=close, stdout=None, stderr=None)
    assert done.returncode == 0
    assert (tmp_path / "run" / "report.html").exists()
    assert RunFolder(tmp_path / "run").is_finished


@pytest.mark.slow
def test_a_dead_pipe_costs_the_words_alone(tmp_path: Path) -> None:
    """Whoever wanted the first line only, or none, has the results all the same."""
    read, write = os.pipe()
    os.close(read)
    done = train_py(tmp_path, "--out", "run", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
    assert (tmp_path / "run" / "report.html").exists()


# --- the screen ---


def summary(arms: int) -> dict[str, Any]:
    fraction = {"estimate": 0.375, "low": 0.1369, "high": 0.6943, "n": 100, "count": 38}
    measures = {
        "solved": fraction,
        "stuck": fraction,
        "final_return": {"estimate": 0.72, "low": 0.55, "high": 0.93, "n": 100},
        "greedy_return": {"estimate": -1e-5, "low": -3.1e-5, "high": 1e-9, "n": 100},
        "first_success_env_step": {"estimate": 123456.0, "low": 99999.0, "high": None, "n": 100},
    }
    arm = {"runs": 100, "n": 100, "env_steps": 1, "measures": measures}
    return {"description": "many arms", "arms": {f"entropy_coefficient_{i:02d}": arm for i in range(arms)}}


@pytest.mark.parametrize("width", [60, 80, 120, 300])
@pytest.mark.parametrize("arms", [1, 2, 3, 12])
def test_every_number_is_whole_on_any_screen(
    arms: int, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Screen()
    screen.results(summary(arms))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    assert "\u2026" not in said
    assert [said.count(cell) for cell in ("0.38", "0.72", "-1.0e-05", "123,456")] == [2 * arms, arms, arms, arms]
    cells = ["[0.14, 0.69]", "[0.55, 0.93]", "[-3.1e-05, 1.0e-09]", "[99,999, never]"]
    intervals = [said.count(cell) for cell in cells]
    alone = "intervals are in the report" in said
    assert intervals == ([0] * 4 if alone else [2 * arms, arms, arms, arms])
    assert alone == (arms * 25 + 20 > width)


@pytest.mark.parametrize(("arms", "width"), [(2, 80), (4, 120)])
def test_few_arms_have_a_column_each_in_one_table(arms: int, width: int) -> None:
    (few,) = results(summary(arms), width)
    assert few.columns[0].header == "measure"
    assert len(few.columns) == 1 + arms


@pytest.mark.parametrize("width", [80, 120])
def test_many_arms_have_a_row_each_in_one_table(width: int) -> None:
    (many,) = results(summary(12), width)
    assert many.columns[0].header == "arm"
    assert many.row_count == 12


def test_what_does_not_fit_into_one_table_is_in_as_few_as_possible() -> None:
    measures = {key: {"estimate": 0.5, "low": 0.4, "high": 0.6, "n": 9, "count": 3} for key in RUN_MEASURES}
    arm = {"runs": 9, "n": 9, "env_steps": 1, "measures": measures}
    tables = results({"description": "all", "arms": {f"arm_{k}": arm for k in range(12)}}, 80)
    assert len(tables) == 2
    assert all(table.row_count == 12 for table in tables)


def test_words_are_no_markup_and_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    claim = {"statement": "[bold]:heart:[/] \x1b[2J\x9b", "measure": "m", "expect": "a > b", "verdict": "refuted"}
    claim |= {"effect": None, "low": None, "high": None, "p_adjusted": None, "test": "t", "n": 1}
    screen.print(verdict_line(claim))
    screen.say("[red]:smile:[/] \x07\x1b]0;title")
    said = capsys.readouterr().out
    assert r"refuted: [bold]:heart:[/] \x1b[2J\x9b" in said
    assert r"[red]:smile:[/] \x07\x1b]0;title" in said


def test_a_full_disk_below_standard_output_costs_the_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        screen = Screen()
        screen.say("a line")
        screen.say("another")
        assert screen.is_lost
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


# --- threads, torch, numba ---


def said_by(result: Result) -> str:
    """Every number of every table."""
    return json.dumps([table.to_pydict() for table in (result.updates, result.steps, result.runs)])


@pytest.fixture(scope="module")
def expected() -> str:
    return said_by(experiments.train(small_config("agent.initialization='torch'")))


@pytest.fixture
def other_defaults() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.usefixtures("other_defaults")
def test_other_defaults_of_torch_change_no_number_and_stay(expected: str) -> None:
    assert said_by(experiments.train(small_config("agent.initialization='torch'"))) == expected
    assert torch.get_default_dtype() == torch.float64
    assert torch.get_default_device().type == "meta"


SWITCHES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "lower precision": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
}


def switches() -> tuple[bool, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
    )


@pytest.fixture(scope="module")
def in_a_simulator() -> str:
    return in_strange_worlds()


def in_strange_worlds() -> str:
    """In one of them all runs fail."""
    return "".join(said_by(experiments.train(strange(pays=pays, late=True))) for pays in ("float", "nan"))


@pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)
def test_other_switches_of_torch_change_no_number_and_stay(
    switch: Callable[[], AbstractContextManager[Any]], in_a_simulator: str
) -> None:
    with switch():
        before = switches()
        assert in_strange_worlds() == in_a_simulator
        assert switches() == before != (True, False, False, False)


def in_a_thread(function: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    assert found, "it raised"
    return found[0]


def test_another_thread_trains_the_same(expected: str) -> None:
    config = small_config("agent.initialization='torch'")
    assert in_a_thread(lambda: said_by(experiments.train(config))) == expected


def test_another_thread_can_run_the_command(tmp_path: Path) -> None:
    (tmp_path / "strange.toml").write_text(STRANGE, encoding="utf-8")
    words = [str(tmp_path / "strange.toml"), "--out", str(tmp_path / "run"), "--workers", "2"]
    assert in_a_thread(lambda: command.main(words)) == 0


def test_without_compiled_loops_training_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    words = [str(ROOT / "configs" / "bandit.toml"), "--out", str(tmp_path / "run")]
    assert command.main(words) == 2
    assert capsys.readouterr().err == (
        "train.py: NUMBA_DISABLE_JIT is set, but training needs compiled loops: unset it\n"
    )
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="NUMBA_DISABLE_JIT"):
        experiments.train(small_config())


def test_everything_can_be_imported_without_compiled_loops() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import experiments.session.run, experiments.play"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- worlds at the edge ---


def test_rewards_near_the_largest_number_have_a_summary(tmp_path: Path) -> None:
    """Their mean is beyond all numbers, and JSON has no word for that."""
    config = {
        "environment": {
            "id": "FourAction/Bandit-v0",
            "kwargs": {"rewards": [1.7e308, -1.7e308]},
            "max_episode_steps": 1,
        },
        "agent": {"policy": "tabular", "optimizer": "adam", "normalize_advantages": True},
        "training": {"seeds": 4, "updates": 5, "episodes_per_update": 2},
        "claims": [],
    }
    folder = trained(tmp_path / "run", **config)
    json.dumps(folder.read_summary(), allow_nan=False)
    write_report(folder.path)
    in_memory = experiments.train(load_config(folder.path / "config.toml")).summary
    json.dumps(in_memory, allow_nan=False)


def test_what_json_cannot_hold_is_null() -> None:
    found = in_json({"a": [1.5, math.inf, {"b": math.nan}], "c": -math.inf, "d": "inf", "e": True, "f": 1.7e308})
    assert found == {"a": [1.5, None, {"b": None}], "c": None, "d": "inf", "e": True, "f": 1.7e308}


@pytest.mark.parametrize("keys", ["learning_rate", "entropy_coef"])
@pytest.mark.parametrize("solved_return", [0.95, None])
def test_one_seed_and_many_arms_have_their_pictures(
    tmp_path: Path, keys: str, solved_return: float | None
) -> None:
    environment: dict[str, Any] = {"id": "FourAction/TwoRooms-v0", "max_episode_steps": 20}
    if solved_return is not None:
        environment["solved_return"] = solved_return
    arms = {f"arm_{i}": {keys: 0.01 * (i + 1)} for i in range(7)}
    training = {"seeds": 1, "updates": 2}
    folder = trained(tmp_path / "run", environment=environment, training=training, arms=arms, claims=[])
    assert write_report(folder.path).exists()


# --- start-up ---

LOADED = """
import sys
from experiments import load_config
from experiments.session import run as session
from experiments.storage.results import read_results
from pathlib import Path

late = ("torch", "scipy.stats", "matplotlib", "tensorboard")
advance = session.Training.advance

def told(self, *arguments):
    print(sorted(name for name in late if name in sys.modules))
    return advance(self, *arguments)

session.Training.advance = told
config = load_config(sys.argv[1], ["training.updates=2", "training.seeds=1"])
session.run(config, session.Options(Path(sys.argv[2])), lambda records: None, print)
read_results(Path(sys.argv[2]))
print(sorted(name for name in ("torch", "pandas") if name in sys.modules))
"""


def test_the_first_update_waits_for_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """And a finite world's training never loads torch; nor pandas, which Arrow would import where it is there."""
    words = [sys.executable, "-c", LOADED, ROOT / "configs" / "two_rooms.toml", tmp_path / "run"]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *_, at_the_end = done.stdout.splitlines()
    assert (first, at_the_end) == ("[]", "[]")
