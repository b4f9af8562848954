"""What the user sees in the terminal: a progress bar during training, and tables of results after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.style import Style
from rich.table import Table
from rich.text import Text

from experiments.analysis.wording import effect_text, plain, verdict_text
from experiments.config.plain_text import printable
from experiments.config.schema import Config
from experiments.session.result_tables import results
from experiments.session.waiting import Moving, Preparing, Waiting
from experiments.training.records import Records


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

    def waiting(self, what: str) -> Waiting:
        """A line that moves as long as something takes; nothing where no terminal shows it."""
        return Waiting(self, what)

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


class _Bar(Moving):
    """A bar, and below it a line per arm."""

    arms = Text()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield self.arms


@contextmanager
def progress(console: Console, config: Config) -> Iterator["ProgressBar"]:
    """A bar with rate and remaining time, and what each arm is at; nothing at all where no terminal shows it."""
    columns = (
        SpinnerColumn(finished_text="\N{BULLET}"),
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("updates  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = _Bar(*columns, console=console)
    shown = ProgressBar(bar, config)
    try:
        yield shown
    finally:
        shown.stop()
        bar.stop()


class ProgressBar(Preparing):
    """Follows a training: a line before it, a bar through its blocks, and another line until there are results.

    Nothing is drawn between `stop` and `training`, while processes are forked: a forked process should not inherit
    the lock of a thread that draws.
    """

    def __init__(self, bar: _Bar, config: Config) -> None:
        super().__init__(bar.console)
        self._bar, self._arms = bar, list(config.arms)
        self._task = bar.add_task("", total=config.most_updates, rate="")

    def training(self) -> None:
        """Every process is there, and training has begun."""
        self._bar.start()

    def judging(self) -> None:
        """Everything is trained."""
        self._bar.stop()
        self._begin("judging")

    def __call__(self, records: Records) -> None:
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


def tally_lines(verdicts: Mapping[str, int]) -> list[str]:
    """How many claims came out how."""
    return [
        "{effects} claims that were expected to hold: {supported} supported, {refuted} refuted, "
        "{inconclusive} inconclusive".format(**verdicts),
        "{limits} that were expected not to hold: {limits_supported} supported".format(**verdicts),
    ]


def verdict_table(title: str, claims: Sequence[Mapping[str, Any]]) -> Table:
    """The claims of several experiments, a row per claim."""
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
