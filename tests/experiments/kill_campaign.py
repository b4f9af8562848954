"""Kill every command that writes, over every kind of config, and look at what the next command makes of it.

python tests/experiments/kill_campaign.py --kills 300

Whatever was killed, and whenever: the next command ends as if nothing had happened, every number equals that of a
training that was left alone, and files that somebody else has put beside ours are as they were. Half of the kills
come at random moments, the others just before a change of the folder.
"""

import argparse
import json
import math
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tomli_w

import train
from experiments import argument, load_config, report
from experiments.figures import pictures
from experiments.session import run as session
from experiments.session import workers
from experiments.storage.run_folder import RunFolder
from experiments.training.loop import Training
from tests.experiments.kill_and_resume import ended, forked, killed_after, killed_before_change
from tests.experiments.small_training import CONFIG, assert_same, contents

Main = Callable[[list[str]], int]

LINEAR = {"schedule": "linear", "start": 0.1, "end": 0.0}
EXPONENTIAL = {"schedule": "exponential", "start": 0.5, "decay": 0.9}
TARGET = {"schedule": "target_entropy", "target_bits": 0.9, "rate": 0.01}
CARTPOLE = {"id": "CartPole-v1", "max_episode_steps": 8, "solved_return": 8.0, "normalize_observations": True}
STEPPED = {"id": "FourAction/TwoRooms-v0", "max_episode_steps": 12, "solved_return": 0.5, "tables": False}
FEW = {"updates": 12}


def arms(**of_the_second: Any) -> dict[str, Any]:
    """Arms in place of the small config's three."""
    return {"without": {}, "with_entropy": {"entropy_coef": 0.05} | of_the_second}


# Kind -> tables that replace those of the small config, or add to them.
KINDS: dict[str, dict[str, Any]] = {
    "running_mean": {},  # and value, and a target of entropy
    "batch_mean": {"agent": {"baseline": "batch_mean"}, "arms": arms(entropy_coef=LINEAR)},
    "leave_one_out": {"agent": {"baseline": "leave_one_out"}, "arms": arms(entropy_coef=EXPONENTIAL)},
    "none": {"agent": {"baseline": "none"}, "arms": arms(entropy_objective="soft_return")},
    "simulator": {"environment": CARTPOLE, "training": FEW, "arms": arms(entropy_coef=TARGET)},
    "stepped": {"environment": STEPPED, "training": FEW, "arms": arms()},
    "exact": {"agent": {"gradient": "exact", "baseline": "none"}, "arms": arms()},
    "noise": {"agent": {"behaviour_epsilon": 0.2}, "arms": arms(baseline="value")},
    "failing": {"arms": arms(entropy_coef={"schedule": "linear", "start": 0.0, "end": 1e308}, optimizer="sgd")},
}
OTHERS = ("stranger.txt", "update-1-stranger.safetensors", "stranger.parquet", ".stranger.tmp")


def config_of(kind: str, seed: int = 0) -> str:
    """A config of this kind, as TOML."""
    table, changes = tomllib.loads(CONFIG), KINDS[kind]
    table["environment"] = changes.get("environment", table["environment"])
    table["agent"] |= changes.get("agent", {})
    table["training"] |= {"seeds": [seed, seed + 1], **changes.get("training", {})}
    return tomli_w.dumps(table | {"name": kind, "arms": changes.get("arms", table["arms"])})


