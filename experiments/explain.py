"""The page of the text, made anew: docs/explain.html, to be opened from a file, in English and Korean.

python -m experiments.explain                 trains what the page shows and writes the page
python -m experiments.explain --out my.html   the same, somewhere else

It trains the text's bandit at a dozen coefficients, and the two rooms. The verdicts are those of
docs/argument.json: where training has changed, judge the argument anew first.
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
from experiments.config.plain_text import printable
from experiments.config.schema import Config
from experiments.pages.explain_data import dose_runs, effects, room_maps
from experiments.pages.explain_page import explain_page
from experiments.session.command_line import Parser, available_cores, place
from experiments.session.run import Options, run
from experiments.storage.results import read_results
from experiments.storage.run_folder import RunFolder
from experiments.storage.stored_files import StoreError
from experiments.storage.tree import Tree

ARGUMENT = DOCS / "argument.json"
PAGE = DOCS / "explain.html" if IS_CHECKOUT else Path("explain.html")
MARK = '<meta name="generator" content="experiments.explain">'

# Of the bandit. 0 and 0.1 are the arms of configs/bandit.toml, whose runs the argument judges.
COEFFICIENTS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)


def doses(config: Config, coefficients: Sequence[float]) -> Config:
    """The same experiment with an arm for each coefficient, and no claims."""
    arms = {f"entropy_{i}": {"entropy_coef": coefficient} for i, coefficient in enumerate(coefficients)}
    return Config.model_validate({**config.model_dump(), "arms": arms, "claims": []})


def made(coefficients: Sequence[float] = COEFFICIENTS, overrides: Sequence[str] = ()) -> str:
    """Train what the page shows, and the page.

    Args:
        coefficients: of the bandit; 0 and 0.1 among them.
        overrides: of both configs, to have it faster.
    """
    bandit, rooms = (load_config(CONFIGS / f"{name}.toml", overrides) for name in ("bandit", "two_rooms"))
    argument = json.loads(ARGUMENT.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        data: dict[str, Any] = {
            "bandit": dose_runs(
                RunFolder(trained(doses(bandit, coefficients), Path(folder) / "bandit")), coefficients, shown=0.1
            ),
            "rooms": room_maps(read_results(trained(rooms, Path(folder) / "rooms"))),
            "worlds": effects(argument),
        }
    return explain_page(data, argument, {"bandit": bandit.model_dump(), "two_rooms": rooms.model_dump()})


def trained(config: Config, folder: Path) -> Path:
    """The folder, with a finished training in it."""
    run(
        config,
        Options(folder, workers=available_cores(), log_steps=0, tensorboard=False),
        lambda record: None,
        lambda line: None,
    )
    return folder


def check_page(path: Path) -> None:
    """Whether a page may be written there.

    Raises:
        StoreError: something else is there.
    """
    if path.exists() and (not path.is_file() or MARK not in path.read_text("utf-8", errors="replace")[:4096]):
        raise StoreError(f"{path}: is not a page of this command and stays; choose another name for --out")


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
    Tree(path.parent).write(path.name, made() + "\n")
    print(printable(str(path)))
    return 0


if __name__ == "__main__":
    leave(main)
