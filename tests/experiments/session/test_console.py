"""What a training says in the terminal: how to watch it first, where each arm is, and at the end the verdicts."""

import io
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import train
from experiments.config.schema import Config
from experiments.session import run as session
from experiments.session.console import Screen, arm_lines, progress
from experiments.session.waiting import Preparing, Waiting
from experiments.session.workers import Workers
from experiments.training.loop import Training
from experiments.training.records import Records
from tests.experiments.comparisons import TWO_ROOMS, comparison
from tests.experiments.processes import wait_for
from tests.experiments.small_training import CONFIG


def block(config: Config, updates: int = 3) -> Records:
    return Training(config).advance(updates)


def test_each_arm_has_a_line_with_the_entropy_and_the_success_rate_of_its_last_update() -> None:
    config = comparison(seeds=4)
    records = block(config)
    lines = arm_lines(list(config.arms), records)
    for place, (arm, line) in enumerate(zip(config.arms, lines, strict=True)):
        runs = slice(4 * place, 4 * place + 4)
        entropy, success = (records.columns[name][-1, runs].mean() for name in ("entropy_bits", "success_rate"))
        assert line.split(maxsplit=1) == [arm, f"entropy {entropy:.2f} bits, success rate {success:.2f}"]


def test_what_an_arm_cannot_tell_is_left_out() -> None:
    goalless = comparison({key: value for key, value in TWO_ROOMS.items() if key != "solved_return"})
    assert "success" not in "".join(arm_lines(list(goalless.arms), block(goalless)))
    records = block(comparison(seeds=2))
    records.active[-1] = False  # every run has failed
    assert arm_lines(["a", "bb"], records) == ["a", "bb"]


def test_many_arms_are_counted_instead_of_filling_the_screen() -> None:
    config = comparison(arms={f"arm_{k}": {"entropy_coef": k / 100} for k in range(12)}, seeds=1)
    lines = arm_lines(list(config.arms), block(config))
    assert [line.split()[0] for line in lines] == [*(f"arm_{k}" for k in range(8)), "and"]
    assert lines[-1] == "and 4 more arms"


@pytest.mark.parametrize("width", [80, 120])
def test_the_bar_and_the_arms_fit_the_screen(width: int) -> None:
    config, file = comparison(seeds=2), io.StringIO()
    with progress(Console(force_terminal=True, file=file, width=width, color_system=None), config) as bar:
        bar.stop()
        bar.training()
        bar(block(config))
    for arm in config.arms:
        assert f"{arm} " in file.getvalue()
    assert "updates" in file.getvalue()


def test_nothing_moves_where_no_terminal_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen().waiting("drawing"):
        pass
    preparing = Preparing(Screen())
    preparing.compiling()
    preparing.stop()
    assert capsys.readouterr().out == ""


def terminal() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(force_terminal=True, file=file, width=80, color_system=None), file


def frames(file: io.StringIO, what: str) -> set[str]:
    """The pictures of a line so far, each different."""
    return {line for line in re.split(r"[\r\n]|\x1b\[\S*[A-Za-z]", file.getvalue()) if what in line}


def test_a_line_moves_by_itself_while_something_takes_long() -> None:
    console, file = terminal()
    with Waiting(console, "drawing"):
        wait_for(lambda: len(frames(file, "drawing")) >= 3)
    ended = file.getvalue()
    assert "\x1b[?25h" in ended  # the cursor is back
    threads = [thread for thread in threading.enumerate() if "_keep_moving" in thread.name]
    assert threads == []


def test_a_line_moves_when_told_to_by_no_thread_where_processes_are_forked() -> None:
    console, file = terminal()
    before = threading.active_count()
    with Waiting(console, "training", 3, "settings", alone=False) as line:
        assert threading.active_count() == before
        line.advance()
        line.move()
    assert "training 1/3 settings" in file.getvalue()


def test_preparing_moves_and_counts_the_functions_that_are_compiled() -> None:
    console, file = terminal()
    preparing = Preparing(console)
    wait_for(lambda: len(frames(file, "preparing")) >= 3)
    preparing.compiling()
    wait_for(lambda: len(frames(file, "1/? functions")) >= 3)  # although one function takes long
    preparing.compiling()
    preparing.stop()
    assert "2/? functions" in file.getvalue()
    before = file.getvalue()
    preparing.stop()  # once more does nothing
    assert file.getvalue() == before


def test_no_thread_draws_while_processes_are_forked(tmp_path: Path) -> None:
    """Else a child might inherit a lock that nobody releases."""
    console, file = terminal()
    threads: list[int] = []

    class Watched(Workers):
        def __init__(self, *given: Any, **named: Any) -> None:
            threads.append(sum(thread.daemon for thread in threading.enumerate()))
            super().__init__(*given, **named)

    config = comparison(seeds=2)
    before = sum(thread.daemon for thread in threading.enumerate())
    with pytest.MonkeyPatch.context() as patched, progress(console, config) as bar:
        patched.setattr(session, "Workers", Watched)
        session.run(config, session.Options(tmp_path / "run"), bar, lambda _: None, watch=bar)
    assert threads == [before]
    said = file.getvalue()
    assert said.index("preparing") < said.index("training") < said.index("judging")


def test_a_link_can_be_clicked_where_the_terminal_can_and_read_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Screen().link("report", "file:///a/report.html")
    assert capsys.readouterr().out == "report: file:///a/report.html\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    Screen().link("report", "file:///a/report.html")
    said = capsys.readouterr().out
    assert ";file:///a/report.html\x1b\\file:///a/report.html\x1b]8;;" in said  # OSC 8


def test_how_to_watch_comes_first_then_verdicts_then_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(CONFIG)
    out = tmp_path / "run"
    assert train.main([str(tmp_path / "small.toml"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    watch = f"python -m experiments.look {out} --open   (http://localhost:6006)"
    in_order = [
        f"watch it: {watch}",
        "It wanders more",
        "final return",
        f"report: {(out / 'report.html').as_uri()}",
        f"TensorBoard: {watch}",
    ]
    places = [said.find(line) for line in in_order]
    assert -1 not in places
    assert places == sorted(places)
    assert "%2F" not in said  # no long links


def test_what_is_trained_in_a_line() -> None:
    config = comparison(seeds=3)
    assert train.plan_line(config) == f"{config.name}: 2 arms x 3 seeds, {config.training.updates} updates"
