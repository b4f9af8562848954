"""Tables say themselves what their columns are, in the words of the one table of measures."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from experiments import load_config
from experiments.config.measures import RUN_MEASURES, UPDATE_MEASURES, Measure
from experiments.session import run as session

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


def test_the_entropy_of_every_step_says_its_unit(folder: Path) -> None:
    field = pq.read_schema(folder / "steps.parquet").field("entropy_nats")
    assert field.metadata[b"unit"] == b"nats"
