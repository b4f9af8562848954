"""Train a comparison: one config in, a trained, logged and judged set of runs out.

python train.py                                  the default experiment, configs/two_rooms.toml
python train.py bandit agent.baseline=running_mean training.seeds=50 --out runs/mine
python train.py bandit --resume                  go on after Ctrl-C, a crash or a kill, bit for bit
python train.py --list                           the experiments, one line each
"""

import argparse
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from experiments.config import Config, ConfigError, key_table, load_config, one_line
from experiments.interrupts import Interrupts
from experiments.plain_text import printable

CONFIGS = Path(__file__).resolve().parent / "configs"
DEFAULT = CONFIGS / "two_rooms.toml"
MOST = 1_000_000  # of anything that is counted on the command line


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong as every other mistake is said: in one line, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        options = re.findall(r"--[a-z-]+", self.format_usage())
        wrong = [word for word in re.findall(r"--[\w-]+", message) if word not in options]
        close = get_close_matches(wrong[0], options, n=1) if wrong else []
        sys.exit(fail(message + (f"; did you mean {close[0]}?" if close else "; --help lists the options")))


def parser() -> argparse.ArgumentParser:
    """The command line; `--help` lists every option and every config key."""
    top = OneLineParser(
        prog="train.py",
        description=__doc__,
        epilog=f"config keys (override with key=value, the value in TOML or a plain word):\n{key_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("config", nargs="?", help="TOML file, or the name of one in configs/ (default: two_rooms)")
    top.add_argument(
        "overrides",
        nargs="*",
        help="dotted.key=value; changes the base, or an arm: arms.with_entropy.entropy_coef=0.1",
    )
    top.add_argument("--out", type=_folder, help="run folder (default: runs/<name>)")
    top.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the run folder")
    top.add_argument("--overwrite", action="store_true", help="replace the results in the run folder")
    top.add_argument("--list", action="store_true", help="list the experiments and stop")
    top.add_argument(
        "--workers",
        type=_count,
        default=None,
        metavar="N",
        help="processes (default: one a core); changes no number",
    )
    top.add_argument(
        "--log-steps",
        type=_whole,
        default=1,
        metavar="K",
        help="log the entropy of each K-th step, 0 for none (default: 1, every step)",
    )
    top.add_argument(
        "--checkpoint-seconds",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="time between checkpoints (default: 30); longer where they would take over 5 %% of it",
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_intermixed_args(words)
    interrupts = Interrupts().install()
    config = None
    try:
        if options.list:
            return list_experiments()
        config = config_of(options)
        return train_into_folder(config, options, interrupts)
    except ConfigError as error:
        return fail(str(error))
    except MemoryError:
        return fail("not enough memory: fewer seeds, episodes_per_update or steps need less", status=1)
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        interrupts.ignore()
        how = f"; go on with: {command(words)}" if config and can_resume(options.out, config) else ""
        return fail(f"stopped{how}", status=128 + (interrupts.received or 2))


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
    config = load_config(files[0] if files else DEFAULT, [word for word in words if "=" in word])
    options.out = options.out or Path("runs") / config.name
    return config


def list_experiments() -> int:
    """Print name and description of every config."""
    for path in sorted(CONFIGS.glob("*.toml")):
        config = load_config(path)
        print(f"{path.parent.name}/{path.name:<24} {config.description}")
    return 0


def train_into_folder(config: Config, options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Train, print the table and how to look at it."""
    from rich.console import Console

    from experiments import session
    from experiments.console import failed_lines, progress, results, verdict_lines
    from experiments.look import links, tensorboard_command
    from experiments.store import StoreError
    from experiments.workers import WorkerFailed

    console = Console(highlight=False)
    out = options.out
    how = session.Options(
        out,
        resume=options.resume,
        overwrite=options.overwrite,
        workers=options.workers or available_cores(),
        log_steps=options.log_steps,
        checkpoint_seconds=options.checkpoint_seconds,
    )

    def say(line: str) -> None:
        console.print(printable(line), soft_wrap=True, markup=False)

    try:
        with progress(console, config.training.updates) as bar:
            summary = session.run(config, how, bar, say, interrupts)
        from experiments.report import write_report  # matplotlib can wait until there is something to draw

        report = write_report(out)
    except StoreError as error:
        return fail(str(error))
    except WorkerFailed as error:
        return fail(f"{error}; what was trained is kept, and --resume tries again", status=1)
    except BrokenPipeError:
        raise
    except OSError as error:
        what = f"{error.filename or out}: {error.strerror or error}"
        advice = "go on with --resume" if can_resume(out, config) else "the same command tries again"
        return fail(f"{what}; after that is mended, {advice}", status=1)
    console.print(results(summary))
    for line in verdict_lines(summary):
        console.print(line)
    for line in failed_lines(summary):
        say(line)
    rate = summary["env_steps_per_second"] / 1e6
    say(f"{summary['env_steps']:,} environment steps in {summary['wall_seconds']:.1f} s ({rate:.2f} M a second)")
    say(f"results: {out}\nreport: {report}\nlook at every step with:")
    say(f"  {tensorboard_command(out / 'tensorboard')}")
    say(links())
    return 0


def can_resume(out: Path, config: Config) -> bool:
    """Whether the training in the folder is of this config: `--overwrite` may have ended before it began."""
    with suppress(ConfigError, OSError):
        stored = load_config(out / "config.toml")
        if stored.model_copy(update={"environment": config.environment}) != config:
            return False
        if stored.environment == config.environment:
            return True
        from experiments.worlds import make_world  # what a file says is stored in place of its name

        return make_world(config.environment).environment == stored.environment
    return False


def command(words: Sequence[str]) -> str:
    """The command line that goes on where this one stopped."""
    kept = [word for word in words if word not in ("--overwrite", "--resume")]
    return shlex.join(["python", "train.py", *kept, "--resume"])


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fail(message: str, status: int = 2) -> int:
    """One line on standard error."""
    print(f"train.py: {printable(message) if status == 1 else one_line(message)}", file=sys.stderr)
    return status


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("needs a folder, as in runs/mine, not an empty name; . is this one")
    return Path(text)


def _count(text: str) -> int:
    return _number(text, 1)


def _whole(text: str) -> int:
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > len(str(MOST)) or not least <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"needs a whole number from {least} to {MOST:,}, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"needs a number of seconds of at least 0, not {text!r}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
