"""Files that somebody names: what is no regular file of a sensible size is refused at once, whatever reads it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import train
from experiments.config.files import open_regular, read_regular
from experiments.config.loading import load_config
from experiments.config.schema import ConfigError
from experiments.storage.run_folder import RunFolder, StoreError, sha256
from tests.experiments.small_training import small_config

MB = 1 << 20


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def bound_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def huge(path: Path) -> Path:
    path.touch()
    os.truncate(path, 1 << 40)  # takes no room on the disk
    return path


STRANGE: dict[str, Callable[[Path], Path]] = {
    "pipe": pipe,
    "socket": bound_socket,
    "folder": folder,
    "huge": huge,
    "endless device": lambda _: Path("/dev/zero"),
    "empty device": lambda _: Path("/dev/null"),
    "link to a device": lambda path: path.symlink_to("/dev/zero") or path,
}


@pytest.fixture(params=STRANGE)
def strange(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # the path of a socket may have a hundred characters
    return STRANGE[request.param](Path("strange"))


def test_are_not_read(strange: Path) -> None:
    with pytest.raises(OSError, match=r"not a file|No such device|Is a directory|larger than 1 MB") as caught:
        read_regular(strange, MB)
    assert caught.value.filename == str(strange)


def test_are_read_whole_if_they_are_regular(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * MB)
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file", MB) == read_regular(tmp_path / "link", MB) == b"x" * MB
    (tmp_path / "file").write_bytes(b"x" * (MB + 1))
    with pytest.raises(OSError, match="larger than 1 MB"):
        read_regular(tmp_path / "file", MB)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nothing", MB)


def test_nothing_stays_open(strange: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match=r"."):
            read_regular(strange, MB)
    assert len(os.listdir("/dev/fd")) == before


def test_are_no_config(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([str(strange)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"train.py: {strange}: ")
    assert said.count("\n") == 1


def test_are_no_map(strange: Path) -> None:
    table = small_config().model_dump(exclude_none=True)
    table["environment"] = {"id": "FourAction/Grid-v0", "kwargs": {"map": str(strange)}}
    with pytest.raises(ConfigError, match=rf"environment: kwargs.map: '{strange}' is a single line"):
        load_config(table)


def test_are_nothing_that_a_training_stored(strange: Path) -> None:
    run = Path("run")
    run.mkdir()
    for name in ("summary.json", "config.toml"):
        (run / name).symlink_to(strange.absolute())
    with pytest.raises(StoreError, match=r"run/summary\.json: "):
        RunFolder(run).read_summary()
    with pytest.raises((StoreError, ConfigError), match=r"run/(config\.toml|summary\.json|SHA256SUMS): "):
        RunFolder(run).read_config()
    if not strange.is_file():
        with pytest.raises(StoreError, match=f"^{strange}: "):
            sha256(strange)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_are_no_lock(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    STRANGE[kind](Path("run/.lock"))
    with pytest.raises(StoreError, match=r"^run/\.lock: is not a file"), RunFolder(Path("run")).locked():
        pass


def test_a_lock_that_is_left_over_is_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path / "run").locked():
            assert (tmp_path / "run" / ".lock").stat().st_mode & 0o777 & ~0o644 == 0
    os.close(open_regular(tmp_path / "run" / ".lock"))
