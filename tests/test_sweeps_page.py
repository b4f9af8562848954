"""The files that docs/sweeps.md shows are sweeps."""

import re
from pathlib import Path

import pytest

from experiments.config.sweep_files import load_sweep
from experiments.config.sweeps import cells
from experiments.config.tuning import tries

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "sweeps.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(("shown", "trainings"), list(zip(SHOWN, (9, 20, 8), strict=True)))
def test_a_file_that_is_shown_is_a_sweep(shown: str, trainings: int, tmp_path: Path) -> None:
    path = tmp_path / "shown.toml"
    path.write_text(shown, encoding="utf-8")
    sweep = load_sweep(path)
    assert len(cells(sweep) if sweep.tuning is None else tries(sweep)) == trainings
