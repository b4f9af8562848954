"""The report of one training: `python -m experiments.report runs/two_rooms` redraws it from stored results.

It writes figures/*.svg and report.html, a page that opens from a file and needs no network.
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.report")  # before anything else: Ctrl-C is heard from here on

from collections.abc import Sequence
from pathlib import Path

from experiments.session.command_line import Parser, run_folder
from experiments.session.console import Screen
from experiments.session.remote import working_folder
from experiments.storage.run_folder import RunFolder


@command("experiments.report")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("experiments.report", __doc__)
    parser.add_argument("folder", type=run_folder, help="a finished run folder, as in runs/two_rooms, or its URL")
    screen, place = Screen(), parser.parse_args(arguments).folder

    def check(seen: Path) -> None:
        RunFolder(seen).read_summary()  # refuses a training that is not finished

    with working_folder(place, "experiments.report", screen, check) as run:
        with screen.waiting("drawing the report"):
            # With matplotlib and SciPy, which --help can spare.
            from experiments.pages.training_page import write_report

            path = write_report(run)
        screen.say(str(path))
    return int(screen.is_lost)


if __name__ == "__main__":
    leave(main)
