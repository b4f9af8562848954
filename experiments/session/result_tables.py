"""The results of the arms as tables that fit the screen."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from textwrap import fill
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from experiments.analysis.wording import measure_text, plain, worth_showing
from experiments.config.measures import RUN_MEASURES
from experiments.config.plain_text import printable

WIDE = Console(width=100_000)  # to measure how wide a table would be
ROWS = tuple(name for name, measure in RUN_MEASURES.items() if measure.shown in ("everywhere", "terminal"))
LABEL, HEADING = 20, 9  # characters of a wrapped label, and of a wrapped heading


def results(summary: Mapping[str, Any], width: int) -> list[Table]:
    """A row per measure and a column per arm, with each interval beside its estimate or, on a narrower screen,
    below it. If that does not fit, either: a row per arm, with the estimates alone, in as few tables as fit."""
    arms, title = summary["arms"], printable(summary["description"])
    shown = worth_showing(arms.values(), ROWS)
    cells = [[plain(measure_text(name, arm["measures"].get(name))) for arm in arms.values()] for name in shown]
    labels = [RUN_MEASURES[name].heading for name in shown]
    for between, most in product((" ", "\n"), (None, LABEL)):  # estimate and interval
        columns = {
            f"{arm}\n({_count(content)})": [row[place].replace(" [", f"{between}[", 1) for row in cells]
            for place, (arm, content) in enumerate(arms.items())
        }
        rows = labels if most is None else [fill(label, most) for label in labels]
        if _width(table := _table(title, "measure", rows, columns)) <= width:
            return [table]
    columns = {"": [_count(content) for content in arms.values()]}
    columns |= {
        fill(label, HEADING, break_long_words=False): [cell.partition(" [")[0].split(" = ")[-1] for cell in row]
        for label, row in zip(labels, cells, strict=True)
    }
    title = f"{title}\nEstimates; their intervals are in the report."
    return list(_as_few_as_fit(title, list(arms), columns, width))


def _as_few_as_fit(
    title: str, rows: Sequence[str], columns: Mapping[str, Sequence[str]], width: int
) -> Iterable[Table]:
    """Tables with these columns, each with as many as fit and at least one; the first has the title."""
    taken: dict[str, Sequence[str]] = {}
    heading: str | None = title
    for head, cells in columns.items():
        if taken and _width(_table(heading, "arm", rows, {**taken, head: cells})) > width:
            yield _table(heading, "arm", rows, taken)
            taken, heading = {}, None
        taken[head] = cells
    yield _table(heading, "arm", rows, taken)


def _table(title: str | None, corner: str, rows: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(corner, overflow="fold")
    for head in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for name, *cells in zip(rows, *columns.values(), strict=True):
        table.add_row(name, *cells)
    return table


def _width(table: Table) -> int:
    """The width of a table with all the room that it needs."""
    return Measurement.get(WIDE, WIDE.options, table).maximum


def _count(content: Mapping[str, Any]) -> str:
    if content["n"] == content["runs"]:
        return f"{content['n']} runs"
    return f"{content['runs']} equal runs"
