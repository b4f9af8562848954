"""Thousands of command lines, most of them mistaken: each is accepted or refused in one line; nothing is written.

Every command is tried, train.py most of all.

A case is a function of its number. FUZZ=<n> in the environment runs more of them, as many in one process.
"""

import functools
import io
import os
import random
import shutil
import signal
import string
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import train
from experiments import argument, benchmark, look, play, report, verify
from experiments.config.loading import load_config
from experiments.config.plain_text import is_obeyed
from experiments.config.schema import Agent, Config, ConfigError, Environment, Training
from experiments.pages import training_page
from experiments.storage.run_folder import config_text
from experiments.training.loop import Training as Trained
from tests.experiments.small_training import CONFIG

CASES = int(os.environ.get("FUZZ", "1000"))
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))

KEYS = [
    *Config.model_fields,
    *(f"environment.{name}" for name in Environment.model_fields),
    *(f"agent.{name}" for name in Agent.model_fields),
    *(f"training.{name}" for name in Training.model_fields),
    *(f"agent.entropy_coef.{name}" for name in ("schedule", "start", "end", "decay", "fraction", "target_bits")),
    *(f"arms.{arm}.{name}" for arm in ("with_entropy", "without_entropy", "new") for name in Agent.model_fields),
    "environment.kwargs.rewards",
    "environment.kwargs.map.0",
    "claims.0.expect",
    "arms.UPPER.optimizer",
]
SIMPLE = [
    "0", "1", "-1", "7", "0.5", "1e308", "-1e308", "5e-324", "inf", "-inf", "nan", "1_000", "0x7f", "0o17", "0b1",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "1" * 5000,
    "true", "false", '""', "''", '"adam"', '"sgd"', '"mlp"', '"tabular"', '"exact"', '"linear"', '"value"',
    '"FourAction/Bandit-v0"', '"FourAction/TwoRooms-v0"', '"CartPole-v1"', '"os:system"', '"../../etc/passwd"',
    '"/etc/passwd"', r'"\u0000"', r'"\ud800"', '"🎲"', '"[bold red]"', '"<script>"', '"' + "x" * 100_000 + '"',
    "1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", "[]", "{}", "[[]]", "[0, 0]", "[1, 2, 3]", "[0.25, 0.75]",
    "[0.9, 0.05, 0.025, 0.025]", "{ schedule = 'linear', start = 0.1, end = 0.0 }", "{ schedule = 'cosine' }",
    "{ schedule = 'target_entropy', target_bits = 1.0, rate = 0.01 }", "[" * 400 + "]" * 400,
    "[" * 5000 + "]" * 5000, "{ a = " * 1500 + "1" + " }" * 1500, "", " ", "=", "nope", "adam", "1\nseeds = 2",
    "\t1", "[1", "{ a = 1", "'", '"', "\\", "\x7f", "1 # comment", "'''\n'''", "0123", "+1", "1.", ".1", "1e",
]  # fmt: skip
OPTIONS = [
    [], [], [], [], ["--resume"], ["--overwrite"], ["--resume", "--overwrite"], ["--workers", "2"],
    ["--workers", "0"], ["--workers", "-1"], ["--workers", "many"], ["--workers", "9" * 5000], ["--workers"],
    ["--workers", "٣"], ["--log-steps", "0"], ["--log-steps", "1.5"], ["--log-steps=4"], ["--log-step", "4"],
    ["--checkpoint-seconds", "0"], ["--checkpoint-seconds", "nan"], ["--checkpoint-seconds", "-1"],
    ["--checkpoint-seconds", "inf"], ["--checkpoint-seconds", "soon"], ["--out"], ["--out", ""], ["--out", ".."],
    ["--out", "/dev/null"], ["--out", "x" * 5000], ["--out=runs/a=b"], ["--out", "\udcff"], ["--nope"], ["-x"],
    ["--seeds=5"], ["--"], ["--resume=yes"], ["-h" * 3],
]  # fmt: skip


