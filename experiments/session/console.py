"""What the user sees in the terminal: a progress bar during training, and tables of results after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.style import Style
from rich.table import Table
from rich.text import Text

from experiments.analysis.wording import effect_text, measure_text, plain, verdict_text, worth_showing
from experiments.config.measures import RUN_MEASURES
from experiments.config.plain_text import printable
from experiments.config.schema import Config
from experiments.training.records import Records

WIDE = Console(width=100_000)  # to measure how wide a table would be


class Screen(Console):
    """The terminal, or another standard output. Text is shown as it is, without markup and emoji. Once nobody
    reads the output any more, nothing is written."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        self.is_lost = False  # whether some output was lost

    def say(self, *lines: str) -> None:
        """Print lines unwrapped, however long, so that they can be copied."""
        for line in lines:
            self.print(printable(line), soft_wrap=True)

    def link(self, what: str, address: str) -> None:
        """An address behind a word, to be clicked on where the terminal can (OSC 8)."""
        self.print(Text.assemble(f"{what}: ", (printable(address), Style(link=address))), soft_wrap=True)

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """A line that moves as long as something takes; nothing where no terminal shows it."""
        return self.status(what) if self.is_terminal else nullcontext()

    def results(self, summary: Mapping[str, Any]) -> None:
        """Print the results of the arms."""
        for table in results(summary, self.width):
            self.print(table, "")

    def verdict(self, claim: Mapping[str, Any]) -> None:
        """Print a claim and its verdict."""
        self.print(verdict_line(claim), soft_wrap=True)

    def print(self, *objects: Any, **options: Any) -> None:
        """Like rich's own method, but an output that cannot be written to does not end the training."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = self.is_lost = True


class _Bar(Progress):
    """A bar, and below it a line per arm."""

    arms = Text()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield self.arms


@contextmanager
def progress(console: Console, config: Config) -> Iterator["ProgressBar"]:
    """A bar with rate and remaining time, and what each arm is at; nothing at all where no terminal shows it."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("updates  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = _Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    shown = ProgressBar(bar, config)
    try:
        yield shown
    finally:
        shown.stop_compiling()
        bar.stop()


class ProgressBar:
    """Follows the blocks. It starts with the first: processes are forked before that, and a forked process should
    not inherit the lock of a thread that draws."""

    def __init__(self, bar: _Bar, config: Config) -> None:
        self._bar, self._arms = bar, list(config.arms)
        self._task = bar.add_task("", total=config.most_updates, rate="")
        # Drawn when something happens, by no thread of its own.
        columns = TextColumn("compiling"), MofNCompleteColumn(), TextColumn("functions "), TimeElapsedColumn()
        self._compiling = Progress(
            *columns, console=bar.console, transient=True, disable=bar.disable, auto_refresh=False
        )

    def compiling(self) -> None:
        """A function is about to be compiled."""
        if not self._compiling.tasks:
            self._compiling.start()
            self._compiling.add_task("", total=None)
        self._compiling.advance(self._compiling.tasks[0].id)
        self._compiling.refresh()

    def stop_compiling(self) -> None:
        """Everything is compiled, or nothing more will be."""
        self._compiling.stop()

    def __call__(self, records: Records) -> None:
        self.stop_compiling()
        self._bar.start()
        self._bar.arms = Text("\n".join(arm_lines(self._arms, records)), overflow="ellipsis", no_wrap=True)
        task = self._bar.tasks[0]
        if task.elapsed and records.steps is not None:
            steps = float(records.columns["env_steps"][-1].sum())
            rate = f"{steps / task.elapsed / 1e6:.2f} M steps/s"
            self._bar.update(self._task, completed=records.end, rate=rate)
        else:
            self._bar.update(self._task, completed=records.end)


NOW = {
    "entropy_bits": "entropy {:.2f} bits",
    "success_rate": "success rate {:.2f}",
}  # of each arm, while it trains


def arm_lines(arms: Sequence[str], records: Records, most: int = 8) -> list[str]:
    """What each arm was at in the last update of a block, means over its runs that are still finite."""
    width = max(map(len, arms))
    lines = []
    for place, arm in enumerate(arms[:most]):
        mine = np.array_split(np.arange(records.active.shape[1]), len(arms))[place]
        going = mine[records.active[-1, mine]]
        values = {words: records.columns[name][-1, going] for name, words in NOW.items()}
        told = [words.format(value.mean()) for words, value in values.items() if np.isfinite(value).any()]
        lines.append(f"{arm:<{width}}  {', '.join(told)}".rstrip())
    return [*lines, *([f"and {len(arms) - most} more arms"] if len(arms) > most else [])]


