"""The report of one training: `python -m experiments.report runs/two_rooms` redraws it from stored results.

Writes figures/*.svg and report.html, a page without network that opens from a file.
"""

from experiments.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.report")  # before anything else: Ctrl-C is heard from here on

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.command_line import Parser, folder
from experiments.figures import pictures
from experiments.map_slider import map_slider
from experiments.markup import Child, Html, element, page
from experiments.plain_text import printable
from experiments.plotting import Picture
from experiments.results import Results, read_results
from experiments.sections import experiment
from experiments.showing import Showing
from experiments.store import RunFolder

HERE = Path(__file__).parent


def write_report(path: Path) -> Path:
    """Draw the figures and the page of a finished run folder; returns the page.

    Raises:
        StoreError: the folder holds no finished training, or is damaged.
        NotShown: a figure or the page could not be drawn; everything else is there.
    """
    showing = Showing()
    write_pages(path, read_results(path), showing)
    showing.check()
    return path / "report.html"


class Drawn(NamedTuple):
    """What a page is made of beside numbers."""

    pictures: list[Picture]
    maps: Html | None


def write_pages(path: Path, results: Results, showing: Showing) -> Drawn:
    """The figures and the page of a training, as far as they can be drawn."""
    run = RunFolder(path)
    with run.locked():  # before it takes time to draw what could not be written
        maps = showing.attempt("maps of policy and visits", lambda: map_slider(results))
        drawn = Drawn(pictures(results, showing), maps)
        page = showing.attempt("report.html", lambda: report(results, drawn))
        for picture in drawn.pictures:
            run.write(f"figures/{picture.name}.svg", picture.svg)
        if page is not None:
            run.write("report.html", page)
    return drawn


def report(results: Results, drawn: Drawn) -> Html:
    """The page of one training."""
    config, summary = results.config, results.summary
    return styled_page(
        config.name,
        element("h1", config.description),
        experiment(results, summary["claims"], drawn.pictures, drawn.maps),
    )


def styled_page(title: str, *children: Child) -> Html:
    """A page with the project's style and script."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return page(title, style, script, element("main", *children))


@command("experiments.report")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("experiments.report", __doc__)
    parser.add_argument("folder", type=folder, help="a finished run folder, as in runs/two_rooms")
    print(printable(str(write_report(parser.parse_args(arguments).folder))))
    return 0


if __name__ == "__main__":
    leave(main)
