"""Look at what a training logged.

python -m experiments.look runs/two_rooms            start TensorBoard there, and say where it is
python -m experiments.look runs/two_rooms --open     and open it in the browser as soon as it answers
python -m experiments.look runs/two_rooms --links    and print links into its pages
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.look")  # before anything else: Ctrl-C is heard from here on

import argparse
import shlex
import shutil
import socket
import time
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

from experiments.config.failures import Failure
from experiments.config.loading import load_stored
from experiments.config.plain_text import printable
from experiments.figures.looks import first_pair
from experiments.session.command_line import Parser, run_folder
from experiments.session.console import Screen
from experiments.session.processes import run_program
from experiments.session.remote import folder_to_read, follow
from experiments.tensorboard.links import FEATURED, PORT, event_files, links, tab_link, tensorboard_command


@command("experiments.look")
def main(arguments: Sequence[str] | None = None) -> int:
    """Start TensorBoard on a run folder; returns the exit status: its own, 2 if there is nothing to show."""
    parser = Parser("experiments.look", __doc__)
    parser.add_argument("folder", type=run_folder, help="run folder, as in runs/two_rooms, or its URL")
    parser.add_argument("--open", action="store_true", help="open the browser as soon as TensorBoard answers")
    parser.add_argument("--links", action="store_true", help="print links to the views that this project sets up")
    options = parser.parse_args(arguments)
    with folder_to_read(options.folder, Screen()) as run:
        return _look(run, options)


def _look(run: Path, options: argparse.Namespace) -> int:
    try:
        logs = run / "tensorboard" if (run / "tensorboard").is_dir() else run
        missing = "" if any(event_files(logs)) else "holds no event files" if run.is_dir() else "no such folder"
        is_free = not run.exists() or (run.is_dir() and not any(run.iterdir()))
    except OSError as error:
        missing, is_free = str(error.strerror), False
    if missing:
        advice = f"; python train.py --out {run} would train into it" if is_free else ""
        raise Failure(f"{run}: {missing}{advice}")
    port = _free_port()
    words = shlex.split(tensorboard_command(logs, port))
    if shutil.which(words[0]) is None:
        raise Failure(f"{words[0]}: there is no such program; TensorBoard comes with this one")
    print(f"{printable(shlex.join(words))}\nTensorBoard: http://localhost:{port}", flush=True)
    if options.links:
        print(links(port, *shown(logs)), flush=True)

    def meanwhile(is_alive: Callable[[], bool]) -> None:
        if options.open:
            open_bands(port, is_alive)
        if isinstance(options.folder, str):
            follow(options.folder, is_alive)

    return run_program(words, meanwhile)


def open_bands(port: int, is_alive: Callable[[], bool]) -> None:
    """Both arms with their bands, in the browser, once TensorBoard has them."""
    with Screen().waiting("TensorBoard is starting"):
        while is_alive():
            with suppress(OSError), urlopen(f"http://localhost:{port}/data/runs", timeout=5) as answer:
                if answer.read().strip() != b"[]":
                    break
            time.sleep(0.1)
    address = tab_link("custom_scalars", port)
    if is_alive() and not webbrowser.open(address):
        print(f"no browser could be opened; this is the page: {address}", flush=True)


def shown(logs: Path) -> tuple[list[str], str | None]:
    """Of the training that logged there, if its folder says: the featured runs within each arm, and the blue
    arm where there is an orange one, too."""
    from experiments.training.records import member_path

    with suppress(Failure, ValueError, OSError):
        config = load_stored(logs.parent / "config.toml")
        world, (orange, blue) = config.environment.world_list[0], first_pair(config)
        featured = [member_path(seed, world) for seed in config.training.seed_list[:FEATURED]]
        return featured, None if orange is None else blue
    return [], None


def _free_port() -> int:
    """TensorBoard's own port if it is free, else any."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("localhost", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return PORT


if __name__ == "__main__":
    leave(main)
