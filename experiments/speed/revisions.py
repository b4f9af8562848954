"""Another revision of this program, measured in turns with the present one.

Each is trained in a process of its own that keeps running: compiled, loaded, and idle during the other's turns. It
receives scenarios and answers with steps and seconds, so the two revisions need not agree on anything else.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from experiments.config.failures import Failure
from experiments.speed.scenarios import Scenario, Timing

ROOT = Path(__file__).resolve().parents[2]
HERE = "here"  # the working tree, as it is
# A revision has to understand this: `Scenario` and `measure` are as old as the benchmark.
SERVE = """
import json, sys
from experiments.speed.scenarios import Scenario, measure
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    timing = measure(Scenario(**json.loads(line)))
    print(timing.env_steps, timing.seconds, file=answers, flush=True)
"""
VERDICTS = ("supported", "refuted", "inconclusive")


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The files of a revision, in a temporary folder that is removed at the end.

    Raises:
        Failure: there is no such revision, or no repository.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "revision"
        _git("worktree", "add", "--detach", str(place), _commit(revision))
        try:
            yield place
        finally:
            with suppress(Failure):
                _git("worktree", "remove", "--force", str(place))


def _commit(revision: str) -> str:
    """The commit that a name stands for in our own repository; an option is not a name."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            raise Failure(f"it takes a checkout of this project's repository, and {ROOT} is none")
        return _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except Failure as error:
        raise Failure(f"--against {revision}: {error}; valid are a commit, a branch and a tag") from None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(f"git cannot be run ({error.strerror})") from None
    if done.returncode:
        raise Failure((done.stderr.strip().splitlines() or ["git failed"])[-1])
    return done.stdout.strip()


class Revision:
    """A process that trains scenarios with the program in a folder."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=root,
            env=_environment(root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, scenario: Scenario) -> Timing:
        """Train a scenario once.

        Raises:
            Failure: the process has ended; its own message is above.
        """
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        with suppress(BrokenPipeError):
            print(json.dumps(scenario._asdict()), file=asked, flush=True)
        if not (answer := answers.readline().split()):
            raise Failure(f"{scenario.name}: cannot be measured in that revision", status=1)
        return Timing(int(answer[0]), float(answer[1]))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def against(revision: str, scenarios: Sequence[Scenario], repeats: int) -> dict[str, dict[str, list[Timing]]]:
    """Timings by scenario, of `HERE` and of another revision; the first turn of each is not counted.

    Raises:
        Failure: there is no such revision, or it cannot train a scenario.
    """
    with ExitStack() as stack:
        places = {HERE: ROOT, revision: stack.enter_context(worktree(revision))}
        revisions = {name: Revision(place) for name, place in places.items()}
        for one in revisions.values():
            stack.callback(one.close)
        found: dict[str, dict[str, list[Timing]]] = {}
        for scenario in scenarios:
            turns = [{name: one.measure(scenario) for name, one in revisions.items()} for _ in range(repeats + 1)]
            found[scenario.name] = {name: [turn[name] for turn in turns[1:]] for name in revisions}
        return found


def commands_against(revision: str, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds from the command `train.py` to its first verdict and to its end, in turns; the first is not counted.

    Raises:
        Failure: there is no such revision.
    """
    found: dict[str, list[tuple[float, float]]] = {HERE: [], revision: []}
    with worktree(revision) as other:
        for turn in range(repeats + 1):
            for name, place in {HERE: ROOT, revision: other}.items():
                if (seconds := seconds_of_a_command(place)) and turn:
                    found[name].append(seconds)
    return found


def seconds_of_a_command(root: Path) -> tuple[float, float]:
    """Seconds of `train.py` in a revision's folder: to its first verdict, and to its end."""
    verdict = None
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "train.py", "--out", str(Path(folder) / "run")]
        began = time.perf_counter()
        with subprocess.Popen(
            words, cwd=root, env=_environment(root), stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                if verdict is None and line.startswith(VERDICTS):
                    verdict = time.perf_counter() - began
        end = time.perf_counter() - began
    if process.returncode or verdict is None:
        raise Failure(f"{root}: train.py ended with status {process.returncode}", status=1)
    return verdict, end


def _environment(root: Path) -> Mapping[str, str]:
    return os.environ | {"PYTHONPATH": str(root)}
