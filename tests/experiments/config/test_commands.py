"""Our configs are found from any folder, and messages name the command that was typed."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import train
from experiments import look
from experiments.config.commands import (
    CONFIGS,
    ROOT,
    SCRIPT,
    as_typed,
    command_words,
    is_installed,
    pip_install,
    title,
)
from experiments.config.loading import load_config
from experiments.config.mistakes import ConfigError
from experiments.config.sweep_files import load_sweep
from experiments.config.version import __version__

ADVICE = "go on with python train.py --resume, or python -m experiments.report runs/x"


@pytest.mark.parametrize(
    ("program", "is_checkout", "written"),
    [
        ("train.py", True, ADVICE),
        ("/venv/bin/pytest", True, ADVICE),
        ("../my project/train.py", True, ADVICE.replace("train.py", "'../my project/train.py'")),
        ("/venv/experiments/report.py", False, ADVICE.replace("train.py", "-m train")),
        (f"/venv/bin/{SCRIPT}", False, f"go on with {SCRIPT} --resume, or {SCRIPT} report runs/x"),
    ],
)
def test_a_text_names_the_program_that_was_typed(
    program: str, is_checkout: bool, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr("experiments.config.commands.IS_CHECKOUT", is_checkout)
    assert as_typed(ADVICE) == written


def test_so_do_the_beginnings_of_messages_and_their_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/venv/bin/{SCRIPT}"])
    assert (title("train.py"), title("experiments.play")) == (SCRIPT, f"{SCRIPT} play")
    assert train.main(["no_such_config"]) == 2
    assert capsys.readouterr().err.startswith(f"{SCRIPT}: no_such_config: ")
    assert look.main([str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{SCRIPT} look: ")
    assert f"{SCRIPT} --out {tmp_path / 'none'} would train into it" in said


def test_so_does_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [f"/venv/bin/{SCRIPT}"])
    for main, usage in ((train.main, f"usage: {SCRIPT} [-h]"), (look.main, f"usage: {SCRIPT} look [-h]")):
        with pytest.raises(SystemExit):
            main(["--help"])
        said = capsys.readouterr().out
        assert said.startswith(usage)
        assert "train.py" not in said
        assert "python -m" not in said


@pytest.mark.parametrize("extra", ["ray", "remote", "peers", "box2d"])
def test_an_extra_is_installed_by_what_pip_can_find(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed program is on no index, so its packages have to be named."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    assert pip_install(extra) == f'pip install ".[{extra}]"'
    monkeypatch.setattr("experiments.config.commands.IS_CHECKOUT", False)
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["numpy>=2.0", *marked(wanted, extra)])
    assert [Requirement(word) for word in shlex.split(pip_install(extra))[2:]] == list(map(Requirement, wanted))


def marked(needs: list[str], extra: str) -> list[str]:
    """As the metadata of a wheel has the packages of an extra, among those of another."""
    return [*(f'{need}; extra == "{extra}"' for need in needs), 'pytest>=9; extra == "dev"']


def test_a_folder_without_code_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nobodys_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("nobodys_package")
    assert not is_installed("nobody_has_this_one")
    (tmp_path / "nobodys_package" / "__init__.py").touch()
    assert is_installed("nobodys_package")


def test_no_experiment_of_ours_is_called_as_a_command() -> None:
    """The first word after `entropy-exploration` is one or the other."""
    assert {"argument", "look", "play", "report", "verify"} <= set(command_words())
    assert not set(command_words()) & {path.stem for path in CONFIGS.rglob("*.toml")}


@pytest.mark.parametrize("name", ["bandit", "configs/bandit.toml"])
def test_a_config_of_ours_is_found_in_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(name) == load_config(CONFIGS / "bandit.toml")


def test_a_sweep_of_ours_is_found_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (CONFIGS / "sweeps").glob("*.toml"):
        assert load_sweep(f"configs/sweeps/{path.name}") == load_sweep(path.stem) == load_sweep(path)


def test_a_file_of_the_users_comes_before_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    theirs = (CONFIGS / "trap.toml").read_text(encoding="utf-8")
    (tmp_path / "configs" / "bandit.toml").write_text(theirs, encoding="utf-8")
    assert load_config("configs/bandit.toml").name == "trap"


def test_a_mistyped_one_is_answered_with_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"did you mean 'configs/bandit\.toml'\?"):
        load_config("configs/bandi.toml")


GUESSES = {
    "reprot runs/bandit": "did you mean '{report}'?",
    "reprot": "did you mean '{report}'?",
    "Report runs/bandit --resume": "did you mean '{report}'?",
    "report runs/bandit": "did you mean '{report}'?",
    "swep configs/sweeps/bandit.toml": "did you mean '{sweep}'?",
    "help": "did you mean '{train} --help'?",
    "list": "did you mean '{train} --list'?",
    "version": "did you mean '{train} --version'?",
    "train": "training needs no word of its own, as in {train}",
    "trian bandit": "training needs no word of its own, as in {train} bandit",
    "train 'my own.toml' agent.baseline=none": (
        "training needs no word of its own, as in {train} 'my own.toml' agent.baseline=none"
    ),
    "start bandit": "start: there is no such command or config; --help lists the commands, and --list the configs",
    "bandt": "did you mean 'bandit'?",
    "bandit trap": "one config at a time: bandit, trap ",
}


@pytest.mark.parametrize(
    ("program", "train_", "module"),
    [("train.py", "python train.py", "python -m experiments."), (f"/venv/bin/{SCRIPT}", SCRIPT, f"{SCRIPT} ")],
)
@pytest.mark.parametrize("words", GUESSES)
def test_a_guessed_command_is_answered_with_one_that_there_is(
    words: str,
    program: str,
    train_: str,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [program])
    assert train.main(shlex.split(words)) == 2
    typed = {word: f"{module}{word}" for word in command_words()} | {"train": train_}
    (line,) = capsys.readouterr().err.splitlines()
    assert GUESSES[words].format(**typed) in line
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{SCRIPT} {__version__}\n")


def test_a_file_of_the_users_may_be_called_as_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report").write_text((CONFIGS / "trap.toml").read_text(encoding="utf-8"), encoding="utf-8")
    assert train.config_of(train.parser().parse_args(["report"])).name == "trap"


def test_a_list_of_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "CONFIGS", tmp_path)
    assert train.main(["--list"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{tmp_path}: holds no experiments" in said.err


def test_an_interrupted_training_goes_on_with_the_words_that_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"/venv/bin/{SCRIPT}"])
    monkeypatch.setattr(train, "can_resume", lambda *_: True)
    advice = train.next_step(
        Path("my run"), "my run", load_config("bandit"), ["bandit", "--out", "my run", "--overwrite"]
    )
    assert as_typed(advice) == f"; go on with: {SCRIPT} {shlex.join(['bandit', '--out', 'my run', '--resume'])}"
