"""Files from strangers and files that a disk has damaged: nothing is executed, and no number is wrong."""

import ast
import hashlib
import json
import os
import pickle
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from experiments import play
from experiments.config.loading import load_config
from experiments.config.schema import ConfigError
from experiments.pages.training_page import write_report
from experiments.session import run as session
from experiments.session.workers import check_states
from experiments.storage.checkpoints import Checkpoints, Moment
from experiments.storage.policies import load_policy
from experiments.storage.results import read_results
from experiments.storage.run_folder import FORMAT, RunFolder, State, StoreError
from experiments.storage.snapshots import read_snapshots
from experiments.training.loop import Training
from tests.experiments.small_training import Crash, assert_same, contents, small_config, train

ROOT = Path(__file__).parents[3]
SMALL = ("training.seeds=1", "training.updates=4", "agent.hidden_sizes=[2]")


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that can be resumed."""
    folder = tmp_path_factory.mktemp("crashed") / "run"
    with pytest.raises(Crash):
        train(folder, small_config(*SMALL), crash_at=3)
    return folder


@pytest.fixture
def folder(crashed: Path, tmp_path: Path) -> Path:
    shutil.copytree(crashed, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder, small_config(*SMALL))
    return folder


def newest(folder: Path) -> Path:
    return Checkpoints(RunFolder(folder)).paths()[0]


def forged(folder: Path, data: bytes) -> Path:
    """Put data in the place of all checkpoints, with a name that vouches for it."""
    shutil.rmtree(folder / "checkpoint")
    (folder / "checkpoint").mkdir()
    path = folder / "checkpoint" / f"update-000000003-{hashlib.sha256(data).hexdigest()[:32]}.safetensors"
    path.write_bytes(data)
    return path


def opened(path: Path) -> tuple[dict[str, Any], State]:
    """The metadata and the arrays of a checkpoint."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["about"]), safetensors.numpy.load(data)


