"""docs/tour.ipynb runs from its own folder, and shows what it promises."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    notebook = nbformat.read(DOCS / "tour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # none is kept that could become stale
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(DOCS)}})
    return [cell for cell in client.execute().cells if cell.cell_type == "code"]


def printed(cells: list[Any]) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def shown(cells: list[Any], kind: str) -> list[str]:
    return [output["data"][kind] for cell in cells for output in cell.outputs if kind in output.get("data", {})]


@pytest.mark.slow
def test_the_tour_prints_the_numbers_of_the_text(cells: list[Any]) -> None:
    text = printed(cells)
    for number in (
        "0.01449",
        "6.6438",
        "0.0807",
        "0.6189",
        "1.9854",
        "1.5358",
        "0.8043",
        "1.0989",
        "0.2876",
        "1.2333",
    ):
        assert number in text


@pytest.mark.slow
def test_the_tour_trains_as_a_textbook_does_from_the_texts_policy(cells: list[Any]) -> None:
    lines = re.findall(r"(with\w*_entropy): ([\d. ]+)", printed(cells))
    assert [arm for arm, _ in lines] == ["without_entropy", "with_entropy"]
    assert all(bits.startswith("0.62 ") and len(bits.split()) == 6 for _, bits in lines)


@pytest.mark.slow
def test_results_show_themselves_and_become_a_pandas_frame(cells: list[Any]) -> None:
    pages = shown(cells, "text/html")
    results = [page for page in pages if "<img " in page]
    assert len(results) == 2
    for page in results:
        assert re.search(r"<b>(supported|refuted|inconclusive)</b>: With the entropy term more runs", page)
    (frame,) = [page for page in pages if "dataframe" in page]
    assert "without_entropy" in frame
    assert frame.count("<tr>") > 4
