"""Commands whose folder is in a store: results equal those on a disk, whoever is killed and whatever is down.

The store is a folder behind file:// and, where the packages are there, a server that speaks S3, in a process of
its own. A machine is a cache of its own.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

import train
from experiments import benchmark, look, play, report
from experiments.config.commands import SCRIPT
from experiments.session import remote
from experiments.session.console import Screen
from experiments.session.remote import folder_to_read
from experiments.storage.owned_folder import MARK
from experiments.storage.run_folder import RunFolder
from experiments.storage.sole_writer import WRITER
from tests.experiments.processes import PATIENCE, Ended, hear_signals, in_a_child, wait_for
from tests.experiments.small_training import CONFIG, assert_same, contents
from tests.experiments.test_sweep import written

pytestmark = pytest.mark.slow
HAS_S3 = all(importlib.util.find_spec(name) for name in ("s3fs", "moto", "flask"))
S3 = pytest.param(
    "s3", marks=[pytest.mark.long, pytest.mark.skipif(not HAS_S3, reason="needs s3fs, moto[server]")]
)
ROOT = Path(__file__).parents[3]
QUICKLY = """
import sys
from experiments.session import run, workers, writing
writing.SECONDS, writing.PAUSES = 0.3, (0.2, 0.2)
workers.BLOCK_SECONDS, run.MAX_SHARE = 0.0, 1e9
"""
TRAIN = f"{QUICKLY}\nimport train\nsys.exit(train.main(sys.argv[1:]))"
SWEEP = f"{QUICKLY}\nfrom experiments import sweep\nsys.exit(sweep.main(sys.argv[1:]))"
ARGUMENT = f"""{QUICKLY}
from experiments import argument
from experiments.config.loading import load_config
from tests.experiments.comparisons import CONFIGS
names = ["two_rooms", "bandit", "two_state", "mazes", "mazes_again"]
found = [argument.quickly(load_config(CONFIGS / f"{{name}}.toml")) for name in names]
argument.configs = lambda quick: found
sys.exit(argument.main(sys.argv[1:]))
"""
REMOVE = """
import sys
from experiments.storage.object_store import ObjectStore
ObjectStore(sys.argv[1]).remove(sys.argv[2:])
"""
SLOWLY = ["training.updates=300", "--checkpoint-seconds", "0.1", "--log-steps", "0"]


class Gate:
    """The way to a server. Once it is shut, nobody answers."""

    def __init__(self, server: int) -> None:
        self._server, self._ends, self._listener = server, list[socket.socket](), socket.create_server(("", 0))
        self.port: int = self._listener.getsockname()[1]
        self._answer()

    def _answer(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, server = listener.accept()[0], socket.create_connection(("127.0.0.1", self._server))
                self._ends += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_passed_on, args=ends, daemon=True).start()

    def shut(self) -> None:
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def open(self) -> None:
        self._listener = socket.create_server(("", self.port))
        self._answer()


def _passed_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class Store(NamedTuple):
    """A store, and machines that use it."""

    url: str
    folder: Path
    environment: dict[str, str]
    gate: Gate | None
    started: "list[subprocess.Popen[str]]"

    def start(self, code: str, *words: str, machine: str = "first") -> "subprocess.Popen[str]":
        cache = {"XDG_CACHE_HOME": str(self.folder / machine), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=self.folder, env=os.environ | self.environment | cache,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hear_signals,
        )  # fmt: skip
        self.started.append(process)
        return process

    def command(self, code: str, *words: str, machine: str = "first") -> tuple[int, str]:
        """Exit status of a command, and what it said."""
        process = self.start(code, *words, machine=machine)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def train(self, *words: str, machine: str = "first") -> tuple[int, str]:
        return self.command(TRAIN, *self.training(*words), machine=machine)

    def training(self, *words: str) -> list[str]:
        (self.folder / "small.toml").write_text(CONFIG)
        return [str(self.folder / "small.toml"), "--out", self.url, "--workers", "1", *words]

    def seen(self, machine: str = "reader") -> Path:
        """What a machine sees there."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.environment | {"XDG_CACHE_HOME": str(self.folder / machine)}).items():
                patch.setenv(name, value)
            with folder_to_read(self.url, Screen()) as folder:
                return folder

    def remove(self, name: str) -> None:
        assert self.command(REMOVE, self.url, name) == (0, "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that speaks S3."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path_factory.mktemp("server") / "log.txt").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_for(lambda: _made("bucket", port), "the server")
        yield port
    finally:
        process.kill()
        process.wait()


