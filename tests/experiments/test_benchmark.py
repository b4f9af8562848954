"""The benchmark measures what it says. How fast is for people to read, never asserted."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from experiments import benchmark
from experiments.config.failures import Failure
from experiments.speed import revisions, scenarios, tables
from experiments.speed.limits import Demand, limits
from experiments.speed.scenarios import (
    LOGGING,
    SCENARIOS,
    SIZES,
    Scenario,
    Size,
    logging_costs,
    measure,
)
from experiments.training.loop import Training

SMALL = ("training.seeds=3", "training.updates=4")
ALL = (*SCENARIOS, *(scenario for size in SIZES for scenario in size.scenarios.values()))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("logged", [False, True])
def test_a_scenario_counts_the_steps_that_its_config_trains(workers: int, logged: bool) -> None:
    steps = {
        measure(Scenario("small", "bandit", SMALL, w, log)).env_steps for w, log in ((1, False), (workers, logged))
    }
    assert steps == {2 * 3 * 4}  # a bandit's episode is one step: arms x seeds x updates


def test_each_way_of_logging_has_a_cost() -> None:
    costs = logging_costs(Scenario("small", "bandit", SMALL).load(), repeats=1)
    assert list(costs) == list(LOGGING)
    assert min(costs.values()) > 0


def test_every_scenario_has_a_config_that_loads() -> None:
    assert len({scenario.name for scenario in ALL}) == len(ALL)
    assert all(scenario.load().arms for scenario in ALL)


def test_what_is_needed_is_counted_from_the_shapes() -> None:
    config = Scenario("small", "two_rooms", (*SMALL, "agent.hidden_sizes=[5, 7]")).load()
    demand = Demand.of(config, Training(config), env_steps=11, points=3)
    rows = 2 * 3 * 51 * 4  # runs x states x updates
    assert demand == Demand(11, 3, 3 * rows * (5 * 7 + 7 * 4), rows * (5 + 7))


def test_every_limit_is_one_that_training_needs() -> None:
    demand = Demand(10**6, 10**6, 10**9, 10**6)
    for limit in limits().values():
        assert limit.most > 0
        assert limit.needed(demand) == pytest.approx(2.0 if limit.unit == "GFLOP" else 1.0)


@pytest.mark.slow
def test_more_runs_need_more_memory() -> None:
    ours = np.ones(2**26)  # half a gigabyte of this process is not the child's
    few, many = (
        scenarios.peak_bytes(Scenario("runs", "two_rooms", (f"training.seeds={{first=0, count={n}}}",)), updates=1)
        for n in (1, 200)
    )
    buffers = 4 * 7760 * 4  # parameters, their gradient and Adam's two moments
    assert many - few > 2 * 199 * buffers
    assert few < ours.nbytes
    rows = [{"size": SIZES[0].name, "number": n, "peak MiB": m / 2**20} for n, m in ((1, few), (200, many))]
    assert tables.bytes_per_run(rows) == pytest.approx((many - few) / 398)


def test_an_agent_is_slower_where_the_steps_per_second_are_fewer() -> None:
    (row,) = tables.speeds(
        {"a": [scenarios.Timing(2_000_000, 1.0), scenarios.Timing(1_000_000, 1.0), scenarios.Timing(9, 1e-5)]}
    )
    assert (row["slowest"], row["median"], row["fastest"]) == pytest.approx((0.9, 1.0, 2.0))


@pytest.mark.slow
def test_the_whole_command_prints_and_stores_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Scenario("a small one", "two_rooms", SMALL)
    sizes = [
        Size(SIZES[0].name, {n: Scenario(f"n {n}", "bandit", (f"training.seeds={n}", SMALL[1])) for n in (1, 2)})
    ]
    monkeypatch.setattr(scenarios, "QUICK", (small,))
    monkeypatch.setattr(scenarios, "SCENARIOS", (small,))
    monkeypatch.setattr(benchmark, "SIZES", sizes)
    monkeypatch.setattr(tables, "START_UP", {"nothing": ["-c", ""]})
    monkeypatch.setattr(tables, "peak_bytes", lambda scenario: 1 << 20)
    monkeypatch.setattr(tables, "stepping_speeds", lambda config, rounds: {config.name: 1e3 * rounds})
    monkeypatch.setenv("COLUMNS", "120")
    assert benchmark.main(["--out", str(tmp_path / "figures")]) == 0
    printed = capsys.readouterr().out
    stored = json.loads((tmp_path / "figures" / "benchmark.json").read_text())
    for title, rows in stored.items():
        if rows:  # no figures of somebody else's agent without the extra
            assert title in " ".join(printed.split())
            assert all(np.isfinite(v) for row in rows for v in row.values() if isinstance(v, float))
    assert [row["scenario"] for row in stored["environment steps trained per second, millions"]] == ["a small one"]
    assert [row["number"] for row in stored["time and memory against size"]] == [1, 2]
    assert b"<svg" in (tmp_path / "figures" / "sizes.svg").read_bytes()


def test_the_quick_command_measures_the_default_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenarios, "QUICK", (Scenario("a small one", "two_rooms", SMALL),))
    monkeypatch.setenv("COLUMNS", "120")
    assert benchmark.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert "a small one" in printed
    assert "event files and every step" in printed


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert benchmark.main(["--out", str(tmp_path / "file" / "folder")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- against another revision ---


@pytest.fixture
def two_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small scenario, measured here and at the last commit; stepped, or the other revision compiles for long."""
    stepped = Scenario("a small one", "bandit", (*SMALL, "environment.tables=false"))
    monkeypatch.setattr(scenarios, "QUICK", (stepped,))
    monkeypatch.setattr(
        revisions, "seconds_of_a_command", lambda root: (1.0, 3.0 if root == revisions.ROOT else 4.0)
    )
    monkeypatch.setattr(benchmark, "speed_of_threads", lambda number: 1.5)
    monkeypatch.setenv("COLUMNS", "160")