def value(rng: random.Random, depth: int = 0) -> str:
    """Text that may be a TOML value."""
    kind = rng.random()
    if kind < 0.75 or depth > 3:
        return rng.choice(SIMPLE)
    inner = [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 0.9:
        return f"[{', '.join(inner)}]"
    return f"{{ {', '.join(f'{word(rng)} = {v}' for v in inner)} }}"


def word(rng: random.Random) -> str:
    """A key, whole or with a mistake in it."""
    key = rng.choice(KEYS)
    if rng.random() < 0.7:
        return key
    return mutated(rng, key, 1 + rng.randrange(2))


def mutated(rng: random.Random, text: str, times: int) -> str:
    """Some characters taken out, put in, doubled or exchanged."""
    for _ in range(times):
        at, width = rng.randrange(len(text) + 1), rng.choice([1, 1, 1, 2, 5, 50])
        piece = rng.choice(["", text[at : at + width] * 2, rng.choice(string.printable), rng.choice(SIMPLE)[:99]])
        text = text[:at] + piece + text[at + width :]
    return text


def lines(rng: random.Random, text: str) -> str:
    """Some lines of a file left out, doubled, moved, or with another value."""
    rows = text.splitlines()
    for _ in range(1 + rng.randrange(3)):
        at = rng.randrange(len(rows))
        row, kind = rows[at], rng.randrange(4)
        if kind == 0:
            del rows[at]
        elif kind == 1:
            rows.insert(rng.randrange(len(rows)), row)
        elif kind == 2 and "=" in row:
            rows[at] = f"{row.partition('=')[0]}= {value(rng)}"
        else:
            rows[at] = mutated(rng, row, 1)
        rows = rows or [""]
    return "\n".join(rows)


class Cases:
    """Command lines by number."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "case.toml"
        self._texts = [CONFIG, *(path.read_text() for path in CONFIGS)]
        self._places = [folder, folder / "none.toml", Path("/dev/null"), *CONFIGS]

    def words(self, number: int) -> list[str]:
        rng = random.Random(number)
        words = [*rng.choice(OPTIONS)]
        kind = rng.random()
        if kind < 0.45:
            text = rng.choice(self._texts)
            text = lines(rng, text) if rng.random() < 0.7 else mutated(rng, text, 1 + rng.randrange(4))
            data = text.encode(errors="surrogateescape")
            if rng.random() < 0.05:
                data = data[: rng.randrange(len(data))] + rng.randbytes(rng.randrange(30))
            self._file.write_bytes(data)
            words.append(str(self._file))
        elif kind < 0.7:
            words.append(str(rng.choice(self._places)))
        elif kind < 0.72:
            words.append(mutated(rng, "configs/bandit.toml", 1).replace("\0", ""))
        for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
            override = f"{word(rng)}={value(rng)}"
            words.insert(
                rng.randrange(len(words) + 1), override if rng.random() < 0.9 else mutated(rng, override, 1)
            )
        return words


@pytest.fixture
def handlers_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Accepted(BaseException):
    """A command line was understood, and what it asks for would begin here."""


Main = Callable[[Sequence[str]], int]


def said(words: Sequence[str], main: Main = train.main) -> tuple[int, str, str]:
    """Exit status (0 also where it was accepted), standard output and standard error of a command line."""
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        try:
            status = main(words)
        except Accepted:
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return status, out.getvalue(), error.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("handlers_kept")
def test_every_command_line_is_accepted_or_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[Config] = []

    def instead_of_training(config: Config, *_: Any) -> int:
        accepted.append(config)
        return 0

    monkeypatch.setattr(train, "train_into_folder", instead_of_training)
    monkeypatch.setattr(train, "parser", functools.cache(train.parser))  # half of the time of a case
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    cases, statuses = Cases(tmp_path), Counter[int]()
    for number in range(CASES):
        words = cases.words(number)
        place = f"case {number}: {str(words)[:2000]}"
        try:
            status, out, error = said(words)
        except BaseException as mistake:
            raise AssertionError(place) from mistake
        statuses[status] += 1
        if status == 2:
            assert error.startswith("train.py: "), place
            assert error.count("\n") == 1, f"{place}: {error}"
            assert len(error) < 3000, f"{place}: {error}"
            assert not [sign for sign in error if is_obeyed(sign)], f"{place}: {error}"
            assert out == "", place
        elif accepted:
            config = accepted.pop()
            text = config_text(config)
            assert config_text(load_config(tomllib.loads(text))) == text, place
            assert error == "", place
        else:
            assert status == 0, f"{place}: {error}"
            assert "usage:" in out, place  # --help
    assert statuses.keys() == {0, 2}, statuses
    assert min(statuses.values()) > CASES / 20, statuses
    assert list((tmp_path / "cwd").iterdir()) == []
    print(dict(statuses))


# What each command takes, right and wrong; "RUN" is a run folder.
FOLDERS = [
    "RUN",
    "RUN",
    "RUN",
    "none",
    "/dev/null",
    "/dev/null/x",
    "",
    " ",
    "x" * 5000,
    "~nobody/x",
    "a\x1b[31mb",
    "..",
    "é",
]
COUNTS = ["0", "1", "-1", "7", "1.5", "many", "", "9" * 5000, "٣", "0x7", "1_0", "nan", "\x1b[2J"]
COMMANDS: dict[str, tuple[Main, list[list[list[str]]]]] = {
    "experiments.report": (report.main, [[[f] for f in FOLDERS]]),
    "experiments.look": (look.main, [[[f] for f in FOLDERS]]),
    "experiments.play": (
        play.main,
        [
            [[f] for f in FOLDERS],
            [["--arm", arm] for arm in ("table", "with_entropy", "without", "wit", "", "\x1b[31m", "x" * 5000)],
            [["--arm"], ["--arm", "table", "with_entropy"], ["--arm", "table", "no"]],
            [["--seed", seed] for seed in COUNTS],
            [["--episode-seed", seed] for seed in COUNTS],
            [["--import", name] for name in ("math", "none", "", "..", ".x", "x y", "a.b", "1", "é", "\x1b[0m")],
            [["--greedy"], ["--window"], ["--window", "--gif", "x.gif"], ["--gif"], ["--gif", "RUN/x.gif"]],
        ],
    ),
    "experiments.verify": (verify.main, [[["--quick"], []]]),
    "experiments.argument": (
        argument.main,
        [[["--quick"], []], [["--workers", n] for n in COUNTS], [["--out", f] for f in FOLDERS[3:]]],
    ),
    "experiments.benchmark": (
        benchmark.main,
        [[["--quick"], []], [["--out", f] for f in ("/dev/null/x", "/dev/null", "")]],
    ),
}  # fmt: skip
STRAY = [
    ["--nope"],
    ["-x"],
    ["--"],
    ["--help"],
    ["extra"],
    ["--quick=yes"],
    ["--ar", "table"],
    ["=", "a=b"],
    ["--seed=1"],
    [""],
]


def command_line(number: int, run: Path) -> tuple[str, Main, list[str]]:
    """A command and its words by number."""
    rng = random.Random(number)
    name = rng.choice(sorted(COMMANDS))
    main, choices = COMMANDS[name]
    groups = [rng.choice(group) for group in choices if rng.random() < 0.6] + [rng.choice(STRAY)] * (
        rng.random() < 0.3
    )
    rng.shuffle(groups)
    words = [word.replace("RUN", str(run)) for group in groups for word in group]
    if words and rng.random() < 0.2:
        at = rng.randrange(len(words))
        words[at] = mutated(rng, words[at], 1).replace("\0", "")
    return name, main, words


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands stop where their work would begin."""

    def accept(*_: Any, **__: Any) -> None:
        raise Accepted

    monkeypatch.setattr(training_page, "write_report", accept_if_finished(training_page.write_report))
    monkeypatch.setattr(look, "run_program", accept)
    for module, work in (
        (play, "play"),
        (verify, "print_numbers"),
        (argument, "configs"),
        (benchmark, "in_turns"),
    ):
        monkeypatch.setattr(module, work, accept)


def accept_if_finished(write_report: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def instead(path: Path) -> Path:
        if (path / "summary.json").exists():
            raise Accepted
        return write_report(path)

    return instead


@pytest.mark.slow
@pytest.mark.usefixtures("idle")
def test_every_command_accepts_or_refuses_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).parents[1] / "data" / "format_1", run)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    statuses = Counter[tuple[str, int]]()
    for number in range(CASES):
        name, main, words = command_line(number, run)
        place, held = f"case {number}: {name} {str(words)[:2000]}", set(tmp_path.rglob("*"))
        try:
            status, _, error = said(words, main)
        except BaseException as mistake:
            raise AssertionError(place) from mistake
        statuses[name, status] += 1
        assert status in (0, 1, 2), place
        assert "Traceback" not in error, f"{place}: {error}"
        assert not [sign for sign in error if is_obeyed(sign)], f"{place}: {error}"
        if status:
            assert error.startswith(f"{name}: "), f"{place}: {error}"
            assert error.count("\n") == 1, f"{place}: {error}"
            assert len(error) < 3000, f"{place}: {error}"
            assert set(tmp_path.rglob("*")) == held, place
        else:
            assert error == "", f"{place}: {error}"
    assert {(name, status) for name in COMMANDS for status in (0, 2)} <= statuses.keys(), statuses
    print(dict(statuses))