def _made(bucket: str, port: int) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")).close()
        return True
    return False


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    found = Store(f"file://{tmp_path}/store/run", tmp_path, {}, None, [])
    if getattr(request, "param", "file") == "s3":
        gate = Gate(request.getfixturevalue("server"))
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        place = keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}"}
        found = found._replace(url=f"s3://bucket/{tmp_path.name}/run", environment=place, gate=gate)
    try:
        yield found
    finally:
        if found.gate is not None:
            found.gate.shut()
        for process in found.started:
            process.kill()
            with process:  # closes the pipe, and waits
                pass


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str | bytes]]:
    """What a training into a folder says."""
    found: dict[tuple[str, ...], dict[str, str | bytes]] = {}

    def trained(*words: str) -> dict[str, str | bytes]:
        if words not in found:
            out = tmp_path_factory.mktemp("local")
            status, said = Store(str(out / "run"), out, {}, None, []).train(*words)
            assert status == 0, said
            found[words] = contents(out / "run")
        return found[words]

    return trained


# test_mirror.py and test_working_folder.py ask the same of the storage alone, and take seconds.
both = pytest.mark.parametrize("store", [pytest.param("file", marks=pytest.mark.long), S3], indirect=True)
only_s3 = pytest.mark.parametrize("store", [S3], indirect=True)


@both
def test_a_training_is_read_on_another_machine(store: Store, local: Callable[..., dict[str, str | bytes]]) -> None:
    status, said = store.train()
    assert status == 0, said
    assert f"results: {store.url}\n" in said
    assert_same(contents(store.seen()), local())
    assert (store.seen() / "report.html").exists()

    status, said = store.train(machine="second")
    assert (status, said) == (
        2,
        f"train.py: {store.url} holds results; go on with --resume, replace it with --overwrite, or use --out\n",
    )
    assert not (store.folder / "second" / SCRIPT).exists()  # nothing was fetched
    status, said = store.train("--resume", machine="second")
    assert status == 0
    assert said.startswith(f"{store.url} is finished; nothing to do\n")
    store.remove("report.html")
    code = "import sys\nfrom experiments import report\nsys.exit(report.main(sys.argv[1:]))"
    status, said = store.command(code, store.url, machine="second")
    assert status == 0, said
    assert (store.seen() / "report.html").exists()
    code = "import sys\nfrom experiments import play\nsys.exit(play.main(sys.argv[1:]))"
    status, said = store.command(code, store.url, "--seed", "1", "--arm", "table", machine="third")
    assert status == 0
    assert said.startswith("table, FourAction/TwoRooms-v0, episode seed 0\n")


@pytest.fixture
def first_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of the test, which are forked from it, are commands on a machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))


@pytest.mark.usefixtures("first_machine")
def test_what_is_missing_there_is_said_with_the_url(store: Store) -> None:
    for module, missing in (
        (play, "not a run folder (it has no config.toml)"),
        (report, "there is no finished training (no summary.json)"),
        (look, f"no such folder; python train.py --out {store.url} would train into it"),
    ):
        said = in_a_child(partial(module.main, [store.url]), store.folder)
        assert said == Ended(2, "", f"{module.__name__}: {store.url}: {missing}\n")
    assert not (store.folder / "store").exists()


