"""Write the page of the text, docs/explain.html, in English and Korean; it opens from a file.

python -m experiments.explain                 train what the page shows, and write the page
python -m experiments.explain --out my.html   the same, somewhere else

It trains the text's bandit at a dozen coefficients, the two rooms, and sixty mazes. The verdicts come from
docs/argument.json: if training has changed, run the argument again first.
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.explain")  # before anything else: Ctrl-C is heard from here on

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.config.commands import CONFIGS, DOCS, IS_CHECKOUT
from experiments.config.loading import load_config
from experiments.config.schema import Config
from experiments.pages.explain_data import dose_runs, effects, family, room_maps
from experiments.pages.explain_page import explain_page
from experiments.session.command_line import Parser, available_cores, place
from experiments.session.console import Screen, progress
from experiments.session.run import Options, run
from experiments.storage.results import read_results
from experiments.storage.run_folder import RunFolder
from experiments.storage.stored_files import StoreError
from experiments.storage.tree import Tree

ARGUMENT = DOCS / "argument.json"
PAGE = DOCS / "explain.html" if IS_CHECKOUT else Path("explain.html")
MARK = b'<meta name="generator" content="experiments.explain">'

EXPERIMENTS = ("bandit", "two_rooms", "mazes")
# For the bandit; 0 and 0.1 are the arms of configs/bandit.toml, whose runs the argument judges.
COEFFICIENTS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)


def with_doses(config: Config, coefficients: Sequence[float]) -> Config:
    """The same experiment with an arm for each coefficient, and no claims."""
    arms = {f"entropy_{i}": {"entropy_coef": coefficient} for i, coefficient in enumerate(coefficients)}
    return Config.model_validate({**config.model_dump(), "arms": arms, "claims": []})


def made(screen: Screen, coefficients: Sequence[float] = COEFFICIENTS, overrides: Sequence[str] = ()) -> str:
    """Train what the page shows; returns the page.

    Args:
        screen: where progress is shown.
        coefficients: those of the bandit, including 0 and 0.1.
        overrides: overrides of these configs, to make it faster.
    """
    bandit, rooms, mazes = (load_config(CONFIGS / f"{name}.toml", overrides) for name in EXPERIMENTS)
    argument = json.loads(ARGUMENT.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        doses_folder = trained(with_doses(bandit, coefficients), Path(folder) / "bandit", screen)
        rooms_folder = trained(rooms, Path(folder) / "rooms", screen)
        mazes_folder = trained(mazes, Path(folder) / "mazes", screen)
        data: dict[str, Any] = {
            "bandit": dose_runs(RunFolder(doses_folder), coefficients, shown=0.1),
            "rooms": room_maps(read_results(rooms_folder)),
            "worlds": effects(argument),
            "family": family(argument, read_results(mazes_folder)),
        }
    return explain_page(data, argument, {"bandit": bandit.model_dump(), "two_rooms": rooms.model_dump()})


def trained(config: Config, folder: Path, screen: Screen) -> Path:
    """The folder, with a finished training in it."""
    options = Options(folder, workers=available_cores(), log_steps=0, tensorboard=False)
    with progress(screen, config) as bar:
        run(config, options, bar, screen.say, watch=bar)
    return folder


def check_page(path: Path) -> None:
    """Check that the page can be made, and may be written there.

    Raises:
        StoreError: something else is there, or this is not a checkout.
    """
    if not ARGUMENT.is_file():
        raise StoreError(f"{ARGUMENT}: not there; the page is made in a checkout of the project, which has it")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent}: there is no such folder to write a page into")
    if path.exists() and not _is_ours(path):
        raise StoreError(f"{path}: is not a page of this command and stays; choose another name for --out")


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK in file.read(4096)


@command("experiments.explain")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser("experiments.explain", __doc__)
    parser.add_argument(
        "--out",
        type=place,
        default=PAGE,
        metavar="FILE",
        help="the page (default: docs/explain.html; installed, explain.html)",
    )
    path: Path = parser.parse_args(arguments).out
    check_page(path)
    screen = Screen()
    Tree(path.parent).write(path.name, made(screen) + "\n")
    screen.say(f"page: {path}")
    return int(screen.is_lost)


if __name__ == "__main__":
    leave(main)