def refused(folder: Path) -> str:
    """What the user is told of the only checkpoint."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    told: list[str] = []
    with pytest.raises(StoreError, match=r"no checkpoint can be used|is newer than this program's"):
        train_telling(folder, told)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before  # nothing was cut back for its sake
    return "\n".join(told)


def train_telling(folder: Path, told: list[str]) -> None:
    session.run(small_config(*SMALL), session.Options(folder, resume=True), lambda _: None, told.append)


class TestAForgedCheckpoint:
    """Its checksum is right: what is in it must fit this training."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda a: a | {"0/batch_0.failed_update": np.zeros(3, np.int64)},
                "failed_update is int64 (3,); this",
            ),
            (
                lambda a: a | {"0/batch_0.failed_update": np.zeros(2, np.int32)},
                "failed_update is int32 (2,); this",
            ),
            (lambda a: {k: v for k, v in a.items() if "theta" not in k}, "theta is not there; this training has"),
            (lambda a: a | {"0/more": np.zeros(1)}, "more is float64 (1,); this training has none"),
            (lambda a: a | {"1/update_count": np.array(3)}, "has 2 shares of 1 seeds"),
            (lambda a: a | {"x/update_count": np.array(3)}, "invalid literal for int()"),
            (lambda a: a | {"0/update_count": np.array(2)}, "is after update 3, or 2; neither fits"),
            (lambda a: a | {"0/update_count": np.array(-1)}, "is after update 3, or -1; neither fits"),
            (lambda a: {}, "has 0 shares of 1 seeds"),
        ],
        ids=["shape", "type", "missing", "too many", "shares", "share", "update", "negative update", "empty"],
    )
    def test_has_arrays_that_do_not_fit(
        self, folder: Path, change: Callable[[State], State], message: str
    ) -> None:
        about, arrays = opened(newest(folder))
        path = forged(folder, safetensors.numpy.save(change(arrays), {"about": json.dumps(about)}))
        told = refused(folder)
        assert told.startswith(f"checkpoint not used: {path}: ")
        assert message in told

    @pytest.mark.parametrize(
        "change",
        [
            {"update": -1}, {"update": "3"}, {"update": 10**30}, {"seconds": float("nan")}, {"seconds": -1.0},
            {"seconds": 1e400}, {"format": 0}, {"format": "1"}, {"format": None},
            {"log_steps": -1}, {"positions": []}, {"positions": {}},
            {"positions": {"tables": 5}}, {"positions": {"tables": {"updates": 7, "steps": []}}},
            {"positions": {"tables": {"updates": ["../../config.toml"], "steps": []}}}, {"config": "0" * 64},
        ],
        ids=str,
    )  # fmt: skip
    def test_has_metadata_that_do_not_fit(self, folder: Path, change: dict[str, Any]) -> None:
        about, arrays = opened(newest(folder))
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps(about | change)}))
        assert "not used" in refused(folder)

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("failed_update", 3), ("failed_update", -2), ("progress.env_steps", -1), ("progress.env_steps", 2**61),
            ("progress.episodes", -(2**63)), ("progress.first_success", 2**40), ("progress.first_optimal", 3),
            ("controlled", -1.0), ("learning.visits", -5.0), ("learning.previous_log_pi", 1.0),
        ],
        ids=str,
    )  # fmt: skip
    def test_has_numbers_that_no_training_comes_to(self, folder: Path, name: str, number: float) -> None:
        about, arrays = opened(newest(folder))
        key = f"0/batch_0.{name}"
        arrays[key] = np.full_like(arrays[key], number)
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps(about)}))
        told = refused(folder)
        assert "holds values that no training can reach" in told

    @pytest.mark.parametrize(
        ("name", "number"),
        [("learner.steps", -1), ("learner.steps", 3), ("learning.previous_visits", -1.0)],
        ids=str,
    )
    def test_has_numbers_that_no_exact_training_comes_to(self, name: str, number: float) -> None:
        training = Training(
            small_config("agent.gradient=exact", "agent.baseline=none", "arms.table.baseline=none")
        )
        training.advance(2)
        state = training.state()
        state[f"batch_0.{name}"] = np.full_like(state[f"batch_0.{name}"], number)
        with pytest.raises(ValueError, match="no training can reach"):
            check_states(training, [state], 2)

    @pytest.mark.parametrize(
        "change",
        [
            {"snapshots": {"moments": -1}}, {"snapshots": {"moments": 10**30}}, {"snapshots": {"moments": 1e400}},
            {"snapshots": {}}, {"tables": {"updates": ["x\ny"], "steps": []}}, {"board": {"aggregate/table": -1}},
            {"board": {".": 1.5}}, {"board": []},
        ],
        ids=str,
    )  # fmt: skip
    def test_has_positions_that_no_sink_has(self, folder: Path, change: dict[str, Any]) -> None:
        about, arrays = opened(newest(folder))
        about["positions"] |= change
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps(about)}))
        told = refused(folder)
        assert told.count("checkpoint not used: ") == len(told.splitlines()) == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda table: table.take([0, *range(len(table))]), "a row is there twice"),
            (lambda table: table.take([*range(len(table))][::-1]), "before an earlier one"),
            (lambda table: table.drop_columns("seed"), "has no column 'seed'"),
            (
                lambda table: with_column(table, "seed", [9] * len(table)),
                "there are other seeds than those of the config",
            ),
            (lambda table: with_column(table, "arm", ["x"] * len(table)), "other arms"),
            (lambda table: with_column(table, "update", [7] * len(table)), "outside 0 to 3"),
        ],
        ids=["twice", "backwards", "no seed", "other seeds", "other arms", "late"],
    )
    def test_vouches_for_parts_that_are_not_of_it(
        self, folder: Path, change: Callable[[pa.Table], pa.Table], message: str
    ) -> None:
        part = folder / "parts" / "updates-000000.parquet"
        pq.write_table(change(pq.ParquetFile(part).read()), part)
        about, arrays = opened(newest(folder))
        about["positions"]["tables"]["updates"][0] = hashlib.sha256(part.read_bytes()).hexdigest()
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps(about)}))
        assert message in refused(folder)

    def test_has_no_metadata_or_nonsense(self, folder: Path) -> None:
        _, arrays = opened(newest(folder))
        for metadata in (None, {}, {"about": ""}, {"about": "[" * 100_000}, {"about": "7"}, {"other": "{}"}):
            forged(folder, safetensors.numpy.save(arrays, metadata))
            assert "not used" in refused(folder)

    def test_is_of_a_newer_program(self, folder: Path) -> None:
        about, arrays = opened(newest(folder))
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps({"format": FORMAT + 1, "new": about})}))
        with pytest.raises(
            StoreError, match=f"format {FORMAT + 1} is newer than this program's {FORMAT}; update the program"
        ):
            train(folder, small_config(*SMALL), resume=True)

    @pytest.mark.parametrize(
        "header",
        [
            {"0/theta": {"dtype": "F64", "shape": [1 << 40], "data_offsets": [0, 1 << 43]}},
            {"0/theta": {"dtype": "F64", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]}},
            {"0/theta": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}},
            {"0/theta": {"dtype": "F64", "shape": [1], "data_offsets": [8, 0]}},
            {"0/theta": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}},
            {"0/theta": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}},
            {"0/theta": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}},
            {"0/theta": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}},
            {"__metadata__": {"about": 5}},
            [],
        ],
        ids=str,
    )
    def test_declares_impossible_arrays(self, folder: Path, header: Any) -> None:
        text = json.dumps(header).encode()
        forged(folder, len(text).to_bytes(8, "little") + text + bytes(8))
        assert "not used" in refused(folder)
        forged(folder, (1 << 62).to_bytes(8, "little") + text)
        assert "not used" in refused(folder)

    def test_is_huge_or_no_file_and_is_not_even_read(self, folder: Path) -> None:
        path = forged(folder, b"")
        os.truncate(path, 1 << 40)  # a terabyte, for all one can see
        assert f"{1 << 40:,} bytes" in refused_unread(folder)
        path.unlink()
        os.mkfifo(path)  # reading it would wait for ever
        assert "not a file" in refused_unread(folder)

    def test_names_no_file_outside(self, folder: Path, tmp_path: Path) -> None:
        """Its positions cut back files of this training only, whatever they are called in there."""
        outside = tmp_path / "precious"
        outside.write_text("precious")
        about, arrays = opened(newest(folder))
        about["positions"]["board"] |= {"../../../precious": 0, str(outside): 0}
        about["positions"]["tables"] |= {"../../precious": []}
        forged(folder, safetensors.numpy.save(arrays, {"about": json.dumps(about)}))
        train(folder, small_config(*SMALL), resume=True)
        assert outside.read_text() == "precious"


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def refused_unread(folder: Path) -> str:
    told: list[str] = []
    with pytest.raises(StoreError, match="no checkpoint can be used"):
        train_telling(folder, told)
    return "\n".join(told)


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.fuse),)


