"""Tables say themselves what their columns are, in the words of the one table of measures."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import __version__, load_config, train
from experiments.config.measures import RUN_MEASURES, UPDATE_MEASURES, Measure
from experiments.config.sweeps import Cell, Settings
from experiments.session import run as session
from experiments.session.cells import train_cell
from experiments.storage import table_sink
from experiments.storage.run_folder import RunFolder, sha256
from experiments.storage.sweep_folder import SweepFolder
from tests.experiments import small_training, stored_folder

TABLES = {"updates": UPDATE_MEASURES, "runs": RUN_MEASURES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "run"
    config = load_config("bandit", ["training.seeds=2", "training.updates=3"])
    session.run(config, session.Options(path, tensorboard=False), lambda block: None, lambda line: None)
    return path


@pytest.mark.parametrize("name", TABLES)
def test_a_measures_field_has_its_label_meaning_and_unit(name: str, folder: Path) -> None:
    schema = pq.read_schema(folder / f"{name}.parquet")
    measures: dict[str, Measure] = {n: m for n, m in TABLES[name].items() if n in schema.names}
    assert len(measures) > 10
    for column, measure in measures.items():
        about = {key.decode(): text.decode() for key, text in (schema.field(column).metadata or {}).items()}
        assert (about["label"], about["meaning"]) == (measure.label, measure.meaning), column
        assert about.get("unit", "") == measure.unit


@pytest.mark.parametrize("name", ["updates", "steps", "runs"])
def test_a_table_names_its_config_and_the_version_that_made_it(name: str, folder: Path) -> None:
    metadata = pq.read_schema(folder / f"{name}.parquet").metadata
    assert metadata[b"config_sha256"].decode() == sha256(folder / "config.toml")
    assert metadata[b"version"].decode() == __version__


def test_the_summary_names_its_config_too(folder: Path) -> None:
    assert RunFolder(folder).read_summary()["config_sha256"] == sha256(folder / "config.toml")


def test_results_in_memory_name_the_same_config(folder: Path) -> None:
    result = train(load_config(folder / "config.toml"))
    for table in (result.updates, result.steps, result.runs):
        assert table.schema.metadata[b"config_sha256"].decode() == sha256(folder / "config.toml")
    assert result.summary["config_sha256"] == sha256(folder / "config.toml")


def test_a_table_of_several_parts_names_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_sink, "PART_BYTES", 0)
    small_training.train(tmp_path / "run", often=True)
    metadata = pq.read_schema(tmp_path / "run" / "updates.parquet").metadata
    assert metadata[b"config_sha256"].decode() == sha256(tmp_path / "run" / "config.toml")


@pytest.mark.parametrize("name", ["updates", "steps", "runs"])
def test_every_column_says_what_it_means(name: str, folder: Path) -> None:
    for field in pq.read_schema(folder / f"{name}.parquet"):
        assert (field.metadata or {}).get(b"meaning"), field.name


@pytest.mark.parametrize("log_steps", [0, 1, 3])
@pytest.mark.parametrize("changes", [["agent.gradient=exact"], ["environment.tables=false"], []], ids=str)
def test_so_does_every_column_however_many_steps_are_logged(
    changes: list[str], log_steps: int, tmp_path: Path
) -> None:
    config = load_config("bandit", ["training.seeds=2", "training.updates=2", *changes])
    small_training.train(tmp_path / "run", config, tensorboard=False, log_steps=log_steps)
    for name in ("updates", "steps", "runs"):
        test_every_column_says_what_it_means(name, tmp_path / "run")


def test_so_does_every_column_of_a_sweep(tmp_path: Path) -> None:
    """Of the first setting, and of one that the first lacks."""
    base = load_config("bandit", ["training.seeds=2", "training.updates=2"])
    settings: list[Settings] = [{"agent.discount": 0.9}, {"arms.with_entropy.entropy_coef": "x"}]
    cells = [Cell(each, base.model_copy(update={"name": f"cell_{n}"})) for n, each in enumerate(settings)]
    folder = SweepFolder(tmp_path)
    folder.write("sweep.toml", "")
    for cell in cells:
        folder.write_cell(cell.config, train_cell(cell.config))
    folder.write_runs(cells)
    test_every_column_says_what_it_means("runs", tmp_path)
    found, (key,) = pq.read_schema(tmp_path / "runs.parquet"), settings[1]
    assert found.names[:4] == ["cell", "agent.discount", key, "arm"]
    assert found.field(key).metadata[b"meaning"].endswith(b" as JSON")
    assert found.field("final_entropy_bits").metadata[b"unit"] == b"bits"


@pytest.mark.parametrize("unit", ["nats", "bits"])
def test_the_entropy_of_every_step_says_its_unit(unit: str, folder: Path) -> None:
    field = pq.read_schema(folder / "steps.parquet").field(f"entropy_{unit}")
    assert field.metadata[b"unit"].decode() == unit
    assert b"mean over the episodes that take this step" in field.metadata[b"meaning"]


def test_a_training_keeps_the_step_columns_with_which_it_began(tmp_path: Path) -> None:
    """The earlier version knew the entropy in nats only."""
    shutil.copytree(stored_folder.UNFINISHED, tmp_path / "killed")
    config = load_config(tmp_path / "killed" / "config.toml")
    small_training.train(tmp_path / "killed", config, resume=True, tensorboard=False)
    steps = pq.read_table(tmp_path / "killed" / "steps.parquet")
    stored = pq.read_table(stored_folder.FOLDER / "steps.parquet")
    assert "entropy_bits" not in steps.column_names
    assert steps.schema.equals(stored.schema)
    for name in steps.column_names:
        if name == "entropy_nats":  # another processor may have trained it: its last bits differ
            np.testing.assert_allclose(steps[name], stored[name], rtol=0, atol=1e-9)
        else:
            assert steps[name].equals(stored[name])