def test_a_training_is_followed_from_another_machine(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(store.url.removeprefix("file://"))
    place.mkdir(parents=True)
    for name in (MARK, "report.html"):
        (place / name).write_text("a page")
    seen, moments = store.seen(), iter(range(50))
    monkeypatch.setattr(remote, "SECONDS", 0.2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(store.folder / "reader"))

    def is_alive() -> bool:
        if (moment := next(moments, None)) == 2:
            (place / "report.html").write_text("another page")
        return moment is not None and (seen / "report.html").read_text() != "another page"

    remote.follow(store.url, is_alive)
    assert (seen / "report.html").read_text() == "another page"


@both
def test_what_a_killed_command_has_written_is_resumed_elsewhere(
    store: Store, local: Callable[..., dict[str, str | bytes]]
) -> None:
    process = store.start(TRAIN, *store.training(*SLOWLY))
    wait_for(lambda: len(list((store.seen() / "checkpoint").glob("*"))) > 1, "two checkpoints")
    process.kill()
    process.communicate()
    shutil.rmtree(store.folder / "first")  # and its disk with it
    assert not RunFolder(store.seen()).is_finished

    status, said = store.train(*SLOWLY, "--resume", machine="second")
    assert status == 2
    assert said.startswith(f"train.py: {store.url}: another command is writing there (on ")
    assert f"remove {store.url}/{WRITER}" in said
    store.remove(WRITER)
    status, said = store.train(*SLOWLY, "--resume", machine="second")
    assert status == 0, said
    assert_same(contents(store.seen()), local(*SLOWLY))


@both
def test_ctrl_c_leaves_a_checkpoint_in_the_store(store: Store) -> None:
    process = store.start(TRAIN, *store.training(*SLOWLY))
    wait_for(lambda: (store.seen() / "checkpoint").exists(), "a checkpoint")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert f"--out {store.url} --workers 1" in said.splitlines()[-1]
    status, said = store.train(*SLOWLY, "--resume", machine="second")
    assert status == 0, said


@both
def test_the_cells_of_a_sweep_are_not_trained_again(store: Store) -> None:
    rates = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    file = written(store.folder, {"grid": {"training": {"updates": [1500]}, "agent": {"learning_rate": rates}}})
    words = [str(file), "--workers", "1", "--out"]
    process = store.start(SWEEP, *words, store.url)
    wait_for(lambda: len(list((store.seen() / "cells").glob("*"))) > 1, "two cells")
    process.kill()
    process.communicate()
    shutil.rmtree(store.folder / "first")
    store.remove(WRITER)
    there = len(list((store.seen() / "cells").glob("*")))
    status, said = store.command(SWEEP, *words, store.url, "--resume", machine="second")
    assert status == 0, said
    assert f"{there} of {len(rates)} trainings are done" in said
    assert store.command(SWEEP, *words, str(store.folder / "local"))[0] == 0
    runs = [pq.read_table(folder / "runs.parquet") for folder in (store.seen(), store.folder / "local")]
    assert runs[0].equals(runs[1])


@both
@pytest.mark.parametrize(
    "engine",
    [
        "local",
        pytest.param(
            "ray",
            marks=[
                pytest.mark.long,
                pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray"),
            ],
        ),
    ],
)
def test_the_experiments_of_the_argument_are_not_trained_again(store: Store, engine: str) -> None:
    words = ["-v", "--quick", "--workers", "2", "--engine", engine, "--out", store.url]
    status, said = store.command(ARGUMENT, *words)
    assert status == 0, said
    assert "unchanged" not in said
    (copy,) = (store.folder / "first").glob("*/*-run-????????/copy")
    assert (copy / "two_rooms").exists() == (engine == "local")  # Ray's tasks have copies of their own
    for path in store.seen().glob("*/summary.json"):
        RunFolder(path.parent).read_summary()
    status, said = store.command(ARGUMENT, *words, machine="second")
    assert status == 0, said
    assert said.count("unchanged") == len(list(store.seen().glob("*/summary.json"))) == 5


@both
def test_two_commands_of_one_machine(store: Store) -> None:
    process = store.start(TRAIN, *store.training(*SLOWLY))
    reader = store.folder / "first"
    wait_for(lambda: list(reader.glob("*/*/copy/config.toml")), "the first command")
    status, said = store.train("--overwrite")
    assert (status, said) == (
        2,
        f"train.py: {store.url}: another command is writing there; wait for it or choose another --out\n",
    )
    assert store.seen("first") == next(reader.glob("*/*/copy"))  # reading is free, and sees what is being written
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


@only_s3
def test_a_server_that_is_down_for_a_while_changes_nothing(
    store: Store, local: Callable[..., dict[str, str | bytes]]
) -> None:
    assert store.gate is not None
    process = store.start(TRAIN, *store.training(*SLOWLY))
    wait_for(lambda: (store.seen() / "checkpoint").exists(), "a checkpoint")
    store.gate.shut()
    (copy,) = (store.folder / "first").glob("*/*/copy")
    before = {path.name for path in (copy / "checkpoint").iterdir()}
    wait_for(lambda: not before & {path.name for path in (copy / "checkpoint").iterdir()}, "two more checkpoints")
    store.gate.open()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert_same(contents(store.seen()), local(*SLOWLY))


@only_s3
def test_a_server_that_stays_down_costs_nothing_either(
    store: Store, local: Callable[..., dict[str, str | bytes]]
) -> None:
    assert store.gate is not None
    process = store.start(TRAIN, *store.training(*SLOWLY))
    wait_for(lambda: (store.seen() / "config.toml").exists(), "the beginning")
    store.gate.shut()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (copy,) = (store.folder / "first").glob("*/*/copy")
    *_, before, last = said.splitlines()
    assert before.startswith(f"train.py: {store.url}: Could not connect")
    assert before.endswith("; the next attempt is in 0.2 s")
    assert last.endswith(f"; everything is in {copy}, from where the next command with this URL writes it")
    assert_same(contents(copy), local(*SLOWLY))

    status, said = store.train("--resume")
    assert status == 2  # nobody answers yet
    assert said.startswith(f"train.py: {store.url}: Could not connect")
    store.gate.open()
    status, said = store.train(*SLOWLY, "--resume")
    assert status == 0, said
    assert_same(contents(store.seen()), local(*SLOWLY))


@pytest.mark.parametrize(
    ("store", "url", "environment", "message"),
    [
        ("file", "nowhere://bucket/run", {}, "Protocol not known: nowhere"),
        pytest.param("s3", "s3://no-such-bucket/run", {}, "The specified bucket does not exist", marks=S3.marks),
        pytest.param(
            "s3", "s3://bucket/run", {"AWS_ACCESS_KEY_ID": ""}, "Unable to locate credentials", marks=S3.marks
        ),
    ],
    indirect=["store"],
)
def test_what_cannot_be_used_is_refused_before_training(
    store: Store, url: str, environment: dict[str, str], message: str
) -> None:
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": ""}
    refused = store._replace(url=url, environment=store.environment | alone | environment)
    assert refused.train() == (2, f"train.py: {url}: {message}\n")


@pytest.mark.usefixtures("first_machine")
def test_a_missing_package_is_named_with_its_extra(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    words = [*store.training(), "--out", "s3://bucket/run"]
    assert in_a_child(partial(train.main, words), store.folder) == Ended(
        2,
        "",
        "train.py: s3://bucket/run needs a package: Install s3fs to access S3. The extra remote has what s3:// "
        'needs: pip install ".[remote]"\n',
    )
    assert not (store.folder / "first" / SCRIPT).exists()


def test_other_places_are_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["--out", "s3://bucket/benchmark"])
    said = capsys.readouterr().err
    assert "argument --out: needs a place on this machine, not s3://bucket/benchmark" in said
