"""Episodes in the terminal: drawn in place, side by side, each with a line about the step below it."""

import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text


class TextPicture(NamedTuple):
    """A moment of an episode."""

    drawing: str  # lines of text, with the colours of a terminal
    caption: str


def play_in_place(
    console: Console, titles: Sequence[str], episodes: Sequence[Sequence[TextPicture]], rate: float
) -> None:
    """Show episodes that begin together; one that has ended keeps its last picture.

    Args:
        console: a terminal.
        titles: one per episode.
        episodes: pictures in the order of time.
        rate: pictures per second.
    """
    last = [pictures[-1] for pictures in episodes]
    with Live(console=console, auto_refresh=False) as screen:
        for moment in zip_longest(*episodes):
            shown = [picture or last[place] for place, picture in enumerate(moment)]
            screen.update(_frame(titles, shown), refresh=True)
            time.sleep(1 / rate)


def _frame(titles: Sequence[str], moment: Sequence[TextPicture]) -> Table:
    frame = Table.grid(padding=(0, 3, 0, 0))
    frame.add_row(
        *(
            Group(Text(title, "bold"), Text.from_ansi(picture.drawing.strip("\n")), Text(picture.caption))
            for title, picture in zip(titles, moment, strict=True)
        )
    )
    return frame
