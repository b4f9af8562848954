"""Files of other people: what carries no mark of ours is never replaced, removed or written through."""

import ast
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import train as train_command
from experiments import argument, benchmark, report
from experiments.figures.gif import Picture, write_gif
from experiments.pages.training_page import write_report
from experiments.session import run as session
from experiments.storage.owned_folder import FORMAT, MARK
from experiments.storage.run_folder import ARGUMENT, RunFolder, StoreError
from tests.experiments.small_training import CONFIG, Crash, small_config, train

ROOT = Path(__file__).parents[3]
NAMES = ("notes.txt", "mine.parquet", "update-mine-1.safetensors", "mine.svg", ".mine.tmp", "mine.safetensors")
# What files are made, changed or removed with. (Reading is another matter.)
CHANGING = re.compile(
    r"^(os|shutil)\.(replace|rename|remove|unlink|rmdir|mkdir|makedirs|truncate|symlink|copy2?|copyfile|copytree|move|rmtree)\("
    r"|^os\.open\(.*(flags|O_RDWR|O_CREAT|WRITING)"
    r"|^[^(]*\.(write_text|write_bytes|mkdir|unlink|touch|rename|symlink_to)\("
    r"|^([^(]*\.)?open\((.*, )?(mode=)?'[rb]*[wax+][^']*'"
)


