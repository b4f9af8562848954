"""The table of all runs of a sweep: what it holds, and that it is written a piece at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments import load_config
from experiments.config.sweeps import Cell, Settings
from experiments.storage import sweep_folder
from experiments.storage.run_folder import StoreError
from experiments.storage.sweep_folder import SWEEP, SWEEP_FILE, Finished, SweepFolder

ROWS = 2 * 50_000  # of a cell: arms, seeds


def cell(number: int, settings: Settings, rows: int = 4) -> Cell:
    seeds = f"training.seeds={{first={number},count={rows // 2}}}"
    return Cell(settings, load_config("configs/bandit.toml", [seeds]))


def table(rows: int = 4, **more: pa.Array) -> pa.Table:
    arms = pa.array(["without_entropy"] * (rows // 2) + ["with_entropy"] * (rows // 2)).dictionary_encode()
    return pa.table({"arm": arms, "seed": np.arange(rows), "final_return": np.arange(rows) / 3, **more})


def written(folder: SweepFolder, cells: Sequence[Cell], tables: Sequence[pa.Table]) -> pa.Table:
    folder.mark(SWEEP)
    folder.write(SWEEP_FILE, "")
    for each, runs in zip(cells, tables, strict=True):
        folder.write_cell(each.config, Finished(runs, 1, 1.0))
    folder.write_runs(cells)
    return pq.read_table(folder.path / "runs.parquet")


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_cells_may_have_different_settings_and_columns(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_folder, "BATCH", batch)
    settings = [{"a": 1, "b": 1}, {"a": 0.5, "b": "x", "c": True}, {"a": 2}]
    cells = [cell(*each) for each in enumerate(settings)]
    more = [{}, {"stuck": pa.array([True, False, None, True])}, {"stuck": pa.nulls(4)}]
    folder = SweepFolder(tmp_path / "out")
    with folder.locked():
        found = written(folder, cells, [table(**each) for each in more])
    assert found.column_names == ["cell", "a", "b", "c", "arm", "seed", "final_return", "stuck"]
    assert found["cell"].to_pylist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found["a"].to_pylist() == [1.0] * 4 + [0.5] * 4 + [2.0] * 4
    assert found["b"].to_pylist() == ["1"] * 4 + ['"x"'] * 4 + [None] * 4
    assert found["c"].to_pylist() == [None] * 4 + ["true"] * 4 + [None] * 4
    assert found["stuck"].to_pylist() == [None] * 4 + [True, False, None, True] + [None] * 4
    groups = pq.ParquetFile(tmp_path / "out" / "runs.parquet").num_row_groups
    assert groups == {1: 3, 5: 2, 1000: 1}[batch]


def test_no_more_than_a_few_cells_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = pa.total_allocated_bytes(), list[int]()
    original = SweepFolder.read_cell

    def counted(folder: SweepFolder, *words: object) -> Finished | None:
        seen.append(pa.total_allocated_bytes() - before)
        return original(folder, *words)

    runs = table(ROWS)
    cells = [cell(number, {"a": number}, ROWS) for number in range(8)]
    folder = SweepFolder(tmp_path / "out")
    monkeypatch.setattr(SweepFolder, "read_cell", counted)
    with folder.locked():
        assert written(folder, cells, [runs] * len(cells)).num_rows == len(cells) * ROWS
    assert len(seen) == len(cells)
    assert max(seen) < 4 * runs.nbytes


def test_a_cell_that_is_damaged_meanwhile_ends_it_in_one_line(tmp_path: Path) -> None:
    cells, folder = [cell(number, {"a": number}) for number in range(2)], SweepFolder(tmp_path / "out")
    with folder.locked():
        written(folder, cells, [table()] * 2)
        before = (folder.path / "runs.parquet").read_bytes()
        (folder.path / sweep_folder._name(cells[1].config)).unlink()
        with pytest.raises(StoreError, match=r"\.parquet"):
            folder.write_runs(cells)
        folder.write_cell(cells[1].config, Finished(table(2), 1, 1.0))  # another's
        with pytest.raises(StoreError, match="damaged since it was trained; --resume trains it again"):
            folder.write_runs(cells)
    assert (folder.path / "runs.parquet").read_bytes() == before