def worktrees() -> list[str]:
    """Where they are, whatever is committed in them meanwhile."""
    if not (revisions.ROOT / ".git").exists():
        pytest.skip("no repository, as in an unpacked source distribution")
    words = ["git", "worktree", "list", "--porcelain"]
    said = subprocess.run(words, cwd=revisions.ROOT, capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if line.startswith("worktree ")]


@pytest.mark.long
@pytest.mark.usefixtures("two_revisions")
def test_another_revision_is_measured_in_turns_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = worktrees()
    assert benchmark.main(["--quick", "--against", "HEAD", "--out", str(tmp_path / "out")]) == 0
    assert worktrees() == before
    steps, threads, commands = json.loads((tmp_path / "out" / "benchmark.json").read_text()).values()
    (row,) = steps
    assert row["scenario"] == "a small one"
    assert row["times"] == pytest.approx(row["here"] / row["HEAD"])
    assert row["at least"] <= row["times"] <= row["at most"]
    assert threads == [{"of": "a compiled loop that shares nothing", "times": 1.5}]
    assert [(row["here"], row["HEAD"], row["times"]) for row in commands] == [(1.0, 1.0, 1.0), (3.0, 4.0, 0.75)]


def test_a_repository_that_holds_an_installed_program_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a user whose environment lies in the folder of some other project."""
    installed = tmp_path / ".venv" / "site-packages"
    installed.mkdir(parents=True)
    for words in (
        ["init", "-q"],
        ["-c", "user.name=u", "-c", "user.email=u", "commit", "-qm", "m", "--allow-empty"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(revisions, "ROOT", installed)
    assert benchmark.main(["--against", "HEAD"]) == 2
    assert f"--against HEAD: it takes a checkout of this project's repository, and {installed} is none" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / ".git" / "worktrees").exists()


@pytest.mark.parametrize("revision", ["no-such-revision", "--force", "", "HEAD:README.md", "-h"])
def test_a_revision_that_is_none_is_refused_in_one_line(revision: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = worktrees()
    assert benchmark.main([f"--against={revision}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"experiments.benchmark: --against {revision}: ")
    assert error.count("\n") == 1
    assert worktrees() == before


def test_a_worktree_goes_whatever_happens_in_it() -> None:
    before = worktrees()
    places = []

    def interrupted() -> None:
        with revisions.worktree("HEAD") as place:
            assert (place / "train.py").exists()
            places.append(place)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not places[0].exists()
    assert worktrees() == before


def test_a_command_is_timed_to_its_verdict_and_to_its_end(tmp_path: Path) -> None:
    says = "import time; print('training'); print('supported: it does', flush=True); time.sleep(0.2)"
    (tmp_path / "train.py").write_text(says)
    verdict, end = revisions.seconds_of_a_command(tmp_path)
    assert 0 < verdict <= end - 0.2
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    with pytest.raises(Failure, match=r"train\.py ended with status 3"):
        revisions.seconds_of_a_command(tmp_path)


def test_what_two_workers_bring_is_told_of_scenarios_with_both() -> None:
    one, two = ([scenarios.Timing(n, 1.0)] for n in (2_000_000, 3_000_000))
    timings = {
        "a, 1 worker": {revisions.HERE: one},
        "a, 2 workers": {revisions.HERE: two},
        "b": {revisions.HERE: one},
    }
    assert list(tables.gains(timings)) == [("a, 2 workers", 1.5)]
