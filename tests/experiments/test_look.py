"""The command and the links that users are shown."""

import io
import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import pytest

from experiments.config.measures import TAGS
from experiments.look import main, open_bands, shown
from experiments.storage.run_folder import config_text
from experiments.tensorboard.event_file import EventFile
from experiments.tensorboard.links import (
    FEATURED_TAG,
    FEATURED_TAGS,
    STEP_TAG,
    deep_link,
    links,
    tab_link,
    tensorboard_command,
)
from experiments.tensorboard.scalar_blocks import scalar_block
from tests.experiments.comparisons import comparison
from tests.experiments.processes import in_a_child


def test_command_is_one_that_a_shell_splits_as_meant() -> None:
    words = shlex.split(tensorboard_command(Path("runs/it's here"), port=7007, points=5000))
    assert words[1:3] == ["--logdir", "runs/it's here"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--samples_per_plugin"].split(",")[0] == "scalars=5000"
    assert options["--host"] == "localhost"
    assert options["--port"] == "7007"


def test_deep_link_shows_what_is_featured_alone_and_colours() -> None:
    link = urlsplit(deep_link(7007))
    assert (link.scheme, link.netloc, link.fragment) == ("http", "localhost:7007", "timeseries")
    query = {key: value for key, (value,) in parse_qs(link.query, strict_parsing=True).items()}
    tags = (STEP_TAG, FEATURED_TAG, *FEATURED_TAGS, *TAGS)
    assert {tag for tag in tags if re.search(query["tagFilter"], tag)} == {FEATURED_TAG, *FEATURED_TAGS}
    assert query["smoothing"] == "0"
    colour = re.compile(query["runColorGroup"].removeprefix("regex:"))
    for run in ("with_entropy/seed_3", "with_entropy/seed_12", "aggregate/with_entropy"):
        assert colour.match(run)[1] == "with_entropy"  # type: ignore[index]
    assert colour.match(".") is None


def test_tab_link_selects_the_aggregate_runs_and_the_root() -> None:
    link = urlsplit(tab_link("custom_scalars", 7007))
    tab, *settings = link.fragment.split("&")
    assert (link.netloc, tab) == ("localhost:7007", "custom_scalars")
    runs = re.compile(unquote(dict(setting.split("=") for setting in settings)["regexInput"]))
    assert [run for run in (".", "aggregate/with", "with/seed_0", "aggregated/seed_0") if runs.match(run)] == [
        ".",
        "aggregate/with",
    ]


@pytest.mark.parametrize("has_script", [True, False])
def test_command_runs_the_tensorboard_of_this_python_wherever_one_stands(
    has_script: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its script beside Python, or, as after `pip install --target`, without one."""
    folder = tmp_path / "my project" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "tensorboard").touch(0o755 if has_script else 0o644)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))

    def program() -> str:
        words = shlex.split(tensorboard_command(Path("runs/x")))
        before = words[: words.index("--logdir")]
        assert before[1:] == ([] if has_script else ["-m", "tensorboard.main"])
        return before[0]

    name = "tensorboard" if has_script else "python"
    monkeypatch.chdir(tmp_path / "my project")
    assert program() == f".venv/bin/{name}"
    monkeypatch.chdir(folder)
    assert program() == f"./{name}"  # a bare word is looked for in PATH
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert program() == str(folder / name)


@pytest.mark.parametrize("has_script", [True, False])
def test_a_shell_can_run_the_command(has_script: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_script:
        (tmp_path / "bin").mkdir()
        python = tmp_path / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # holds no tensorboard
    command = tensorboard_command(Path("runs/x")).partition(" --logdir ")[0]
    done = subprocess.run(f"{command} --version", shell=True, capture_output=True, check=True)
    assert done.stdout.strip()


def test_command_shows_every_point_of_the_longest_curve(tmp_path: Path) -> None:
    file, points = EventFile(tmp_path / "arm" / "seed_0"), 150_000
    file.write(scalar_block("x", range(1, points + 1), [0.5] * points, 1.7e9))  # the shortest tag there is
    file.flush()
    (samples,) = re.findall(r"scalars=(\d+)", tensorboard_command(tmp_path))
    assert int(samples) >= points


def test_links_are_those_of_one_server() -> None:
    addresses = re.findall(r"http://\S+", links(7007))
    assert {urlsplit(address).netloc for address in addresses} == {"localhost:7007"}
    assert [urlsplit(address).fragment.split("&")[0] for address in addresses] == [
        "custom_scalars",
        "timeseries",
        "images",
    ]


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_event_files_is_refused_by_name(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"{tmp_path / folder}: " in said.err


def test_ctrl_c_while_tensorboard_is_still_starting_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EventFile(tmp_path / "run").flush()
    starting = "import os, signal, time; os.kill(0, signal.SIGINT); time.sleep(1000)"
    monkeypatch.setattr(
        "experiments.look.tensorboard_command", lambda *_: shlex.join([sys.executable, "-c", starting])
    )
    status, _, error = in_a_child(lambda: main([str(tmp_path / "run")]), tmp_path)
    assert (status, error) == (130, "experiments.look: stopped\n")


def test_a_tensorboard_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    EventFile(tmp_path / "run").flush()
    monkeypatch.setattr("experiments.look.is_installed", lambda package: package != "tensorboard")
    assert main([str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "experiments.look: TensorBoard is not installed for this Python: "
        f"{shlex.quote(sys.executable)} -m pip install tensorboard installs it\n"
    )


def test_tensorboard_is_started_on_the_logs_of_a_run_folder_on_a_free_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    EventFile(tmp_path / "tensorboard").flush()
    started: list[list[str]] = []
    monkeypatch.setattr("experiments.look.run_program", lambda words, _: started.append(words) or 0)
    with socket.create_server(("localhost", 0)) as busy:
        taken = busy.getsockname()[1]
        monkeypatch.setattr("experiments.look.PORT", taken)
        main([str(tmp_path), "--links"])
    (words,) = started
    assert words[words.index("--logdir") + 1] == str(tmp_path / "tensorboard")
    port = words[words.index("--port") + 1]
    assert port not in (str(taken), "0")
    said = capsys.readouterr().out
    assert said.startswith(shlex.join(words) + "\n")
    assert said.count(f"http://localhost:{port}/") == 3


def test_the_long_links_are_printed_for_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    EventFile(tmp_path / "tensorboard").flush()
    monkeypatch.setattr("experiments.look.run_program", lambda *_: 0)
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "%" not in said
    assert re.search(r"^TensorBoard: http://localhost:\d+$", said, re.MULTILINE)


def test_every_step_is_shown_of_the_first_seeds_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config_text(comparison(seeds=[5, 3, 8])))
    EventFile(tmp_path / "tensorboard").flush()
    (link,) = re.findall(r"every step: +(http\S+)", links(7007, *shown(tmp_path / "tensorboard")))
    runs = re.compile(parse_qs(urlsplit(link).query)["runFilter"][0])
    found = [
        name
        for name in ("with/seed_5", "with/seed_3", "with/seed_8", "with/seed_55", "aggregate/with")
        if runs.search(name)
    ]
    assert found == ["with/seed_5", "with/seed_3"]


def test_the_browser_opens_the_bands_once_tensorboard_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real one, for as long as it takes to open a page that answers."""
    file = EventFile(tmp_path / "tensorboard" / "aggregate" / "with")
    file.write(scalar_block("x", [1], [0.5], 1.7e9))
    file.flush()
    opened: list[tuple[str, bytes]] = []

    def open_page(address: str) -> bool:
        with urlopen(address.split("#")[0] + "data/runs", timeout=60) as answer:
            opened.append((address, answer.read()))
        raise KeyboardInterrupt  # what a user does when there is nothing more to see

    monkeypatch.setattr("webbrowser.open", open_page)
    assert main([str(tmp_path), "--open"]) == 130
    ((address, runs),) = opened
    assert urlsplit(address).hostname == "localhost"
    assert urlsplit(address).fragment.startswith("custom_scalars")
    assert json.loads(runs) == ["aggregate/with"]


def test_without_a_browser_the_page_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    monkeypatch.setattr("experiments.look.urlopen", lambda *_, **__: io.BytesIO(b'["with"]'))
    open_bands(7007, lambda: True)
    assert "http://localhost:7007/#custom_scalars" in capsys.readouterr().out