ROWS = tuple(name for name, measure in RUN_MEASURES.items() if measure.shown in ("everywhere", "terminal"))


def results(summary: Mapping[str, Any], width: int) -> list[Table]:
    """A row per measure and a column per arm. If that is wider than the screen: a row per arm, and several tables,
    each with as many measures as fit."""
    arms = summary["arms"]
    shown = worth_showing(arms.values(), ROWS)
    by_measure = [
        [plain(measure_text(name, arm["measures"].get(name))) for arm in arms.values()] for name in shown
    ]
    labels = [RUN_MEASURES[name].heading for name in shown]
    heads = [f"{arm}\n({_count(content)})" for arm, content in arms.items()]
    title: str | None = printable(summary["description"])
    whole = _table(title, "measure", labels, dict(zip(heads, zip(*by_measure, strict=True), strict=True)))
    if _width(whole) <= width:
        return [whole]
    heads = [head.replace("\n", " ") for head in heads]
    tables: list[Table] = []
    columns: dict[str, Sequence[str]] = {}
    for label, cells in zip(labels, by_measure, strict=True):
        wider = _table(title, "arm", heads, {**columns, label: cells})
        if columns and _width(wider) > width:
            tables.append(_table(title, "arm", heads, columns))
            columns, title = {}, None
        columns[label] = cells
    return [*tables, _table(title, "arm", heads, columns)]


def _table(title: str | None, corner: str, rows: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column(corner, overflow="fold")
    for head in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for name, *cells in zip(rows, *columns.values(), strict=True):
        table.add_row(name, *cells)
    return table


def _width(table: Table) -> int:
    """The width of a table with all the room it needs."""
    return Measurement.get(WIDE, WIDE.options, table).maximum


def _count(content: Mapping[str, Any]) -> str:
    if content["n"] == content["runs"]:
        return f"{content['n']} runs"
    return f"{content['runs']} equal runs"


def speed_line(summary: Mapping[str, Any]) -> str:
    """How many steps were trained, and how fast."""
    rate = summary["env_steps_per_second"] / 1e6
    return (
        f"{summary['env_steps']:,} environment steps in {summary['wall_seconds']:.1f} s ({rate:.2f} M per second)"
    )


def failed_lines(summary: Mapping[str, Any], most: int = 10) -> list[str]:
    """A line that names the failed runs, if there are any."""
    names = [f"{run['arm']}, {_member(run)} (update {run['update']})" for run in summary["failed_runs"]]
    if len(names) > most:
        names[most:] = [f"and {len(names) - most} more"]
    return [f"no longer finite, frozen and counted as failed: {'; '.join(names)}"] if names else []


def verdict_line(claim: Mapping[str, Any]) -> Text:
    """One claim and its verdict, with effect, interval, test and n."""
    rests_on = plain(verdict_text(claim))
    return Text.assemble(
        _verdict(claim), f": {printable(claim['statement'])}\n  {claim['measure']}, {claim['expect']}: {rests_on}"
    )


def verdict_table(claims: Sequence[Mapping[str, Any]]) -> Table:
    """The claims of several experiments, a row per claim."""
    title = f"{len(claims)} claims, judged together"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for name in ("experiment", "verdict", "effect", "claim"):
        table.add_column(name, no_wrap=name != "claim")
    for claim in claims:
        limit = " (a limit)" if claim["limit"] else ""
        effect = plain(effect_text(claim)[:1])  # the interval is on the page
        table.add_row(claim["experiment"], _verdict(claim), effect, f"{printable(claim['statement'])}{limit}")
    return table


def _verdict(claim: Mapping[str, Any]) -> Text:
    colour = {"supported": "green", "refuted": "red"}.get(claim["verdict"], "yellow")
    return Text(claim["verdict"], style=f"bold {colour}")


def _member(run: Mapping[str, Any]) -> str:
    """Which run of its arm it is."""
    world = f"world {run['world']}, " if run.get("world") is not None else ""
    return f"{world}seed {run['seed']}"
