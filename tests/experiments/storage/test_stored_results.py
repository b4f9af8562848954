"""Finished folders whose sums are right and whose content is not: what does not fit the config is refused."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from pydantic import BaseModel

from experiments.config import schema
from experiments.config.schema import ConfigError
from experiments.pages.map_slider import map_slider
from experiments.storage import run_folder, snapshots, stored_files, stored_summary, stored_tables
from experiments.storage.policies import load_policy
from experiments.storage.results import read_results, read_runs
from experiments.storage.run_folder import RunFolder, StoreError
from experiments.storage.stored_summary import Summary
from tests.experiments.forger import vouch
from tests.experiments.small_training import small_config, train

SMALL = ("training.seeds=2", "training.updates=4", "agent.hidden_sizes=[2]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder, small_config(*SMALL), tensorboard=False)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def refused(folder: Path) -> str:
    """What is said of a folder after its sums were made right."""
    vouch(folder)
    with pytest.raises((StoreError, ConfigError)) as caught:
        read_results(folder)
    return str(caught.value)


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.ParquetFile(path).read()), path)


def column(name: str, value: Any, type_: pa.DataType | None = None) -> Callable[[pa.Table], pa.Table]:
    """A change that puts one value into a whole column."""
    return lambda t: t.set_column(t.column_names.index(name), name, pa.array([value] * len(t), type_))


ROWS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "none": lambda t: t.slice(0, 0),
    "one missing": lambda t: t.slice(1),
    "one twice": lambda t: t.take([*range(len(t)), 0]),
    "backwards": lambda t: t.take([*range(len(t))][::-1]),
    "one instead of another": lambda t: t.take([0, 0, *range(2, len(t))]),
    "other seeds": column("seed", 7),
    "negative seeds": column("seed", -1),
    "no arm": column("arm", None, pa.string()),
    "an arm of another": column("arm", "\x1b[2J"),
    "arms that are numbers": column("arm", 1),
    "no column of arms": lambda t: t.drop_columns("arm"),
    "two columns of arms": lambda t: t.append_column("arm", t["arm"]),
}
VALUES: dict[str, dict[str, Callable[[pa.Table], pa.Table]]] = {
    "runs.parquet": {
        "env_steps that are text": column("env_steps", "many"),
        "negative env_steps": column("env_steps", -1),
        "nested returns": column("final_return", [1.0]),
        "a time before the beginning": column("first_success_env_step", -5),
        "half a failure": column("failed", 0.5),
        "unknown failures": column("failed", None, pa.bool_()),
        "a failure in no update": column("failed_update", 99),
        "no measure that a claim is about": lambda t: t.drop_columns("final_entropy_bits"),
    },
    "updates.parquet": {
        "an update of after the end": column("update", 4),
        "updates that are no numbers": column("update", None, pa.int64()),
        "a negative entropy": column("entropy_bits", -1.0),
        "an infinite coverage": column("state_coverage", float("inf")),
        "half a success": column("solved", 0.5),
        "a probability of two": column("optimal_action_probability", 2.0),
        "no curve": lambda t: t.drop_columns("solved"),
    },
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("change", ROWS)
def test_rows_are_those_of_the_config(folder: Path, name: str, change: str) -> None:
    rewritten(folder / name, ROWS[change])
    assert refused(folder).startswith(f"{folder / name}: ")


@pytest.mark.parametrize(("name", "change"), [(name, change) for name in VALUES for change in VALUES[name]])
def test_values_are_of_their_kind(folder: Path, name: str, change: str) -> None:
    rewritten(folder / name, VALUES[name][change])
    assert refused(folder).startswith(f"{folder / name}: ")


def test_other_types_that_say_the_same_are_read(folder: Path, finished: Path) -> None:
    """Single precision, smaller integers, truths as numbers, and columns that nobody knows."""
    for name in VALUES:
        rewritten(folder / name, lambda t: t.append_column("more", pa.array(["\x1b"] * len(t))))
        rewritten(
            folder / name, lambda t: t.cast(pa.schema([pa.field(f.name, smaller(f.type)) for f in t.schema]))
        )
    vouch(folder)
    found, expected = read_results(folder), read_results(finished)
    for arm, columns in expected.runs.items():
        for measure, values in columns.items():
            np.testing.assert_allclose(
                found.runs[arm][measure].astype(float), values.astype(float), rtol=1e-6, atol=1e-7
            )


def smaller(type_: pa.DataType) -> pa.DataType:
    if type_ == pa.int64():
        return pa.int32()
    return pa.float32() if type_ in (pa.float64(), pa.bool_()) else type_


class TestBounds:
    def test_a_table_that_understates_its_size_is_not_decoded_to_its_end(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it says of itself is one thing, what it decodes to another."""
        rewritten(folder / "updates.parquet", lambda t: t.take(np.zeros(1_000_000, np.int64)))
        vouch(folder)
        monkeypatch.setattr(stored_tables, "_declared", lambda *_: (0, 0))
        monkeypatch.setattr(stored_tables, "VALUE_BYTES", 0)
        monkeypatch.setattr(stored_tables, "COLUMN_BYTES", 5_000_000)
        seen: list[int] = []
        with pytest.raises(StoreError, match="at most 10,000,000 are read"):
            seen.extend(
                batch.nbytes
                for batch in RunFolder(folder).read_batches("updates.parquet", ["seed", "loss"], 2_000_000)
            )
        assert sum(seen) <= 10_000_000

    def test_all_columns_are_bounded_together(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each of them may take more than its share."""
        monkeypatch.setattr(stored_tables, "VALUE_BYTES", 0)
        monkeypatch.setattr(stored_tables, "COLUMN_BYTES", 100)
        columns = ["seed", "loss", "update"]
        with pytest.raises(StoreError, match=r"decodes to [\d,]+ bytes; at most 300 are read"):
            RunFolder(folder).read_table("updates.parquet", columns, 24)

    def test_a_training_of_any_size_ends_and_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What its config makes is more than a file of an unknown size may have."""
        out, config = tmp_path / "large", small_config("training.updates=60", "agent.hidden_sizes=[64]")
        monkeypatch.setattr(run_folder, "MAX_BYTES", 20_000)  # more than a summary takes
        monkeypatch.setattr(stored_files, "MAX_BYTES", 20_000)
        train(out, config, tensorboard=False)
        run = RunFolder(out)
        assert len(read_runs(run, config)) == 3
        assert run.read_table("updates.parquet", max_rows=360).num_rows == 360
        load_policy(out, "without", 0)
        for name in ("updates.parquet", "policies/without.safetensors"):
            with pytest.raises(StoreError, match=r"bytes; at most 20,000 are read"):
                run.check(name)

    def test_a_summary_of_the_most_runs_is_read_though_all_of_them_failed(self) -> None:
        failed = {"arm": "x" * 64, "seed": 2**63 - 1, "world": 2**63 - 1, "update": 10_000_000}
        entry = len(json.dumps({"failed_runs": [failed, failed]}, indent=1)) // 2
        assert entry * schema.MAX_RUNS < stored_summary.MAX_BYTES

    def test_a_config_that_could_not_be_read_again_is_refused_before_training(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A list of seeds that takes less in the file of the user, in one line."""
        monkeypatch.setattr("experiments.session.run.MAX_BYTES", 10_000)
        config = small_config(f"training.seeds={[10**8 + n for n in range(1_000)]}")
        with pytest.raises(ConfigError, match=r"config\.toml would take [\d,]+ bytes, and up to"):
            train(tmp_path / "run", config)
        assert not (tmp_path / "run").exists()

    def test_snapshots_that_would_be_too_large_are_left_out(
        self, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = read_results(finished).snapshots
        assert whole is not None
        monkeypatch.setattr(snapshots, "MAX_BYTES", sum(array.nbytes for array in whole) - 1)
        train(tmp_path / "run", small_config(*SMALL), tensorboard=False)
        found = read_results(tmp_path / "run").snapshots
        assert found is not None
        assert found.update.tolist() == whole.update.tolist()[:-1]

    def test_few_rows_do_not_take_much(self, folder: Path) -> None:
        """Names of arms that are vast and compress well."""
        rewritten(folder / "runs.parquet", column("arm", "x" * 40_000_000))
        assert (folder / "runs.parquet").stat().st_size < 5_000_000
        assert "decodes to" in refused(folder)

    def test_more_rows_than_the_config_makes_are_not_decoded(self, folder: Path) -> None:
        rewritten(folder / "updates.parquet", lambda t: t.take(np.zeros(1000, np.int64)))
        assert "has 1,000 rows; its config makes at most 24" in refused(folder)

    @pytest.mark.parametrize("name", ["summary.json", "updates.parquet", "config.toml", "SHA256SUMS"])
    def test_a_vast_file_is_not_read(self, folder: Path, name: str) -> None:
        with open(folder / name, "r+b") as file:
            file.truncate(1 << 42)
        assert "bytes; at most" in refused(folder)
        assert stored_files.MAX_BYTES < 1 << 42


class TestSums:
    @pytest.mark.parametrize(
        "line",
        ["0" * 64 + "  ../outside", "0" * 64 + "  /etc/passwd", "0" * 64 + "  runs.parquet", "x", "\x1b[2J", ""],
    )
    def test_a_line_that_no_training_writes(self, folder: Path, line: str) -> None:
        with open(folder / "SHA256SUMS", "a") as file:
            file.write(line + "\n")
        with pytest.raises(StoreError, match="SHA256SUMS: damaged"):
            RunFolder(folder).read_summary()


class TestSummary:
    def test_the_model_knows_everything_that_is_written(self, finished: Path) -> None:
        """A key that is new in a summary belongs into the model, where its type and range are said."""
        data = (finished / "summary.json").read_bytes()
        for part in parts(Summary.model_validate_json(data)):
            assert not part.model_extra, type(part)
        assert RunFolder(finished).read_summary() == json.loads(data)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("format", 0), ("name", "other"), ("description", "\x1b]0;title\x07"), ("description", None),
            ("arms", {}), ("arms", []), ("arms.without.runs", 3), ("arms.without.n", 0), ("arms.without.n", True),
            ("arms.without.env_steps", -1), ("arms.without.env_steps", 10**30), ("arms.without.measures", None),
            ("arms.without.measures.solved", 1), ("arms.without.measures.solved.count", None),
            ("arms.without.measures.solved.count", 3), ("arms.without.measures.solved.estimate", None),
            ("arms.without.measures.solved.estimate", 1.5), ("arms.without.measures.solved.low", "0"),
            ("arms.without.measures.final_return.estimate", float("nan")),
            ("arms.without.measures.final_return.high", float("inf")),
            ("claims", []), ("claims.0.statement", "another"), ("claims.0.verdict", "certain"),
            ("claims.0.test", 7), ("claims.0.test", "\x9b2J"), ("claims.0.p", 2.0),
            ("claims.0.effect", {}), ("claims.0.more_seeds", -1),
            ("claims.0.improvement", []), ("claims.0.improvement", [0.5, 0.1]), ("claims.0.n", 1.5),
            ("versions", {"python": "\u202e"}), ("versions", {"\x1b[2J": "3"}), ("platform", "x" * 100_000),
            ("wall_seconds", -1.0), ("wall_seconds", float("inf")), ("env_steps_per_second", None),
            ("failed_runs", [{"arm": "other", "seed": 0, "update": 0}]),
            ("failed_runs", [{"arm": "without", "seed": 0, "update": 0}] * 2),
            ("new", "\x1b[2J"), ("new", {"deeper": {"still": 1}}), ("new", float("inf")),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_no_training_writes_is_refused(self, folder: Path, path: str, value: Any) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        *inner, last = path.split(".")
        place: Any = summary
        for key in inner:
            place = place[int(key) if isinstance(place, list) else key]
        place[last] = value
        (folder / "summary.json").write_text(json.dumps(summary))
        message = refused(folder)
        assert message.startswith(f"{folder / 'summary.json'}: damaged")
        assert message.isprintable()

    def test_a_key_of_a_later_version_is_kept(self, folder: Path) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        summary |= {"more": 1, "machine": {"blas": "openblas", "cores": 2}}
        (folder / "summary.json").write_text(json.dumps(summary))
        vouch(folder)
        assert RunFolder(folder).read_summary() == summary


def parts(model: BaseModel) -> list[BaseModel]:
    """A model and all models in it."""
    found = [model]
    for value in dict(model).values():
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        found += [part for item in inner if isinstance(item, BaseModel) for part in parts(item)]
    return found


class TestSnapshots:
    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("policy", lambda a: a - 2), ("policy", lambda a: a + 2), ("policy", lambda a: a.astype(int)),
            ("policy", lambda a: a[:, :, :2]), ("policy", lambda a: a[:, :1]), ("policy", lambda a: a[0]),
            ("policy", lambda a: a[:, :, :, :0]), ("entropy", lambda a: a + 100), ("visits", lambda a: a - 1),
            ("update", lambda a: a + 100), ("update", lambda a: a[::-1]), ("update", lambda a: a.astype(float)),
            ("update", lambda a: -a),
        ],
        ids=[f"{i}" for i in range(13)],
    )  # fmt: skip
    def test_they_are_of_this_training(self, folder: Path, name: str, change: Callable[[Any], Any]) -> None:
        place = folder / "snapshots.safetensors"
        arrays = safetensors.numpy.load(place.read_bytes())
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
        place.write_bytes(safetensors.numpy.save(arrays))
        assert refused(folder).startswith(f"{place}: ")

    def test_they_are_of_this_world(self, folder: Path) -> None:
        place = folder / "snapshots.safetensors"
        arrays = safetensors.numpy.load(place.read_bytes())
        fewer = {
            name: a if name == "update" else np.ascontiguousarray(a[:, :, :, :5]) for name, a in arrays.items()
        }
        place.write_bytes(safetensors.numpy.save(fewer))
        vouch(folder)
        with pytest.raises(StoreError, match="of another training or world"):
            map_slider(read_results(folder))


class TestPolicies:
    def test_parameters_that_give_no_probabilities(self, folder: Path) -> None:
        place = folder / "policies" / "without.safetensors"
        tensors = safetensors.numpy.load(place.read_bytes())
        place.write_bytes(safetensors.numpy.save({name: np.full_like(a, 3e38) for name, a in tensors.items()}))
        vouch(folder)
        policy = load_policy(folder, "without", 0)
        with pytest.raises(StoreError, match="so large that it gives no probabilities"):
            policy.probabilities(0)


def test_forged_sums_are_right(folder: Path) -> None:
    """Else all of this would only test sums."""
    (folder / "runs.parquet").write_bytes(b"x")
    vouch(folder)
    lines = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert lines["runs.parquet"] == hashlib.sha256(b"x").hexdigest()
