"""Train a comparison: one config in, a trained, logged and judged set of runs out.

python train.py                                  the default experiment, configs/two_rooms.toml
python train.py bandit agent.baseline=running_mean training.seeds=50 --out runs/mine
python train.py bandit --resume                  go on after Ctrl-C, a crash or a kill, bit for bit
python train.py --list                           the experiments, one line each
"""

from experiments.session.command import begin, command, fail, leave

if __name__ == "__main__":
    begin("train.py")  # before anything else: Ctrl-C is heard from here on

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config.commands import CONFIGS, command_words
from experiments.config.failures import Failure
from experiments.config.help import key_table
from experiments.config.loading import load_config
from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import SWEEPS, load_sweep
from experiments.figures.showing import Showing
from experiments.session.command_line import Parser, available_cores, count, folder, seconds, whole
from experiments.session.interrupts import Interrupts

if TYPE_CHECKING:
    from experiments.session.console import Screen

DEFAULT = CONFIGS / "two_rooms.toml"


def parser() -> argparse.ArgumentParser:
    """The command line; `--help` lists every option and every config key."""
    others = f"other commands, as python -m experiments.NAME: {', '.join(command_words())}"
    keys = f"config keys (override with key=value, the value in TOML or a plain word):\n{key_table()}"
    top = Parser("train.py", __doc__, epilog=f"{others}\n\n{keys}")
    top.add_argument("config", nargs="?", help="TOML file, or the name of one in configs/ (default: two_rooms)")
    top.add_argument(
        "overrides",
        nargs="*",
        help="dotted.key=value; changes the base, or an arm: arms.with_entropy.entropy_coef=0.1",
    )
    top.add_argument("--out", type=folder, help="run folder (default: runs/<name>)")
    top.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the run folder")
    top.add_argument("--overwrite", action="store_true", help="replace the results in the run folder")
    top.add_argument("--list", action="store_true", help="list the experiments and stop")
    top.add_argument(
        "--workers",
        type=count,
        default=None,
        metavar="N",
        help="threads, or processes for simulators and exact gradients (default: one per core); changes no number",
    )
    top.add_argument(
        "--log-steps",
        type=whole,
        default=1,
        metavar="K",
        help="log the entropy of each K-th step, 0 for none (default: 1, every step)",
    )
    top.add_argument(
        "--checkpoint-seconds",
        type=seconds,
        default=30.0,
        metavar="S",
        help="time between checkpoints (default: 30); longer where they would take over 5 %% of it",
    )
    return top


@command("train.py")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_intermixed_args(words)
    if options.list:
        return list_experiments()
    return train_into_folder(config_of(options), options, words)


def config_of(options: argparse.Namespace) -> Config:
    """The config that the command line names; it settles the run folder, too.

    Raises:
        ConfigError: there is no such config, it is not valid, or options contradict each other.
    """
    words = [*([] if options.config is None else [options.config]), *options.overrides]
    if any(not word.strip() for word in words):  # as from a shell's variable that is not set
        raise ConfigError(
            f"an empty word: valid are a config, as in {DEFAULT.parent.name}/{DEFAULT.name}, and key=value"
        )
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise ConfigError(f"one config at a time: {', '.join(files)} (an override is written key=value)")
    if options.resume and options.overwrite:
        raise ConfigError("--resume goes on and --overwrite begins anew: give one of them")
    path = os.path.expanduser(files[0]) if files else DEFAULT
    config = load_config(path, [word for word in words if "=" in word])
    options.out = options.out or Path("runs") / config.name
    return config


def list_experiments() -> int:
    """Print name and description of every config and every sweep.

    Raises:
        Failure: there is none.
    """
    paths = sorted(CONFIGS.glob("*.toml"))
    if not paths:
        raise Failure(
            f"{CONFIGS}: holds no experiments, and all of ours should be there: install this program again"
        )
    for path in paths:
        config = load_config(path)
        print(f"{path.parent.name}/{path.name:<24} {config.description}")
    for path in sorted(SWEEPS.glob("*.toml")):
        print(f"configs/sweeps/{path.name:<24} {load_sweep(path).description}")
    return 0


def train_into_folder(config: Config, options: argparse.Namespace, words: Sequence[str]) -> int:
    """Train, print the verdicts and how to look at the rest; returns the exit status."""
    from experiments.session import run as session
    from experiments.session.console import Screen, progress
    from experiments.session.members import WorkerFailed

    screen, showing, interrupts = Screen(), Showing(), Interrupts().install()
    how = session.Options(
        options.out,
        resume=options.resume,
        overwrite=options.overwrite,
        workers=options.workers or available_cores(),
        log_steps=options.log_steps,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    try:
        with progress(screen, config.training.updates) as bar:
            summary = session.run(config, how, bar, screen.say, interrupts, showing, bar.compiling)
        show(summary, options.out, screen, showing)
    except KeyboardInterrupt:
        interrupts.ignore()
        message = f"stopped{next_step(options.out, config, words)}"
        return fail("train.py", message, 128 + (interrupts.received or 2))
    except WorkerFailed as error:
        raise Failure(f"{error}; what was trained is kept, and --resume tries again", status=1) from error
    except OSError as error:
        what = f"{error.filename or options.out}: {error.strerror or error}"
        advice = "go on with --resume" if can_resume(options.out, config) else "the same command tries again"
        raise Failure(f"{what}; after that is mended, {advice}", status=1) from error
    showing.check()
    return int(screen.is_lost)


def show(summary: Mapping[str, Any], out: Path, screen: "Screen", showing: Showing) -> None:
    """The verdicts first, then what takes long to draw. The results are complete: whatever fails costs itself."""
    from experiments.session import console
    from experiments.tensorboard.links import look_lines

    def report() -> None:
        from experiments.pages.training_page import (
            write_report,  # matplotlib can wait until there is something to draw
        )

        screen.say(f"report: {write_report(out)}")

    showing.attempt("table of results", lambda: screen.results(summary))
    for claim in summary["claims"]:
        showing.attempt("a verdict", partial(screen.verdict, claim))
    showing.attempt("failed runs", lambda: screen.say(*console.failed_lines(summary)))
    showing.attempt("speed", lambda: screen.say(console.speed_line(summary)))
    screen.say(f"results: {out}")
    showing.attempt("report", report)
    showing.attempt("how to look at it", lambda: screen.say(*look_lines(out / "tensorboard")))


def can_resume(out: Path, config: Config) -> bool:
    """Whether the training in the folder is of this config: `--overwrite` may have ended before it began."""
    with suppress(ConfigError, OSError):
        stored = load_config(out / "config.toml")
        if stored.model_copy(update={"environment": config.environment}) != config:
            return False
        if stored.environment == config.environment:
            return True
        from experiments.training.worlds import make_world  # what a file says is stored in place of its name

        return make_world(config.environment).environment == stored.environment
    return False


def next_step(out: Path, config: Config, words: Sequence[str]) -> str:
    """What to do after an interruption: go on where this command line stopped, or draw what is missing."""
    if not can_resume(out, config):
        return ""
    if (out / "summary.json").exists():
        return f"; the results are complete: python -m experiments.report {shlex.quote(str(out))} draws them"
    kept = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"; go on with: python train.py {shlex.join([*kept, '--resume'])}"


if __name__ == "__main__":
    leave(main)
