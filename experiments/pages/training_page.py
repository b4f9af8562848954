"""The page of one training, report.html, and its figures, made from stored results."""

from pathlib import Path
from typing import NamedTuple

from experiments.figures.pictures import pictures
from experiments.figures.showing import Showing
from experiments.figures.style import Picture
from experiments.pages.map_slider import Maps, map_slider
from experiments.pages.rendering import render
from experiments.storage.results import Results, read_results
from experiments.storage.run_folder import RunFolder


class Drawn(NamedTuple):
    """The pictures and maps of a page."""

    pictures: list[Picture]
    maps: Maps | None


def write_report(path: Path) -> Path:
    """Draw the figures and the page of a finished run folder; returns the page.

    Raises:
        StoreError: the folder does not hold a finished training, or is damaged.
        NotShown: a figure or the page could not be drawn; everything else is there.
    """
    showing = Showing()
    write_pages(path, read_results(path), showing)
    showing.check()
    return path / "report.html"


def write_pages(path: Path, results: Results, showing: Showing) -> Drawn:
    """Draw the figures and the page of a training, as far as possible."""
    run = RunFolder(path)
    with run.locked():  # first, since drawing takes time and the folder may be in use
        maps = showing.attempt("maps of policy and visits", lambda: map_slider(results))
        drawn = Drawn(pictures(results, showing), maps)
        page = showing.attempt("report.html", lambda: render("report.html", results=results, drawn=drawn))
        for picture in drawn.pictures:
            run.write(f"figures/{picture.name}.svg", picture.svg)
        if page is not None:
            run.write("report.html", page)
    return drawn
