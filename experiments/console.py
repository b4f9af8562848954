"""What the user sees in the terminal: a progress bar while training, a table of results after it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.outcomes import OUTCOMES
from experiments.records import UpdateRecord


@contextmanager
def progress(console: Console, updates: int, done: int = 0) -> Iterator["ProgressBar"]:
    """A bar with rate and remaining time; nothing at all where no terminal shows it."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("updates  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        yield ProgressBar(bar, updates, done)
    finally:
        bar.stop()


class ProgressBar:
    """Follows the records. It starts with the first: processes are forked before that, and a forked process should
    not inherit the lock of a thread that draws."""

    def __init__(self, bar: Progress, updates: int, done: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=updates, completed=done, rate="")

    def __call__(self, record: UpdateRecord) -> None:
        self._bar.start()
        task = self._bar.tasks[0]
        if task.elapsed and record.steps is not None:
            steps = float(record.columns["env_steps"].sum())
            rate = f"{steps / task.elapsed / 1e6:.2f} M steps/s"
            self._bar.update(self._task, completed=record.update + 1, rate=rate)
        else:
            self._bar.update(self._task, completed=record.update + 1)


def results(summary: Mapping[str, Any]) -> Table:
    """A row a measure, a column an arm."""
    arms = summary["arms"]
    table = Table(title=escape(summary["description"]), title_justify="left", caption_justify="left")
    table.add_column("measure")
    for arm, content in arms.items():
        table.add_column(f"{escape(arm)}\n({_count(content)})", justify="right")
    for name in ROWS:
        entries = [content["measures"].get(name) for content in arms.values()]
        if any(entries) and not (name == "failed" and not any(entry["count"] for entry in entries)):
            table.add_row(OUTCOMES[name].label, *(_cell(name, entry) for entry in entries))
    return table


ROWS = (
    "succeeds",
    "solved",
    "greedy_solved",
    "stuck",
    "failed",
    "final_return",
    "greedy_return",
    "final_entropy_bits",
    "state_coverage",
    "first_success_env_step",
    "entropy_collapse_update",
)


def _count(content: Mapping[str, Any]) -> str:
    if content["n"] == content["runs"]:
        return f"{content['n']} runs"
    return f"{content['runs']} equal runs"


def _cell(name: str, entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    kind = OUTCOMES[name].kind
    head = _number(kind, entry["estimate"])
    if kind == "fraction":
        head = f"{entry['count']}/{entry['n']} = {head}"
    if entry["low"] is None and (entry["high"] is None or kind != "time"):
        return head
    return rf"{head} \[{_number(kind, entry['low'])}, {_number(kind, entry['high'])}]"


def _number(kind: str, value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:,.0f}" if kind == "time" else f"{value:.2f}"


def failed_lines(summary: Mapping[str, Any], most: int = 10) -> list[str]:
    """A line that names the failed runs, if there are any."""
    names = [f"{run['arm']}, seed {run['seed']} (update {run['update']})" for run in summary["failed_runs"]]
    if len(names) > most:
        names[most:] = [f"and {len(names) - most} more"]
    return [f"no longer finite, frozen and counted as failed: {'; '.join(names)}"] if names else []


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """A line a claim, with effect, interval, test and n."""
    return [verdict_line(claim) for claim in summary["claims"]]


def verdict_line(claim: Mapping[str, Any]) -> str:
    """One claim and its verdict."""
    effect = "no value" if claim["effect"] is None else f"{claim['effect']:+.2f}"
    if claim["low"] is not None or claim["high"] is not None:
        ends = ("..." if claim[end] is None else f"{claim[end]:+.2f}" for end in ("low", "high"))
        effect += rf" \[{', '.join(ends)}]"
    p = "" if claim["p_adjusted"] is None else f", p = {claim['p_adjusted']:.2g}"
    more = (
        f"; about {claim['more_seeds']} more seeds per arm would decide it if the effect is as large as it looked"
        if claim["more_seeds"]
        else ""
    )
    return (
        f"{_verdict(claim)}: {escape(claim['statement'])}\n"
        f"  {escape(claim['measure'])}, {escape(claim['expect'])}: {effect} "
        f"({claim['test']}{p}, n = {claim['n']}{more})"
    )


def verdict_table(claims: Sequence[Mapping[str, Any]]) -> Table:
    """The claims of several experiments, a row a claim."""
    title = f"{len(claims)} claims, judged together"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for name in ("experiment", "verdict", "effect", "claim"):
        table.add_column(name, no_wrap=name != "claim")
    for claim in claims:
        effect = "-" if claim["effect"] is None else f"{claim['effect']:+.2f}"
        limit = " (a limit)" if claim["limit"] else ""
        table.add_row(escape(claim["experiment"]), _verdict(claim), effect, escape(claim["statement"]) + limit)
    return table


def _verdict(claim: Mapping[str, Any]) -> str:
    colour = {"supported": "green", "refuted": "red"}.get(claim["verdict"], "yellow")
    return f"[bold {colour}]{claim['verdict']}[/]"
