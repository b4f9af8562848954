"""Make docs/neighbours.md from running every trial: python -m tests.peers.neighbours

It takes all packages: pip install --constraint constraints.txt --editable ".[dev,peers,box2d]"
RLlib pins an older Gymnasium, so it gets an environment of its own: pip install --editable . "ray[rllib]"
There `python -m tests.peers.neighbours "ray[rllib]"` makes its row anew, and all other rows stay as they are. So
do those of packages that are not installed.
"""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from experiments.config.version import __version__
from tests.peers import agents, readers, worlds, wrapped  # noqa: F401  (they add their trials)
from tests.peers.trials import TRIALS, Trial

PAGE = Path(__file__).parents[2] / "docs" / "neighbours.md"
HEADINGS = {
    "worlds": "Other people's worlds, in which this project trains",
    "wrappers": "Gymnasium's wrappers around our worlds",
    "agents": "Other people's agents in our worlds",
    "readers": "Other people's readers of our results",
}
INTRODUCTION = f"""# Neighbours

What fits this project, and what is refused and why. `python -m tests.peers.neighbours` made this page by trying all that is on
it, with version {__version__} and Python {platform.python_version()}; `make test-all` tries all but RLlib's row again. The project needs none of it: the extras
`peers`, `box2d` and `dev` bring it. A world fits if two arms make two updates in it. The packages stand beside the pins of
`constraints.txt`, so that tianshou is not its version 2, which needs an older pandas. RLlib pins Gymnasium 1.2.2 and was tried
in an environment of its own: `pip install "ray[rllib]"` beside this project.
"""  # noqa: E501


def lines() -> Iterator[str]:
    """The page, line by line."""
    yield INTRODUCTION
    for group, heading in HEADINGS.items():
        yield f"## {heading}\n"
        yield "| package | what was tried | what came out |\n| --- | --- | --- |"
        for trial in (trial for trial in TRIALS if trial.group == group):
            yield row(trial)
        yield ""


def row(trial: Trial) -> str:
    """What came out; of what is not tried, what the page says."""
    if trial.version is not None and trial.package in (sys.argv[1:] or [trial.package]):
        return f"| {trial.package} {trial.version} | {trial.what} | {tried(trial)} |"
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| {trial.package} ") and f" | {trial.what} | " in line:
            return line
    sys.exit(f"not installed: {trial.package}")


def tried(trial: Trial) -> str:
    """What came out, for a cell of a table."""
    print(f"{trial.package}: {trial.what}", file=sys.stderr)
    said = trial.outcome().replace("|", "\\|")
    return said if said == "fits" else f"refused: {said}"


if __name__ == "__main__":
    PAGE.write_text("\n".join(lines()), encoding="utf-8")