class TestNothingIsExecuted:
    def test_a_pickle_is_only_bytes(self, folder: Path, finished: Path, tmp_path: Path) -> None:
        bomb, exploded = pickle.dumps(Bomb(tmp_path / "exploded")), tmp_path / "exploded"
        forged(folder, bomb)
        assert "not used" in refused(folder)
        done = tmp_path / "done"
        shutil.copytree(finished, done)
        for name in result_files(done):
            (done / name).write_bytes(bomb)
        vouched(done)
        for read in readers(done).values():
            with pytest.raises((StoreError, ConfigError)):
                read()
        assert not exploded.exists()
        pickle.loads(bomb)  # it would have been noticed
        assert exploded.exists()

    @pytest.mark.filterwarnings("ignore:pickle-based:RuntimeWarning")  # with which pyarrow 17 says so, too
    @pytest.mark.filterwarnings("ignore:pyarrow.PyExtensionType is deprecated:FutureWarning")
    def test_a_table_with_a_pickled_type_is_only_a_table(self, finished: Path, tmp_path: Path) -> None:
        done = tmp_path / "done"
        shutil.copytree(finished, done)
        bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
        field = pa.field("arm", pa.binary()).with_metadata(
            {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": bomb}
        )
        pq.write_table(pa.table([pa.array([b""])], schema=pa.schema([field])), done / "runs.parquet")
        vouched(done)
        RunFolder(done).read_table("runs.parquet")
        assert not (tmp_path / "exploded").exists()

    def test_no_module_is_imported_because_results_name_it(
        self, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Gymnasium would: an id may be "module:Name-v0"."""
        (tmp_path / "bomb.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'exploded')!r})")
        monkeypatch.syspath_prepend(tmp_path)
        done = tmp_path / "done"
        shutil.copytree(finished, done)
        text = (done / "config.toml").read_text()
        (done / "config.toml").write_text(text.replace("FourAction/", "bomb:FourAction/"))
        vouched(done)
        assert "It wanders more" in write_report(done).read_text()
        words = [str(done), "--arm", "table", "--seed", "0"]
        assert play.main(words) == 2
        assert "would import and run the module 'bomb'; --import bomb allows it" in capsys.readouterr().err
        assert not (tmp_path / "exploded").exists()
        assert play.main([*words, "--import", "bomb"]) == 0
        assert (tmp_path / "exploded").exists()
        del sys.modules["bomb"]

    def test_no_module_loads_pickles(self) -> None:
        """By its text: nothing imports a pickling module, and nothing is loaded with PyTorch or NumPy."""
        paths = [path for name in ("agents", "envs", "experiments") for path in (ROOT / name).rglob("*.py")]
        for path in [ROOT / "train.py", *paths]:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                    assert not modules & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    assert (node.value.id, node.attr) not in {("torch", "load"), ("np", "load")}, path
                if isinstance(node, ast.Name):
                    assert node.id not in {"eval", "exec"}, path


def result_files(folder: Path) -> list[str]:
    """What SHA256SUMS vouches for."""
    return [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]


def vouched(folder: Path) -> None:
    """A stranger can make sums as well as we can."""
    names = result_files(folder)
    lines = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text("".join(lines))


def readers(folder: Path) -> dict[str, Callable[[], Any]]:
    """Everything that reads a result file."""
    run = RunFolder(folder)
    return {
        "summary.json": run.read_summary,
        "config.toml": run.read_config,
        "runs.parquet": lambda: run.read_table("runs.parquet"),
        "updates.parquet": lambda: run.read_table("updates.parquet"),
        "steps.parquet": lambda: run.read_table("steps.parquet"),
        "snapshots.safetensors": lambda: read_snapshots(run),
    }


def damaged(path: Path, cuts: int = 300, flips: int = 150) -> Iterator[bytes]:
    """Cut the file off at this many places or more, then let bits be wrong or bytes too many; yields it."""
    whole = path.read_bytes()
    for end in range(len(whole) - 1, -1, -max(1, len(whole) // cuts)):
        os.truncate(path, end)
        yield whole[:end]
    rng = random.Random(0)
    for _ in range(flips):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        for data in (
            whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :],
            whole[:at] + rng.randbytes(1 + rng.randrange(8)) + whole[at:],
        ):
            path.write_bytes(data)
            yield data
    path.write_bytes(whole)


class TestDamage:
    """Whatever is damaged is refused or falls back. That a flip changed nothing readable does not happen."""

    @pytest.mark.parametrize("name", [*readers(Path()), "SHA256SUMS"])
    def test_a_result_file_is_refused(self, finished: Path, tmp_path: Path, name: str) -> None:
        done = tmp_path / "done"
        shutil.copytree(finished, done)
        lines = (done / "SHA256SUMS").read_bytes().splitlines()
        line = next(line for line in lines if line.endswith(b"  summary.json"))
        read = readers(done)[name if name != "SHA256SUMS" else "summary.json"]
        cases = 0
        for data in damaged(done / name):
            if name == "SHA256SUMS" and line in data.splitlines():
                continue  # another line is damaged: it says nothing of what is read here
            with pytest.raises((StoreError, ConfigError)) as caught:
                read()
            assert "\n" not in str(caught.value)
            cases += 1
        assert cases > 400
        read()

    def test_a_policy_is_refused(self, finished: Path, tmp_path: Path) -> None:
        done = tmp_path / "done"
        shutil.copytree(finished, done)
        load_policy(done, "table", 0)
        for number, _ in enumerate(damaged(done / "policies" / "table.safetensors")):
            if number % 20 == 0:  # it reads the other results first, which takes its time
                with pytest.raises(StoreError):
                    load_policy(done, "table", 0)
        load_policy(done, "table", 0)

    def test_a_checkpoint_is_left_out(self, folder: Path) -> None:
        config = small_config(*SMALL)
        checkpoints, path = Checkpoints(RunFolder(folder)), newest(folder)
        size = sum(array.nbytes for array in Training(config).state().values())
        for _ in damaged(path):
            with pytest.raises(ValueError, match="damaged"):
                checkpoints.read(path, size)
        assert isinstance(checkpoints.read(path, size), Moment)

    def test_a_checkpoint_that_is_left_out_costs_nothing(self, folder: Path, finished: Path) -> None:
        newest(folder).write_bytes(newest(folder).read_bytes()[:-9])
        train(folder, small_config(*SMALL), resume=True)
        assert_same(contents(folder), contents(finished))


def test_results_with_a_file_missing_are_refused(finished: Path, tmp_path: Path) -> None:
    for number, name in enumerate([*result_files(finished), "SHA256SUMS"]):
        if name.startswith(("policies", "steps", "snapshots")):
            continue  # not read here, or not there in every world
        done = tmp_path / str(number)
        shutil.copytree(finished, done)
        (done / name).unlink()
        with pytest.raises((StoreError, ConfigError)):
            read_results(done)


@pytest.mark.parametrize("arm", ["..", "a/b", "/etc", "UP", "a b", "", "a.b", "con:", "x" * 65, "<b>", "é"])
def test_the_names_of_arms_cannot_leave_the_folder(arm: str) -> None:
    table: Mapping[str, Any] = small_config(*SMALL).model_dump(exclude_none=True)
    with pytest.raises(ConfigError, match="arms"):
        load_config({**table, "arms": {arm: {}}, "claims": []})
    with pytest.raises(ConfigError, match="name"):
        load_config({**table, "name": arm})
