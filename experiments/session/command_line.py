"""The arguments of a command: options, folders, files and numbers, with a one-line message for each mistake."""

import argparse
import math
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from experiments.config.commands import as_typed
from experiments.config.mistakes import closest
from experiments.session.command import fail

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
MAX_COUNT = 1_000_000  # the largest number that an option takes


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, with the nearest valid option, and exit status 2."""

    def __init__(self, name: str, description: str | None, epilog: str | None = None) -> None:
        """Make the parser of a command.

        Args:
            name: name of the command: `train.py`, or a module.
            description: the text above the options.
            epilog: the text below them.
        """
        super().__init__(
            prog=as_typed(f"python {name}" if name.endswith(".py") else f"python -m {name}"),
            description=as_typed(description or ""),
            epilog=as_typed(epilog or ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._command = name

    def error(self, message: str) -> NoReturn:
        options = re.findall(r"--[a-z-]+", self.format_usage())
        wrong = [word for word in re.findall(r"--[\w-]+", message) if word not in options]
        close = closest(wrong[0], options) if wrong else None
        hint = f"did you mean {close}?" if close else "--help lists the options"
        sys.exit(fail(self._command, f"{message}; {hint}"))


def place(text: str) -> Path:
    """A folder or a file that the command line names; `~` is the home folder, even if the shell did not expand it.

    Raises:
        ArgumentTypeError: it is empty, not UTF-8 (tables could not be read back), in a home that does not exist,
            or the URL of a store.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("needs a name that is not empty")
    if URL.match(text):
        raise argparse.ArgumentTypeError(f"needs a place on this machine, not {text}")
    try:
        text.encode()
        return Path(text).expanduser()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"needs a name in UTF-8, not {os.fsencode(text)!r}") from None
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text}: there is no such home folder") from None


def folder(text: str) -> Path:
    """A folder that the command line names; see `place`."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "needs a folder, as in runs/mine, or . for the current one, not an empty name"
        )
    return place(text)


def run_folder(text: str) -> Path | str:
    """A folder that the command line names, or the URL of one in a store, as text."""
    return text if URL.match(text) else folder(text)


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _number(text, 1)


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > len(str(MAX_COUNT)) or not least <= int(text) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"needs a whole number from {least} to {MAX_COUNT:,}, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds, 0 or more."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"needs a number of seconds of at least 0, not {text!r}")
    return found


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
