"""The real TensorBoard on a log folder, on a free port of this machine, asked as its own pages ask it."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from experiments.tensorboard.links import tensorboard_command
from tests.experiments.processes import PATIENCE, wait_for


class TensorBoardServer(NamedTuple):
    """A running server."""

    port: int

    def get(self, path: str, **query: str) -> bytes:
        """The answer to GET /<path>?<query>."""
        with urlopen(f"http://localhost:{self.port}/{path}?{urlencode(query)}", timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def get_json(self, path: str, **query: str) -> Any:
        return json.loads(self.get(path, **query))

    def post_json(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://localhost:{self.port}/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        """Step and value of each point; the server writes what JSON has no number for as text ("NaN")."""
        points = self.get_json("data/plugin/scalars/scalars", run=run, tag=tag)
        return [(step, float(value)) for _, step, value in points]

    def session_groups(self) -> list[dict[str, Any]]:
        """The rows of the HParams tab."""
        every = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
        request = {
            "experimentName": "",
            "allowedStatuses": every,
            "colParams": [],
            "startIndex": 0,
            "sliceSize": 1000,
        }
        groups = self.post_json("data/plugin/hparams/session_groups", request)["sessionGroups"]
        return sorted(groups, key=lambda group: str(group["name"]))


@contextmanager
def tensorboard_server(folder: Path, log: Path, points: int = 100_000) -> Iterator[TensorBoardServer]:
    """Runs the command that users are shown, on a port that the system chooses; new points are seen each second.

    Args:
        folder: the log folder.
        log: a file for what the server says.
        points: how many points a curve shows.
    """
    words = [*shlex.split(tensorboard_command(folder, port=0, points=points)), "--reload_interval", "1"]
    with log.open("w") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        (port, *_) = wait_for(lambda: re.findall(r"http://localhost:(\d+)/", log.read_text()))
        yield TensorBoardServer(int(port))
    finally:
        process.kill()  # it only reads
        process.wait()
