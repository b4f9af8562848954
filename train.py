"""Train a comparison: from one config to trained, logged and judged runs.

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

from experiments.config.commands import CONFIGS, SCRIPT, as_typed, command_words
from experiments.config.failures import Failure
from experiments.config.help import key_table
from experiments.config.loading import check_take_effect, load_config, ours
from experiments.config.mistakes import closest
from experiments.config.plain_text import printable
from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import SWEEPS, load_sweep
from experiments.config.version import __version__
from experiments.figures.showing import Showing
from experiments.session.command_line import Parser, count, run_folder, seconds, whole
from experiments.session.engines import add_engine, check_engine, opened
from experiments.session.interrupts import Interrupts
from experiments.tensorboard.links import PORT

if TYPE_CHECKING:
    from experiments.session.console import Screen
    from experiments.training.records import Records

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
    top.add_argument(
        "--out",
        type=run_folder,
        help="run folder, or the URL of one, as in s3://bucket/run (default: runs/<name>)",
    )
    top.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the run folder")
    top.add_argument("--overwrite", action="store_true", help="replace the results in the run folder")
    top.add_argument("--list", action="store_true", help="list the experiments and stop")
    top.add_argument(
        "--version", action="version", version=f"{SCRIPT} {__version__}", help="print the version and stop"
    )
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
        help="time between checkpoints (default: 30); longer if they would take over 5 %% of the time",
    )
    add_engine(top)
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
    """The config that the command line names; also sets the run folder.

    Raises:
        ConfigError: there is no such config, it is not valid, or options contradict each other.
    """
    words = [*([] if options.config is None else [options.config]), *options.overrides]
    if any(not word.strip() for word in words):  # as from an unset shell variable
        raise ConfigError(
            f"an argument is empty: valid are a config, as in {DEFAULT.parent.name}/{DEFAULT.name}, and key=value"
        )
    files = [word for word in words if "=" not in word]
    check_word(words, files)
    if len(files) > 1:
        raise ConfigError(f"one config at a time: {', '.join(files)} (an override is written key=value)")
    if options.resume and options.overwrite:
        raise ConfigError("--resume continues and --overwrite starts again: give only one of them")
    check_engine(options)
    overrides = [word for word in words if "=" in word]
    try:
        config = load_config(files[0] if files else DEFAULT, overrides)
        check_take_effect(config, overrides)
    except ConfigError as error:
        raise ConfigError(f"{error}{_stored_beside(options)}") from None
    options.out = options.out or Path("runs") / config.name
    return config


def _stored_beside(options: argparse.Namespace) -> str:
    """How to resume a training whose config, or a file that it names, has changed since."""
    stored = Path(options.out or "") / "config.toml"
    return f"; {stored} is what the training began with" if options.resume and stored.is_file() else ""


def check_word(words: Sequence[str], files: Sequence[str]) -> None:
    """Refuse a first word that was meant as a command: a mistyped one, or a guess.

    Args:
        words: those of the command line, without options.
        files: those of them that are not overrides.
    Raises:
        ConfigError: says what would be valid.
    """
    own, word = ours(), next(iter(files), "")
    if not word.replace("-", "_").isidentifier() or os.path.isfile(word) or word in own:
        return
    meant = {option: f"python train.py --{option}" for option in ("help", "list", "version")}
    meant |= {name: f"python -m experiments.{name}" for name in command_words()}
    close = closest(word, [*own, *meant, "train"])
    if close == "train":
        typed = shlex.join(["python", "train.py", *(other for other in words if other is not word)])
        raise ConfigError(f"{word}: training needs no word of its own, as in {typed}")
    if close in meant:
        raise ConfigError(f"{word}: there is no such config; did you mean {meant[close]!r}?")
    if len(files) > 1:
        raise ConfigError(
            f"{word}: there is no such command or config; --help lists the commands, and --list the configs"
        )


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
    if sys.stdout.isatty():  # before what takes seconds to import
        print(f"{plan_line(config)}, into {printable(str(options.out))}", flush=True)
    from experiments.session.console import Screen

    screen = Screen()
    with screen.waiting("loading"):  # seconds, the first time after a start of the machine
        from experiments.session import run as session
        from experiments.session.remote import working_folder
        from experiments.storage.run_folder import RunFolder

    def check(seen: Path) -> None:
        how = session.Options(seen, resume=options.resume, overwrite=options.overwrite)
        session.check_folder(RunFolder(seen), config, how)

    with working_folder(options.out, "train.py", screen, check) as out:
        return _train(config, out, options, words, screen)


def _train(config: Config, out: Path, options: argparse.Namespace, words: Sequence[str], screen: "Screen") -> int:
    from experiments.session import run as session
    from experiments.session.console import progress
    from experiments.session.members import WorkerFailed

    showing, interrupts = Showing(), Interrupts().install()

    def notify(line: str) -> None:
        screen.say(line.replace(str(out), str(options.out)))  # of a store the user knows the URL

    try:
        with opened(options, screen.say) as engine, progress(screen, config) as bar:
            how = session.Options(
                out,
                resume=options.resume,
                overwrite=options.overwrite,
                workers=engine.cores,
                elsewhere=engine.share,
                log_steps=options.log_steps,
                checkpoint_seconds=options.checkpoint_seconds,
            )
            hint = iter([f"watch it: {look_command(options.out)}"])

            def on_block(records: "Records") -> None:
                screen.say(*hint)  # with the first block: now there is something to see
                bar(records)

            summary = session.run(config, how, on_block, notify, interrupts, showing, bar)
        show(summary, out, options.out, screen, showing)
    except KeyboardInterrupt:
        interrupts.ignore()
        message = f"stopped{next_step(out, options.out, config, words)}"
        return fail("train.py", message, 128 + (interrupts.received or 2))
    except WorkerFailed as error:
        raise Failure(f"{error}; what was trained is kept, and --resume tries again", status=1) from error
    except OSError as error:
        what = f"{error.filename or out}: {error.strerror or error}"
        advice = "go on with --resume" if can_resume(out, config) else "the same command tries again"
        raise Failure(f"{what}; after that is mended, {advice}", status=1) from error
    showing.check()
    return int(screen.is_lost)


def show(summary: Mapping[str, Any], out: Path, place: Path | str, screen: "Screen", showing: Showing) -> None:
    """Show the verdicts, and then what takes long to draw. One thing that fails does not stop the others.

    Args:
        summary: of the training.
        out: the run folder.
        place: how the command line names it.
        screen: where to show it.
        showing: collects what could not be shown.
    """
    from experiments.session import console

    for claim in summary["claims"]:
        showing.attempt("a verdict", partial(screen.verdict, claim))
    showing.attempt("table of results", lambda: screen.results(summary))
    showing.attempt("failed runs", lambda: screen.say(*console.failed_lines(summary)))
    showing.attempt("speed", lambda: screen.say(console.speed_line(summary)))
    screen.say(f"results: {place}")
    with screen.waiting("drawing the report"):
        report = showing.attempt("report", partial(_report, out))
    if report is not None:
        screen.link("report", report.resolve().as_uri())
    screen.say(f"TensorBoard: {look_command(place)}")


def plan_line(config: Config) -> str:
    """What is about to be trained."""
    arms, seeds = len(config.arms), len(config.training.seed_list)
    return f"{config.name}: {arms} arms x {seeds} seeds, {config.most_updates} updates"


def _report(out: Path) -> Path:
    from experiments.pages.training_page import (
        write_report,
    )  # matplotlib can wait until there is something to draw

    return write_report(out)


def look_command(out: Path | str) -> str:
    """What opens TensorBoard on a run folder, during training and after it, and where it will be."""
    return as_typed(f"python -m experiments.look {shlex.quote(str(out))} --open   (http://localhost:{PORT})")


def can_resume(out: Path, config: Config) -> bool:
    """Whether the folder holds a training of this config: `--overwrite` may have been stopped before it began
    one."""
    with suppress(ConfigError, OSError):
        return load_config(out / "config.toml") == config
    return False


def next_step(out: Path, place: Path | str, config: Config, words: Sequence[str]) -> str:
    """What to do after an interruption: continue this command, or draw what is missing; for `place` see `show`."""
    if not can_resume(out, config):
        return ""
    if (out / "summary.json").exists():
        return f"; the results are complete: python -m experiments.report {shlex.quote(str(place))} draws them"
    kept = [word for word in words if word not in ("--overwrite", "--resume")]
    return f"; go on with: python train.py {shlex.join([*kept, '--resume'])}"


if __name__ == "__main__":
    leave(main)
