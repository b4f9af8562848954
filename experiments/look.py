"""Look at what a training logged.

python -m experiments.look runs/two_rooms       start TensorBoard on this folder and print links to its pages
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.look")  # before anything else: Ctrl-C is heard from here on

import shlex
import shutil
import socket
from collections.abc import Sequence

from experiments.config.failures import Failure
from experiments.config.plain_text import printable
from experiments.session.command_line import Parser, folder
from experiments.session.processes import run_program
from experiments.tensorboard.links import PORT, event_files, links, tensorboard_command


@command("experiments.look")
def main(arguments: Sequence[str] | None = None) -> int:
    """Start TensorBoard on a run folder; returns the exit status: its own, 2 if there is nothing to show."""
    parser = Parser("experiments.look", __doc__)
    parser.add_argument("folder", type=folder, help="run folder, as in runs/two_rooms")
    run = parser.parse_args(arguments).folder
    try:
        logs = run / "tensorboard" if (run / "tensorboard").is_dir() else run
        missing = "" if any(event_files(logs)) else "holds no event files" if run.is_dir() else "no such folder"
    except OSError as error:
        missing = str(error.strerror)
    if missing:
        raise Failure(f"{run}: {missing}; python train.py --out {run} would train into it")
    port = _free_port()
    words = shlex.split(tensorboard_command(logs, port))
    if shutil.which(words[0]) is None:
        raise Failure(f"{words[0]}: there is no such program; TensorBoard comes with this one")
    print(f"{printable(shlex.join(words))}\n{links(port)}", flush=True)
    return run_program(words)


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