def write_everything(folder: Path) -> None:
    train(folder)
    write_report(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder with its report."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_everything(folder)
    return folder


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was cut off, with parts and checkpoints."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    with pytest.raises(Crash):
        train(folder, crash_at=9)
    return folder


def held(folder: Path) -> dict[str, bytes | str | None]:
    """Everything in a folder: contents of files, where links lead to, None for folders."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def commands(config: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Path], int]]:
    """Every command that writes into a folder; what it would do there is seconds of work."""
    monkeypatch.setattr(argument, "configs", lambda quick: [small_config("training.updates=2")])
    monkeypatch.setattr(benchmark, "measured", lambda quick: {})

    def trained(*words: str) -> Callable[[Path], int]:
        def run(folder: Path) -> int:
            kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
            try:
                return train_command.main([str(config), "--out", str(folder), "--workers", "1", *words])
            finally:
                for number, handler in kept.items():
                    signal.signal(number, handler)

        return run

    return {
        "train": trained(),
        "train --overwrite": trained("--overwrite"),
        "train --resume": trained("--resume"),
        "argument": lambda folder: argument.main(["--quick", "--workers", "1", "--out", str(folder)]),
        "report": lambda folder: report.main([str(folder)]),
        "benchmark": lambda folder: benchmark.main(["--quick", "--out", str(folder)]),
    }


def checkout(folder: Path) -> None:
    (folder / ".git" / "refs").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "README.md").write_text("mine")


def home(folder: Path) -> None:
    """Hidden files alone."""
    (folder / ".profile").write_text("mine")
    (folder / ".cache").mkdir()


def own_figures(folder: Path) -> None:
    """Names of ours, and nothing else of ours."""
    for name in ("figures/solved.svg", "policies/table.safetensors", "checkpoint/notes", "tensorboard/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")


def own_config(folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG)
    (folder / "summary.json").write_text("{}")


def own_report(folder: Path) -> None:
    (folder / "report.html").write_text("mine")


def own_mark(folder: Path) -> None:
    """A mark of something else, or none at all."""
    (folder / MARK).write_text('{"format": 1, "kind": "holiday", "made_by": "train.py"}')
    (folder / "summary.json").write_text("mine")


@pytest.mark.parametrize("made", [checkout, home, own_figures, own_config, own_report, own_mark])
def test_no_command_touches_a_folder_of_somebody_else(
    tmp_path: Path,
    made: Callable[[Path], None],
    commands: dict[str, Callable[[Path], int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    made(folder)
    before = held(folder)
    for name, command in commands.items():
        assert command(folder) == 2, name
        said = capsys.readouterr()
        assert said.err.count("\n") == 1, (name, said.err)
        assert held(folder) == before, name


@pytest.mark.parametrize("which", ["whole", "cut"])
def test_no_command_touches_the_folder_of_another(
    which: str,
    tmp_path: Path,
    commands: dict[str, Callable[[Path], int]],
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """A training of one's own where `argument` would put its experiment, and the reverse."""
    shutil.copytree(request.getfixturevalue(which), tmp_path / "runs" / "small")
    before = held(tmp_path / "runs")
    assert commands["argument"](tmp_path / "runs") == 2
    assert commands["argument"](tmp_path / "runs" / "small") == 2
    assert commands["benchmark"](tmp_path / "runs" / "small") == 2
    assert held(tmp_path / "runs") == before
    (tmp_path / "runs" / MARK).write_text(json.dumps({"format": FORMAT, "kind": "argument", "made_by": ARGUMENT}))
    capsys.readouterr()
    assert commands["argument"](tmp_path / "runs") == 2
    assert "small: was made by train.py, not by experiments.argument; use another --out" in capsys.readouterr().err
    (tmp_path / "runs" / "small" / MARK).write_text(
        json.dumps({"format": FORMAT, "kind": "training", "made_by": ARGUMENT})
    )
    before = held(tmp_path / "runs")
    for name in ("train", "train --overwrite", "train --resume"):
        assert commands[name](tmp_path / "runs" / "small") == 2
        assert "was made by experiments.argument, not by train.py" in capsys.readouterr().err
    assert held(tmp_path / "runs") == before


def without_mark(folder: Path) -> None:
    (folder / MARK).unlink()


class TestAFolderWithoutAMark:
    """As version 0.1.0 left them."""

    def test_is_recognised_by_its_results(self, whole: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "run")
        without_mark(tmp_path / "run")
        train(tmp_path / "run", small_config("training.updates=2"), overwrite=True)
        assert RunFolder(tmp_path / "run").maker() == "train.py"

    def test_is_not_if_they_are_not_what_was_written(self, whole: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "run")
        without_mark(tmp_path / "run")
        (tmp_path / "run" / "config.toml").write_text(CONFIG)
        before = held(tmp_path / "run")
        with pytest.raises(StoreError, match="holds files that are not a training of this program"):
            train(tmp_path / "run", overwrite=True)
        assert held(tmp_path / "run") == before

    def test_is_recognised_by_a_checkpoint_and_goes_on(self, cut: Path, tmp_path: Path) -> None:
        shutil.copytree(cut, tmp_path / "run")
        without_mark(tmp_path / "run")
        train(tmp_path / "run", resume=True)
        assert RunFolder(tmp_path / "run").is_finished

    def test_is_of_argument_if_it_names_its_source(self, whole: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "argument" / "small")
        without_mark(tmp_path / "argument" / "small")
        (tmp_path / "argument" / "small" / "source.txt").write_text("0123456789abcdef")
        assert RunFolder(tmp_path / "argument" / "small").maker() == ARGUMENT
        assert argument.ArgumentFolder(tmp_path / "argument").maker() == ARGUMENT
        (tmp_path / "argument" / "thesis.tex").touch()
        assert argument.ArgumentFolder(tmp_path / "argument").maker() is None


@pytest.mark.parametrize("which", ["whole", "cut"])
@pytest.mark.parametrize("how", ["overwrite", "resume", "report"])
def test_other_files_stay_in_every_folder_of_ours(
    which: str, how: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(request.getfixturevalue(which), folder)
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    planted = [place / name for place in places for name in NAMES]
    (folder / "mine").mkdir()
    for path in (*planted, folder / "mine" / "steps.parquet"):
        path.write_text(f"mine, {path}")
    if how == "report":
        if which == "cut":
            with pytest.raises(StoreError):
                write_report(folder)
        else:
            write_report(folder)
    else:
        _, told = train(folder, **{how: True})
        if how == "overwrite":
            assert told[-1].startswith(
                f"{folder}: left in place, since this program did not write them: .mine.tmp, mine, mine.parquet"
            )
    for path in (*planted, folder / "mine" / "steps.parquet"):
        assert path.read_text() == f"mine, {path}"
    if how != "report":
        sums = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
        assert not [name for name in sums if Path(name).name in NAMES]


def test_every_file_that_is_written_is_known_as_ours_and_goes(whole: Path, cut: Path, tmp_path: Path) -> None:
    for which in (whole, cut):
        folder = RunFolder(tmp_path / which.parent.name)
        shutil.copytree(which, folder.path)
        assert [name for name in folder.names() if not folder.is_own(name)] == []
        assert folder.clear() == []
        assert sorted(path.name for path in folder.path.iterdir()) == [".lock", MARK, "config.toml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "names"),
    [("whole", ["train --overwrite", "report"]), ("cut", ["train --resume"])],
    ids=["whole", "cut"],
)
def test_nothing_is_written_through_a_link(
    which: str,
    names: list[str],
    tmp_path: Path,
    commands: dict[str, Callable[[Path], int]],
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """Each kind of file and folder of ours, in turn, lies outside and is linked to; what lies outside stays."""
    original = request.getfixturevalue(which)
    parts = {path.relative_to(original) for path in original.rglob("*")} | {Path("figures"), Path("report.html")}
    kinds = {(part.parts[0], len(part.parts), bool(part.suffix)): part for part in sorted(parts)}  # one of each
    for number, part in enumerate(kinds.values()):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(original, tmp_path / "run")
        link, outside = tmp_path / "run" / part, tmp_path / f"outside_{number}"
        if link.exists():
            link.rename(outside)
        elif part.suffix:
            outside.write_text("mine")
        else:
            outside.mkdir()
        link.symlink_to(outside)
        before = held(outside) if outside.is_dir() else outside.read_bytes()
        for name in names:
            assert commands[name](tmp_path / "run") == 2, (part, name)
            error = capsys.readouterr().err
            assert error.count("\n") == 1, (part, error)
            after = held(outside) if outside.is_dir() else outside.read_bytes()
            assert after == before, (part, name)


def test_the_page_of_the_argument_is_not_written_through_a_link(
    tmp_path: Path, commands: dict[str, Callable[[Path], int]], capsys: pytest.CaptureFixture[str]
) -> None:
    makers = {"argument": ARGUMENT, "benchmark": benchmark.COMMAND}
    for kind, linked in (("argument", "summary.json"), ("argument", "small"), ("benchmark", "benchmark.json")):
        folder, outside = tmp_path / f"{kind} {linked}", tmp_path / f"outside {linked}"
        folder.mkdir()
        (folder / MARK).write_text(json.dumps({"format": FORMAT, "kind": kind, "made_by": makers[kind]}))
        outside.mkdir() if linked == "small" else outside.write_text("mine")
        (folder / linked).symlink_to(outside)
        assert commands[kind](folder) == 2
        assert "is a symbolic link; a run folder may hold none\n" in capsys.readouterr().err
        assert not list(outside.iterdir()) if linked == "small" else outside.read_text() == "mine"


class TestAGif:
    EPISODE = ([Picture(np.zeros((4, 4, 3), np.uint8), "step 0")],)

    def test_replaces_one_of_ours(self, tmp_path: Path) -> None:
        write_gif(tmp_path / "a.gif", ["one"], self.EPISODE, 4)
        write_gif(tmp_path / "a.gif", ["two"], self.EPISODE, 4)

    def test_replaces_nothing_else(self, tmp_path: Path) -> None:
        Image.new("RGB", (2, 2)).save(tmp_path / "a.gif")
        (tmp_path / "thesis.tex").write_text("mine")
        (tmp_path / "link.gif").symlink_to(tmp_path / "nowhere")
        before = held(tmp_path)
        for name in ("a.gif", "thesis.tex", "link.gif"):
            with pytest.raises(StoreError):
                write_gif(tmp_path / name, ["one"], self.EPISODE, 4)
        assert held(tmp_path) == before


def changes(path: Path) -> list[str]:
    """Where a module makes, changes or removes files by itself."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    texts = [ast.unparse(call) for call in calls]
    return [text for text in texts if CHANGING.search(text) and "devnull" not in text]


def test_one_place_changes_files() -> None:
    paths = [path for path in ROOT.glob("experiments/**/*.py") if path.name != "tree.py"]
    found = [text for path in [*paths, ROOT / "train.py"] for text in changes(path)]
    # A folder that the user names is made, and so are its parents, before anything is opened in it.
    assert sorted(found) == [
        "folder.mkdir(parents=True, exist_ok=True)",
        "self.path.mkdir(parents=True, exist_ok=True)",
    ]
    assert len(changes(ROOT / "experiments" / "storage" / "tree.py")) > 8


def test_what_resume_would_not_find_is_not_advised(
    tmp_path: Path, config: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped while it compiles, `--overwrite` has not begun; stopped when it has, `--resume` is right."""
    shutil.copytree(whole, tmp_path / "run")
    words = [str(config), "--out", str(tmp_path / "run"), "--workers", "1", "training.updates=3"]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        before = held(whole)
        with monkeypatch.context() as patched:
            patched.setattr(session, "compile_ahead", stop)
            assert train_command.main([*words, "--overwrite"]) == 130
        assert capsys.readouterr().err == "train.py: stopped\n"
        assert held(tmp_path / "run") == before
        with monkeypatch.context() as patched:
            patched.setattr(session, "Workers", stop)
            assert train_command.main([*words, "--overwrite"]) == 130
        error = capsys.readouterr().err
        assert "go on with: python train.py" in error
        assert error.endswith(" --resume\n")
        assert train_command.main([*words, "--resume"]) == 0
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
