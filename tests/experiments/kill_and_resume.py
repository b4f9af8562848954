"""Kill a training at any moment, resume it, and compare it with one that was left alone.

python tests/experiments/kill_and_resume.py --kills 100 --workers 2    at random moments
python tests/experiments/kill_and_resume.py --changes 0 --workers 1   before every single change of the folder

Children are forked, so that PyTorch is loaded once and most of a child's life is training. Every number of every
table and every point of every event file must be equal, bit for bit; clocks are left out. The report is not drawn.
"""

import argparse
import json
import math
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import train
from experiments import load_config
from experiments.pages import training_page
from experiments.session import run as session
from experiments.session import workers
from tests.experiments import small_training
from tests.experiments.processes import ended
from tests.experiments.small_training import CONFIG, assert_same, contents

CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


def forked(
    words: list[str],
    output: Path,
    prepare: Callable[[], None] = lambda: None,
    main: Callable[[list[str]], int] = train.main,
) -> int:
    """A command with these words in a child, in a process group of its own; returns its process id."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = os.fdopen(log, "w")  # a test's own would go elsewhere
    training_page.write_report = lambda path: path / "report.html"  # takes longer than the training
    prepare()
    status = 99
    try:
        status = main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def killed_after(
    words: list[str], output: Path, seconds: float, main: Callable[[list[str]], int] = train.main
) -> int:
    """Kill the child after a while; its exit status."""
    process = forked(words, output, main=main)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return ended(process)


def killed_before_change(
    words: list[str],
    output: Path,
    folder: Path,
    number: float,
    main: Callable[[list[str]], int] = train.main,
) -> tuple[int, int]:
    """Kill the child, and its own, just before one of them changes something below `folder` for the n-th time.

    Files are opened by their names in an open folder, so every name that is not absolute counts.

    Returns:
        its exit status, and how often it came to do so.
    """
    shared = mmap.mmap(-1, 8)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        where = str(arguments[0])
        if where.startswith(str(folder)) or not os.path.isabs(where):
            begun = int.from_bytes(shared[:8]) + 1
            shared[:8] = begun.to_bytes(8)
            if begun > number:
                os.killpg(0, signal.SIGKILL)

    status = ended(forked(words, output, lambda: sys.addaudithook(count), main))
    return status, int.from_bytes(shared[:8])


class Trial:
    """One folder that is killed, and resumed, and compared."""

    def __init__(self, root: Path, config: Path, number_of_workers: int, expected: dict[str, Any]) -> None:
        self.root, self.expected = root, expected
        self.out, self.output = root / "out", root / "output.txt"
        self.words = [str(config), "--out", str(self.out), "--workers", str(number_of_workers)]
        self.words += ["--checkpoint-seconds", "0"]

    def begin(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.output.unlink(missing_ok=True)

    def resumed(self) -> str:
        """How the folder was found: what the resuming command says first."""
        self.output.unlink(missing_ok=True)
        if not self.out.exists():  # killed before it made its folder
            self.out.mkdir()
        status = ended(forked([*self.words, "--resume"], self.output))
        said = self.output.read_text()
        assert status == 0, said
        assert_same(contents(self.out), self.expected)
        assert not (self.out / "parts").exists()
        assert not (self.out / "checkpoint").exists()
        assert not list(self.out.rglob(".*.tmp"))
        assert "left out" not in said, said
        return "anew" if "anew" in said else "finished" if "nothing to do" in said else "from a checkpoint"


def random_kills(trial: Trial, kills: int, seconds: float, rng: random.Random) -> dict[str, int]:
    """So many kills at random moments of a training that takes about so long; one in three hits a resume."""
    outcomes: dict[str, int] = {}
    done = 0
    while done < kills:
        trial.begin()
        status = killed_after(trial.words, trial.output, rng.uniform(0, seconds))
        if status == 0:
            continue  # it was faster
        assert status == -signal.SIGKILL, trial.output.read_text()
        done += 1
        if rng.random() < 1 / 3 and trial.out.exists():
            done += killed_after([*trial.words, "--resume"], trial.output, rng.uniform(0, seconds)) != 0
        outcome = trial.resumed()
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return {"kills": done, **outcomes}


def kills_at_changes(trial: Trial, most: int) -> dict[str, int]:
    """Kill before every change of the folder, or before so many of them evenly spread (0: all)."""
    trial.begin()
    status, changes = killed_before_change(trial.words, trial.output, trial.out, math.inf)
    assert status == 0, trial.output.read_text()
    outcomes: dict[str, int] = {}
    killed = 0
    for number in range(0, changes, max(1, changes // most) if most else 1):
        trial.begin()
        status, _ = killed_before_change(trial.words, trial.output, trial.out, number)
        assert status in (0, -signal.SIGKILL), trial.output.read_text()
        killed += status != 0
        outcome = trial.resumed()
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return {"kills": killed, **outcomes}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100, help="at random moments")
    parser.add_argument("--changes", type=int, help="before so many changes of the folder; 0: all of them")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    by_time = options.changes is None
    updates = 100 if by_time else 6  # else it is over before anything is kept
    # More moments to be killed in; or a checkpoint after every update, so that each time as much is written.
    workers.BLOCK_SECONDS, session.MAX_SHARE = (0.02, 0.25) if by_time else (0.0, math.inf)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        config, undisturbed = root / "small.toml", root / "undisturbed"
        config.write_text(CONFIG.replace("updates = 24", f"updates = {updates}"))
        # Imports, and loads or compiles, all that each child would otherwise do itself.
        small_training.train(root / "first", load_config(config, ["training.updates=1"]))
        began = time.monotonic()
        assert ended(forked([str(config), "--out", str(undisturbed)], root / "output.txt")) == 0
        seconds = time.monotonic() - began
        trial = Trial(root, config, options.workers, contents(undisturbed))
        if by_time:
            found = random_kills(trial, options.kills, seconds, random.Random(options.seed))
        else:
            found = kills_at_changes(trial, options.changes)
    print(json.dumps({"workers": options.workers, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
