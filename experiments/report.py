"""The report of one training: `python -m experiments.report runs/two_rooms` redraws it from stored results.

Writes figures/*.svg and report.html, a page without network that opens from a file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config import ConfigError, one_line
from experiments.figures import pictures
from experiments.map_slider import map_slider
from experiments.markup import Child, Html, element, page
from experiments.plain_text import printable
from experiments.plotting import Picture
from experiments.results import Results, read_results
from experiments.sections import experiment
from experiments.store import RunFolder, StoreError

HERE = Path(__file__).parent


def write_report(path: Path) -> Path:
    """Draw the figures and the page of a finished run folder; returns the page.

    Raises:
        StoreError: the folder holds no finished training, or is damaged.
    """
    results = read_results(path)
    drawn = pictures(results)
    page = report(results, drawn, map_slider(results))
    folder = RunFolder(path)
    with folder.locked():
        write_figures(folder, drawn)
        folder.write("report.html", page)
    return path / "report.html"


def write_figures(folder: RunFolder, drawn: Sequence[Picture]) -> None:
    """The pictures as files."""
    for picture in drawn:
        folder.write(f"figures/{picture.name}.svg", picture.svg)


def report(results: Results, drawn: Sequence[Picture], maps: Html | None) -> Html:
    """The page of one training."""
    config, summary = results.config, results.summary
    return styled_page(
        config.name,
        element("h1", config.description),
        experiment(results, summary["claims"], drawn, maps),
    )


def styled_page(title: str, *children: Child) -> Html:
    """A page with the project's style and script."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return page(title, style, script, element("main", *children))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="a finished run folder, as in runs/two_rooms")
    options = parser.parse_args(arguments)
    try:
        print(printable(str(write_report(options.folder))))
    except (StoreError, ConfigError) as error:
        print(f"experiments.report: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"experiments.report: {one_line(options.folder)}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
