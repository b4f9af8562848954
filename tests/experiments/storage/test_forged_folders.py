"""Folders that a stranger has forged, with correct sums: every command shows them or refuses them in one line.

FORGED=<n> in the environment tries more of them.
"""

import io
import os
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import train
from experiments import look, play, report
from experiments.config.loading import load_config
from experiments.config.plain_text import is_obeyed
from experiments.config.schema import Config
from experiments.pages import training_page
from experiments.storage.run_folder import config_text
from tests.experiments.forger import Forger
from tests.experiments.small_training import Crash, small_config
from tests.experiments.small_training import train as trained

FIRST, CASES = int(os.environ.get("FORGED_FIRST", "0")), int(os.environ.get("FORGED", "20"))
CPU_SECONDS = 20
Main = Callable[[Sequence[str]], int]

SMALL = ("training.seeds=2", "training.updates=4", "agent.hidden_sizes=[2]")
EXACT = {
    "agent": {"gradient": "exact", "policy": "tabular"},
    "arms": {"without": {}, "with": {"entropy_coef": 0.1}},
}
STEPPED = {
    "environment": {
        "id": "CartPole-v1", "max_episode_steps": 6, "solved_return": 5.0, "normalize_observations": True,
    },
    "arms": {"without": {}, "with_entropy": {"entropy_coef": 0.1}},
}  # fmt: skip


def configs() -> dict[str, Config]:
    """One of each kind of training."""
    sampled = small_config(*SMALL)
    table = sampled.model_dump(exclude_none=True) | {"claims": []}
    return {
        "sampled": sampled,
        "exact": load_config(table | EXACT),
        "stepped": load_config(table | STEPPED),
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of finished trainings, and of some that were killed after a checkpoint."""
    top, folders = tmp_path_factory.mktemp("good"), {}
    for name, config in configs().items():
        folders[name] = top / name
        trained(folders[name], config)
    for name in ("sampled", "stepped"):
        folders[f"{name}, unfinished"] = top / f"{name}_unfinished"
        with pytest.raises(Crash):
            trained(folders[f"{name}, unfinished"], configs()[name], crash_at=2)
    for name, config in configs().items():
        (top / f"{name}.toml").write_text(config_text(config))
    return folders


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`look` starts nothing, `train.py` draws no report that `report` has drawn, and signals mean afterwards what
    they meant before."""
    monkeypatch.setattr(look, "run_program", lambda *_: 0)
    write = training_page.write_report

    def write_unless_it_is_there(path: Path) -> Path:
        page = path / "report.html"
        return page if page.exists() else write(path)

    monkeypatch.setattr(training_page, "write_report", write_unless_it_is_there)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def commands(folder: Path, config: Path) -> dict[str, tuple[Main, list[str]]]:
    """Everything that reads a run folder."""
    arm = "without"
    how = ["--resume", "--out", str(folder), "--workers", "1", "--checkpoint-seconds", "1e9"]
    return {
        "look": (look.main, [str(folder)]),
        "report": (report.main, [str(folder)]),
        "play": (play.main, [str(folder), "--arm", arm, "--seed", "1"]),
        "resume": (train.main, [str(config), *how]),
    }


def said(main: Main, words: Sequence[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 99
    return status or 0, out.getvalue(), error.getvalue()


def spent() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_folder_is_shown_or_refused_in_one_line(good: dict[str, Path], tmp_path: Path) -> None:
    forger, statuses, longest = Forger(good), Counter[tuple[str, int]](), (0.0, "")
    for number in range(FIRST, FIRST + CASES):
        folder = tmp_path / "forged"
        damage = forger.forge(number, folder)
        kind = damage.partition(":")[0].partition(",")[0]
        for name, (main, words) in commands(folder, good[kind].parent / f"{kind}.toml").items():
            place, began = f"case {number}, {name}: {damage}", spent()
            try:
                status, out, error = said(main, words)
            except BaseException as mistake:
                raise AssertionError(place) from mistake
            statuses[name, status] += 1
            longest = max(longest, (spent() - began, place))
            assert status in (0, 1, 2), place
            assert error.count("\n") == (status != 0), f"{place}: {error}"
            assert len(error) < 3000, f"{place}: {error}"
            assert not [c for c in out + error if is_obeyed(c)], f"{place}: {out}{error}"
        shutil.rmtree(folder)
    print(dict(statuses), longest)
    assert {status for _, status in statuses} >= {0, 2}
