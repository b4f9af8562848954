"""How to look at event files: TensorBoard's command, and links into its pages."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

PORT = 6006  # TensorBoard's own
STEP_TAG = "step/entropy_bits"
FEATURED = 2  # seeds per arm, the first ones, whose steps are shown at once
FEATURED_TAG = "featured/entropy_bits"  # the same points of these alone: of a tag, TensorBoard loads all runs
FEATURED_TAGS = {  # and per update, the columns of updates.parquet
    "featured/mean_entropy_bits": "entropy_bits",
    "featured/return": "return_mean",
    "featured/state_coverage": "state_coverage",
}
ROOT = "."  # the run of the log folder itself, which has no curves


def tensorboard_command(logs: Path, port: int = PORT, points: int | None = None) -> str:
    """The command that shows a log folder with every point, on this machine only.

    It works from the current folder, without an activated virtual environment.

    Args:
        logs: the log folder.
        port: the port to answer on; 0: any.
        points: how many points a curve may have; without it, as many as the longest one (TensorBoard's default is
            1000).
    """
    sizes = [file.lstat().st_size for file in event_files(logs)]
    most = points or max(100_000, *(size // 40 for size in sizes), 0)  # a point takes more than 40 bytes
    samples = f"scalars={most},images=1000,histograms=1000"  # 0 would mean none at all to the fast reader
    address = ["--host", "localhost", "--port", str(port), "--reload_interval", "5"]
    return shlex.join([*_program(), "--logdir", str(logs), "--samples_per_plugin", samples, *address])


def event_files(logs: Path) -> Iterator[Path]:
    """The event files of a training. They lie at most four folders down; a stranger's folders may be of any
    depth."""
    for depth in range(5):
        yield from logs.glob("*/" * depth + "events.out.tfevents.*")


def _program() -> list[str]:
    """What starts the TensorBoard of this Python: its script, or, where there is none (as after `pip install
    --target`), Python itself."""
    python = Path(sys.executable)
    beside = python.with_name("tensorboard")
    if os.access(beside, os.X_OK):
        return [_from_here(beside)]
    return [_from_here(python), "-m", "tensorboard.main"]


def _from_here(program: Path) -> str:
    if not program.is_relative_to(Path.cwd()):
        return str(program)
    return os.path.join(program.parent.relative_to(Path.cwd()), program.name)  # "./tensorboard": not in PATH


def runs_in_order_of_colour(arms: Sequence[str], runs: Sequence[str]) -> list[str]:
    """All runs, in the order in which TensorBoard is to give them their colours.

    Custom Scalars has a palette that begins with orange and blue, in the order of runs. Time Series has another:
    slate, light blue, pink, amber and others, in the order of the groups that `deep_link` makes.

    Args:
        arms: the orange one and the blue one, if there are such, then the others.
        runs: those with a seed, as in with_entropy/seed_3.
    """
    leading = next(run for run in runs if run.startswith(f"{arms[0]}/"))
    return [*(f"aggregate/{arm}" for arm in arms), ROOT, leading, *(run for run in runs if run != leading)]


def groups(blue: str | None) -> str:
    """A pattern that captures a run's arm, with whose other runs it shares a colour in Time Series.

    Args:
        blue: the blue arm, where there is an orange one, too. The other arms' aggregates are then a group, and so
            is the root: this leaves light blue and amber to the first two arms (see `runs_in_order_of_colour`).
    """
    if blue is None:
        return r"^(?:aggregate/)?([\w-]+)"
    return rf"^(?:aggregate/(?={blue}$))?(aggregate|\.|[\w-]+)"


def deep_link(port: int = PORT, runs: str = "", blue: str | None = None, tags: str = "^featured/") -> str:
    """The address of the Time Series tab: unsmoothed, a colour per arm, only the tags and runs that match.

    Other tags would load all runs, hidden or not. Runs are called `<arm>/seed_<k>` and `aggregate/<arm>`; `groups`
    says what `blue` is for.
    """
    query = {
        "tagFilter": tags,
        "runColorGroup": f"regex:{groups(blue)}",
        "smoothing": "0",
        **({"runFilter": runs} if runs else {}),
    }
    return f"http://localhost:{port}/?{urlencode(query, quote_via=quote)}#timeseries"


def tab_link(tab: str, port: int = PORT, runs: str = r"^(\.$|aggregate/)") -> str:
    """The address of another tab (custom_scalars, images, histograms, text) with the runs that match `runs`.

    If there are more than 40 runs, these tabs show none. The default selects the aggregate runs and the root.
    """
    return f"http://localhost:{port}/#{tab}&regexInput={quote(runs, safe='')}&_smoothingWeight=0"


def links(port: int = PORT, featured: Sequence[str] = (), blue: str | None = None) -> str:
    """What to open, a line each.

    Args:
        port: of TensorBoard.
        featured: the runs within each arm whose steps are shown, as in seed_3; without them, all are.
        blue: the blue arm, where there is an orange one, too.
    """
    runs = f"/({'|'.join(featured)})$" if featured else ""
    pages = {
        "both arms, with bands": tab_link("custom_scalars", port),
        "every step": deep_link(port, runs=runs, blue=blue),
        "policies and visits": tab_link("images", port),
    }
    return "\n".join(f"  {what + ':':<25}{address}" for what, address in pages.items())
