"""How to look at event files: TensorBoard's command, and links into its pages."""

import json
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
PINNED = (FEATURED_TAG, "policy/entropy_bits", "episode/return", "explore/state_coverage")


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
    return shlex.join([_program(), "--logdir", str(logs), "--samples_per_plugin", samples, *address])


def event_files(logs: Path) -> Iterator[Path]:
    """The event files of a training. They lie at most four folders down; a stranger's folders may be of any
    depth."""
    for depth in range(5):
        yield from logs.glob("*/" * depth + "events.out.tfevents.*")


def _program() -> str:
    """The path of the tensorboard program that was installed with this Python."""
    beside = Path(sys.executable).parent / "tensorboard"
    if not beside.exists():
        return "tensorboard"
    if not beside.is_relative_to(Path.cwd()):
        return str(beside)
    return os.path.join(beside.parent.relative_to(Path.cwd()), beside.name)  # "./tensorboard": not in PATH


def deep_link(port: int = PORT, tags: Sequence[str] = PINNED, runs: str = "") -> str:
    """The address of the Time Series tab: `tags` pinned, unsmoothed, a colour per arm, the runs that match `runs`.

    Runs are called `<arm>/seed_<k>` and `aggregate/<arm>`; those with the same captured text have one colour.
    """
    pinned = [{"plugin": "scalars", "tag": tag} for tag in tags]
    query = {
        "pinnedCards": json.dumps(pinned, separators=(",", ":")),
        "runColorGroup": r"regex:^(?:aggregate/)?([\w-]+)",
        "smoothing": "0",
        **({"runFilter": runs} if runs else {}),
    }
    return f"http://localhost:{port}/?{urlencode(query, quote_via=quote)}#timeseries"


def tab_link(tab: str, port: int = PORT, runs: str = r"^(\.$|aggregate/)") -> str:
    """The address of another tab (custom_scalars, images, histograms, text) with the runs that match `runs`.

    If there are more than 40 runs, these tabs show none. The default selects the aggregate runs and the root.
    """
    return f"http://localhost:{port}/#{tab}&regexInput={quote(runs, safe='')}&_smoothingWeight=0"


def links(port: int = PORT, featured: Sequence[str] = ()) -> str:
    """What to open, a line each.

    Args:
        port: of TensorBoard.
        featured: the runs within each arm whose steps are shown, as in seed_3; without them, all are.
    """
    runs = f"/({'|'.join(featured)})$" if featured else ""
    pages = {
        "both arms, with bands": tab_link("custom_scalars", port),
        "every step": deep_link(port, runs=runs),
        "policies and visits": tab_link("images", port),
    }
    return "\n".join(f"  {what + ':':<25}{address}" for what, address in pages.items())
