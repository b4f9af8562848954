"""What runs after the last update: the results are complete, and whatever fails of the rest costs itself alone."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import train as command
from experiments import report
from experiments.figures import pictures
from experiments.figures.showing import NotShown, Showing
from experiments.pages import training_page
from experiments.pages.training_page import write_report
from experiments.session import console
from experiments.storage.results import Results
from experiments.storage.run_folder import RunFolder
from experiments.tensorboard import hparams_tab, images_tab, text_tab
from experiments.tensorboard.sink import BoardSink
from tests.experiments.processes import in_a_child
from tests.experiments.small_training import CONFIG, assert_same, contents, train

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def broken(*_: Any, **__: Any) -> Any:
    raise ValueError("no paint")


def late(results: Results) -> Iterator[Any]:
    """A drawing that fails after its first picture."""
    yield from pictures.entropy(results)
    raise ValueError("no paint")


# What breaks -> what the one line names.
AT_THE_END: dict[str, tuple[Any, str, Any, str]] = {
    "the verdict in TensorBoard": (text_tab, "verdict", broken, "TensorBoard's verdict"),
    "the rows in TensorBoard": (hparams_tab, "final_values", broken, "TensorBoard's HParams"),
    "the last flush of TensorBoard": (BoardSink, "flush", broken, "TensorBoard's last points"),
    "the table": (console, "results", broken, "table of results"),
    "a verdict": (console, "verdict_line", broken, "a verdict"),
    "the speed": (console, "speed_line", broken, "speed"),
    "a figure": (pictures, "DRAWINGS", (broken, pictures.entropy, pictures.solved), "figure broken"),
    "a figure after another": (pictures, "DRAWINGS", (late, pictures.solved), "figure late"),
    "the maps": (training_page, "map_slider", broken, "maps of policy and visits"),
    "the page": (training_page, "render", broken, "report.html"),
    "the whole report": (training_page, "read_results", broken, "report"),
}
IN_TENSORBOARD = [name for name in AT_THE_END if "TensorBoard" in name]
IN_REPORT = [name for name, (place, *_) in AT_THE_END.items() if place in (pictures, training_page)]


@pytest.fixture(autouse=True)
def _handlers_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(folder)
    return contents(folder)


def run(tmp_path: Path, *words: str) -> int:
    (tmp_path / "small.toml").write_text(CONFIG)
    return command.main([str(tmp_path / "small.toml"), "--out", str(tmp_path / "run"), "--workers", "1", *words])


@pytest.mark.parametrize("what", AT_THE_END)
def test_what_fails_after_training_costs_itself_alone(
    what: str,
    tmp_path: Path,
    undisturbed: dict[str, str | bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place, name, instead, named = AT_THE_END[what]
    with monkeypatch.context() as patched:
        if what == "the last flush of TensorBoard":
            instead = failing_after_training(BoardSink.flush)
        if what not in IN_REPORT:
            patched.setattr(training_page, "write_report", lambda path: path / "report.html")  # it takes its time
        patched.setattr(training_page, "map_slider", lambda results: None)  # and they take most of it
        patched.setattr(place, name, instead)
        assert run(tmp_path) == 1
    said, folder = capsys.readouterr(), tmp_path / "run"
    assert said.err.splitlines()[-1].startswith("train.py: not shown: ")
    assert f"{named} (ValueError: no paint)" in said.err
    assert said.err.count("\n") == 1
    # Everything else is there: the results, whatever was printed, and what could be drawn.
    same = {name: text for name, text in contents(folder).items() if not name.startswith("tensorboard")}
    assert_same(same, {name: undisturbed[name] for name in same})
    lines = {"the table": "final return", "a verdict": "It wanders more", "the speed": "steps in"}
    assert [broken for broken, line in lines.items() if (line in said.out) == (broken == what)] == []
    if what in IN_REPORT:
        assert ("solved" in figures_in(folder)) == (what != "the whole report")
        assert (folder / "report.html").exists() == (what not in ("the page", "the whole report"))
    # And what is missing can be made again.
    if what in IN_REPORT:
        if what != "the maps":
            monkeypatch.setattr(training_page, "map_slider", lambda results: None)
        assert report.main([str(folder)]) == 0
        assert (folder / "report.html").exists()
        assert {"entropy_bits", "solved"} <= figures_in(folder)
    if what in IN_TENSORBOARD:
        monkeypatch.setattr(training_page, "write_report", lambda path: path / "report.html")
        assert run(tmp_path, "--resume") == 0
    assert_same(contents(folder), undisturbed)
    assert not (folder / "checkpoint").exists()
    assert not (folder / "parts").exists()


def figures_in(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").glob("*.svg")}


def failing_after_training(flush: Callable[[BoardSink], Any]) -> Callable[[BoardSink], Any]:
    def instead(sink: BoardSink) -> Any:
        if RunFolder(sink._root.path.parents[1]).is_finished:
            raise ValueError("no paint")
        return flush(sink)

    return instead


def test_a_picture_that_fails_while_training_goes_on_is_named_at_the_end(
    tmp_path: Path,
    undisturbed: dict[str, str | bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(images_tab, "picture_block", broken)
    assert run(tmp_path) == 1
    arms = "pictures of without, pictures of with_entropy, pictures of table"
    assert capsys.readouterr().err == f"train.py: not shown: {arms} (ValueError: no paint)\n"
    found = contents(tmp_path / "run")
    aggregate = {name for name in found if name.startswith("tensorboard/aggregate")}
    assert_same(
        {name: found[name] for name in found.keys() - aggregate},
        {name: undisturbed[name] for name in undisturbed.keys() - aggregate},
    )


def test_the_summary_is_there_before_anything_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever draws, prints or tells TensorBoard: when it is called, the folder is finished."""
    finished: dict[str, bool] = {}

    def seen(what: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            finished[what] = RunFolder(tmp_path / "run").is_finished
            return whole(*arguments, **named)

        return instead

    for what, (place, name, _, _) in AT_THE_END.items():
        if not callable(getattr(place, name)) or what == "the last flush of TensorBoard":
            continue

        monkeypatch.setattr(place, name, seen(what, getattr(place, name)))
    assert run(tmp_path) == 0
    assert len(finished) == len(AT_THE_END) - 3
    assert all(finished.values())


def test_the_verdict_is_on_the_screen_before_the_report_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before: list[str] = []
    monkeypatch.setattr(
        training_page, "read_results", lambda path: before.append(capsys.readouterr().out) or broken()
    )
    assert run(tmp_path) == 1
    assert "It wanders more" in before[0]
    assert "final return" in before[0]


@pytest.mark.parametrize("change", ["checkpoint", "parts"])
def test_killed_after_the_summary_a_resumed_training_ends_as_any_other(
    change: str, tmp_path: Path, undisturbed: dict[str, str | bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first change after it, and between the last two."""

    class Killed(BaseException):
        pass

    remove = RunFolder.remove

    def killed(folder: RunFolder, name: str) -> None:
        if folder.is_finished and name == change:
            raise Killed
        remove(folder, name)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "remove", killed)
        with pytest.raises(Killed):
            train(tmp_path / "run", often=True)
    assert RunFolder(tmp_path / "run").is_finished
    train(tmp_path / "run", resume=True)
    assert_same(contents(tmp_path / "run"), undisturbed)
    assert not (tmp_path / "run" / "parts").exists()


def test_killed_before_tensorboard_is_told_the_end_it_is_told_later(
    tmp_path: Path, undisturbed: dict[str, str | bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(BoardSink, "finish", killed)
        with pytest.raises(Killed):
            train(tmp_path / "run", often=True)
    train(tmp_path / "run", resume=True)
    assert_same(contents(tmp_path / "run"), undisturbed)


def test_ctrl_c_while_the_report_is_drawn_says_how_to_draw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(training_page, "read_results", lambda path: os.kill(os.getpid(), signal.SIGINT))
        stopped = in_a_child(lambda: run(tmp_path), tmp_path)
    assert stopped.status == 130
    assert stopped.error == (
        "train.py: stopped; the results are complete: "
        f"python -m experiments.report {tmp_path / 'run'} draws them\n"
    )
    assert write_report(tmp_path / "run").exists()


def test_failures_are_named_once_and_by_their_reason() -> None:
    showing = Showing()
    assert showing.attempt("a", lambda: 3) == 3
    for what in ("b", "c", "b"):
        assert showing.attempt(what, broken) is None
    showing.attempt("d", lambda: [][1])
    inner = Showing()
    inner.attempt("e", broken)
    showing.attempt("what e is part of", inner.check)
    assert showing.line() == ("not shown: b, c, e (ValueError: no paint); d (IndexError: list index out of range)")
    with pytest.raises(NotShown):
        showing.check()
    with pytest.raises(KeyboardInterrupt):
        showing.attempt("f", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