@pytest.mark.slow
def test_every_environment_is_made_or_refused_in_one_line() -> None:
    """Small configs with strange worlds, as far as the first update."""
    ids = ["Bandit-v0", "TwoRooms-v0", "FourRooms-v0", "Trap-v0", "DeepSea-v0", "Grid-v0", "Nothing-v0", ""]
    ids = [f"FourAction/{name}" for name in ids] + [
        "CartPole-v1",
        "FrozenLake-v1",
        "Taxi-v4",
        "Pendulum-v1",
        "x",
        "",
    ]
    kwargs = [
        "rewards",
        "map",
        "size",
        "depth",
        "reward_std",
        "slip",
        "is_slippery",
        "map_name",
        "desc",
        "render_mode",
    ]
    values: list[Callable[[random.Random], Any]] = [
        lambda rng: rng.choice([0, 1, 3, -1, 0.5, 1e308, float("nan"), float("inf"), "", "4x4", True, [], {}]),
        lambda rng: [rng.choice([0.0, 1.0, -2.5, float("nan"), "S", "SFG"]) for _ in range(rng.randrange(5))],
        lambda rng: ["".join(rng.choices("SG.#F H", k=3)) for _ in range(3)],
    ]
    made = refused = 0
    for number in range(CASES // 10):
        rng = random.Random(number)
        names = rng.sample(kwargs, rng.choice([0, 1, 1, 2]))
        environment: dict[str, Any] = {
            "id": rng.choice(ids),
            "kwargs": {name: rng.choice(values)(rng) for name in names},
            "tables": rng.random() < 0.8,
        }
        if rng.random() < 0.8:
            environment["max_episode_steps"] = rng.choice([1, 5, 20])
        table = {
            "name": "strange",
            "description": "",
            "environment": environment,
            "training": {"seeds": 2, "updates": 1},
        }
        arms = {"one": {"policy": rng.choice(["mlp", "tabular"]), "gradient": rng.choice(["sampled", "exact"])}}
        refusal = ""
        try:
            Trained(load_config(table | {"arms": arms})).advance(1)
        except ConfigError as error:
            refusal = str(error)
        except Exception as mistake:
            raise AssertionError(f"case {number}: {environment} {arms}") from mistake
        assert "\n" not in refusal, f"case {number}: {environment} {arms}: {refusal}"
        refused += bool(refusal)
        made += not refusal
    assert min(made, refused) > CASES // 100