def plant(folder: Path) -> dict[Path, str]:
    """Somebody else's files, in the folder and in each folder of it."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    planted = {place / name: f"of {place.name}" for place in places for name in OTHERS}
    for path, text in planted.items():
        path.write_text(text)
    return planted


def take_back(planted: dict[Path, str]) -> None:
    """They are as they were; and then they are gone, so that the rest can be compared."""
    for path, text in planted.items():
        assert path.read_text() == text, path
        path.unlink()


class Campaign:
    """Kills of one kind.

    Args:
        root: a folder for all of it.
        kind: of `KINDS`.
        rng: says when to kill.
        workers: of each training.
    """

    def __init__(self, root: Path, kind: str, rng: random.Random, workers: int) -> None:
        self.root, self.rng = root, rng
        self.out, self.output = root / "out", root / "output.txt"
        self.kills = 0
        self.options = ["--workers", str(workers), "--checkpoint-seconds", "0"]
        self.words: dict[str, list[str]] = {}
        self.expected: dict[str, dict[str, Any]] = {}
        self.finished: dict[str, Path] = {}
        for name, seed in (("new", 0), ("old", 100)):
            config = root / f"{name}.toml"
            config.write_text(config_of(kind, seed))
            Training(load_config(config))  # imports all that a child would otherwise import itself
            folder = self.finished[name] = root / name
            began = time.monotonic()
            self.run(train.main, [str(config), "--out", str(folder), "--workers", "1"])
            self.seconds = time.monotonic() - began
            self.expected[name] = contents(folder)
            self.words[name] = [str(config), "--out", str(self.out), *self.options]

    def run(self, main: Main, words: list[str], status: int = 0) -> str:
        """A command that is left alone; what it says."""
        self.output.unlink(missing_ok=True)
        found = ended(forked(words, self.output, main=main))
        said = self.output.read_text()
        assert found == status, said
        assert "Traceback" not in said, said
        return said

    def kill(self, main: Main, words: list[str], seconds: float, changes: int) -> bool:
        """Kill a command somewhere; whether it was not too late."""
        if self.rng.random() < 0.5:
            status = killed_after(words, self.output, self.rng.uniform(0, seconds), main=main)
        else:
            number = self.rng.randrange(changes)
            status, _ = killed_before_change(words, self.output, self.out, number, main=main)
        assert status in (0, -signal.SIGKILL), self.output.read_text()
        self.kills += status != 0
        return status != 0

    def begin(self, template: Path | None = None) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        if template is not None:
            shutil.copytree(template, self.out)
        self.output.unlink(missing_ok=True)

    def is_as(self, name: str) -> None:
        assert_same(contents(self.out), self.expected[name])
        assert [path for path in RunFolder(self.out).files() if path.startswith(("parts", "checkpoint", "."))] == [
            ".lock",
            ".made_by.json",
        ]

    def training(self) -> str:
        """A training is killed, perhaps its resuming too, and resumed."""
        self.begin()
        self.kill(train.main, self.words["new"], self.seconds, 150)
        if not self.out.exists():
            return "before it made its folder"
        planted = plant(self.out) if (self.out / "config.toml").exists() else {}
        if self.rng.random() < 1 / 3:
            self.kill(train.main, [*self.words["new"], "--resume"], self.seconds, 150)
        said = self.run(train.main, [*self.words["new"], "--resume"])
        assert "left out" not in said, said
        take_back(planted)
        self.is_as("new")
        return "anew" if "anew" in said else "finished" if "nothing to do" in said else "from a checkpoint"

    def overwriting(self) -> str:
        """`--overwrite` of another training, finished or not, is killed; then either of them is resumed."""
        self.begin(self.finished["old"])
        if self.rng.random() < 0.5:  # an unfinished one
            self.begin()
            self.kill(train.main, self.words["old"], self.seconds, 150)
            if not (self.out / "config.toml").exists():
                return "before there was something"
        planted = plant(self.out)
        self.kill(train.main, [*self.words["new"], "--overwrite"], self.seconds, 200)
        stands = "new" if self._holds("new") else "old"
        if stands == "old":
            said = self.run(train.main, [*self.words["new"], "--resume"], status=2)
            assert "holds a different config; go on with its config.toml" in said, said
            said = self.run(train.main, self.words["new"], status=2)
            assert "holds results; replace it with --overwrite, or use --out" in said, said
            if self.rng.random() < 0.5:
                self.run(train.main, [*self.words["new"], "--overwrite"])
                stands = "new"
        if stands == "old" or self.rng.random() < 0.5:
            self.run(train.main, [*self.words[stands], "--resume"])
        else:
            self.run(train.main, [*self.words[stands], "--overwrite"])
        take_back(planted)
        self.is_as(stands)
        return f"{stands} stands"

    def _holds(self, name: str) -> bool:
        return load_config(self.out / "config.toml") == load_config(self.root / f"{name}.toml")

    def reporting(self) -> str:
        """`report` is killed; the results are whole, and the next report is complete."""
        if "report" not in self.expected:
            self.begin(self.finished["new"])
            began = time.monotonic()
            self.run(drawing, [str(self.out)])
            self.drawn_in, self.expected["report"] = time.monotonic() - began, self._pages()
        self.begin(self.finished["new"])
        planted = plant(self.out)
        self.kill(drawing, [str(self.out)], self.drawn_in, 20)
        assert_same(self._results(planted), self.expected["new"])
        self.run(drawing, [str(self.out)])
        take_back(planted)
        self.is_as("new")
        assert self._pages() == self.expected["report"]
        return "drawn"

    def _results(self, planted: dict[Path, str]) -> dict[str, Any]:
        return {name: value for name, value in contents(self.out).items() if name not in OTHERS}

    def _pages(self) -> dict[str, bytes]:
        paths = [self.out / "report.html", *(self.out / "figures").iterdir()]
        return {path.name: path.read_bytes() for path in paths if path.name != "report.html"}


class ArgumentCampaign(Campaign):
    """Kills of `argument`, of its cells or of itself, over results of older code or none."""

    def __init__(self, root: Path, kind: str, rng: random.Random, workers: int) -> None:
        self.root, self.rng, self.kills = root, rng, 0
        self.out, self.output = root / "out", root / "output.txt"
        self.plan = {}
        for name in ("running_mean", "batch_mean"):
            self.plan[name] = load_config(tomllib.loads(config_of(name)))
        self.main = arguing(list(self.plan.values()))
        old = arguing(list(self.plan.values()), older_code=True)
        self.words = {"new": ["-v", "--out", str(self.out), "--workers", str(workers)]}
        self.begin()
        self.run(old, self.words["new"])
        self.finished = {"old": root / "old"}
        shutil.copytree(self.out, self.finished["old"])
        self.begin()
        began = time.monotonic()
        self.run(self.main, self.words["new"])
        self.seconds = time.monotonic() - began
        self.expected = {name: contents_of_cell(self.out / name) for name in self.plan}
        for name, expected in self.expected.items():
            assert expected["runs.parquet"] != contents_of_cell(self.finished["old"] / name)["runs.parquet"]

    def arguing(self) -> str:
        """It is killed, and the next one's numbers are the present code's."""
        self.begin(self.finished["old"] if self.rng.random() < 0.7 else None)
        planted = plant(self.out) if self.out.exists() else {}
        self.kill(self.main, self.words["new"], self.seconds, 60)
        said = self.run(self.main, self.words["new"])
        take_back(planted)
        for name, expected in self.expected.items():
            assert_same(contents_of_cell(self.out / name), expected)
        return f"{said.count('unchanged')} unchanged"


def contents_of_cell(folder: Path) -> dict[str, Any]:
    """As `contents`, which knows no training without event files, and without what somebody has planted."""
    return {name: value for name, value in contents(folder).items() if name not in OTHERS}


def drawing(words: list[str]) -> int:
    """`report` with two pictures of ten, which take as long to write and less to draw."""
    pictures.DRAWINGS = pictures.DRAWINGS[2:4]
    return report.main(words)


def arguing(plan: list[Any], older_code: bool = False) -> Main:
    """`argument` with a plan of its own; of older code, which gave other numbers."""

    def main(words: list[str]) -> int:
        pictures.DRAWINGS = pictures.DRAWINGS[2:4]
        argument.configs = lambda quick: plan
        argument.argument_page = lambda done, summary: "a page"
        argument.headline = lambda done: []
        if older_code:
            argument.digest = lambda *_: "0123456789abcdef"
            session.Training = lambda config, *seeds: Training(
                config.model_copy(update={"agent": config.agent.model_copy(update={"learning_rate": 0.5})}), *seeds
            )
        return argument.main(words)

    return main


def actions(campaign: Campaign) -> list[Callable[[], str]]:
    """What can be killed."""
    if isinstance(campaign, ArgumentCampaign):
        return [campaign.arguing]
    return [campaign.training, campaign.overwriting, campaign.training, campaign.overwriting, campaign.reporting]


def campaigns(root: Path, kinds: Sequence[str], rng: random.Random) -> Iterator[tuple[str, Campaign]]:
    """Each kind, in one process and in two."""
    for number, kind in enumerate(kinds):
        place = root / str(number)
        place.mkdir()
        made = ArgumentCampaign if kind == "argument" else Campaign
        yield kind, made(place, kind, rng, 1 + number % 2)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=[*KINDS, "argument"], choices=[*KINDS, "argument"])
    options = parser.parse_args(words)
    workers.BLOCK_SECONDS, session.MAX_SHARE = 0.0, math.inf
    rng, found, kills = random.Random(options.seed), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        share = math.ceil(options.kills / len(options.kinds))
        for kind, campaign in campaigns(Path(name), options.kinds, rng):
            while campaign.kills < share:
                for action in actions(campaign):
                    found[f"{action.__name__}: {action()}"] += 1
            kills[kind] = campaign.kills
            print(f"{kind}: {campaign.kills} kills", file=sys.stderr, flush=True)
    print(json.dumps({"kills": sum(kills.values()), "by kind": kills, "found": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
