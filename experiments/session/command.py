"""How every command begins and ends.

Run as a program, a command first calls `begin`, before it imports anything heavy, so that it handles Ctrl-C from
the start, and ends with `leave`. The decorator `command` of its `main` turns errors into one line and an exit
status.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from io import TextIOWrapper
from itertools import cycle
from types import FrameType
from typing import NoReturn, Protocol

from experiments.config.commands import as_typed, title
from experiments.config.failures import explained
from experiments.config.shadows import Shadowed, check_names

CLEAR_LINE, SHOW_CURSOR = "\r\x1b[2K", "\x1b[?25h"


class Main(Protocol):
    """The main function of a command: takes arguments (None: those of the command line), returns the exit
    status."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


def begin(name: str, *modules: str) -> None:
    """Prepare the process: standard streams that can be written to, and an end in one line on Ctrl-C. Where a
    module of the user's hides one of ours, it ends here.

    Args:
        name: of the command.
        modules: of ours that it needs beside `agents` and `envs`.
    """
    _open_closed_streams()
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files; a notebook's backend may not be installed here
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    atexit.register(_leave_at_once)  # the first that is registered is the last that runs
    try:
        check_names("agents", "envs", *modules)
    except Shadowed as error:
        sys.exit(fail(name, str(error), error.status))
    # In the background of a script Ctrl-C is ignored, and stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _Stop(title(name)))
    _loading.begin()


def _open_closed_streams() -> None:
    """Open standard streams that the caller closed: else the next file or socket would take their number, and our
    messages."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115  (for the whole process)


class _Loading:
    """A line that moves while modules are imported, which takes seconds the first time after a start of the
    machine; nothing where no terminal shows it."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)

    def begin(self) -> None:
        if os.isatty(2):
            self._thread.start()

    def end(self) -> None:
        """Before anything else is printed, and before processes are forked."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _move(self) -> None:
        if self._over.wait(0.3):  # most commands have begun by then
            return
        with suppress(OSError):
            for hand in cycle("|/-\\"):
                os.write(2, f"\r{hand} loading".encode())
                if self._over.wait(0.1):
                    break
            os.write(2, CLEAR_LINE.encode())


_loading = _Loading()


class _Stop:
    """Handles Ctrl-C: once `main` runs, by a KeyboardInterrupt. An import might swallow that or turn it into
    another error, but leaves nothing to tidy up, so there the process ends at once."""

    def __init__(self, name: str) -> None:
        self.name, self.process, self.in_main = name, os.getpid(), False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            os._exit(128 + number)  # in a child: the parent prints the message
        if self.in_main and not _is_importing(frame):
            raise KeyboardInterrupt
        with suppress(OSError):
            # A line that moves meanwhile has hidden the cursor.
            os.write(2, f"{(CLEAR_LINE + SHOW_CURSOR) * os.isatty(2)}{self.name}: stopped\n".encode())
        os._exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def command(name: str, stopped: str = "stopped") -> Callable[[Main], Main]:
    """Decorate a `main`: errors that users can do something about become one line and an exit status.

    Args:
        name: name of the command, with which its messages begin.
        stopped: the message after Ctrl-C.
    """

    def decorator(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str] | None = None) -> int:
            _loading.end()
            handler = signal.getsignal(signal.SIGINT)
            if isinstance(handler, _Stop):
                handler.in_main = True
            try:
                return main(arguments)
            except KeyboardInterrupt as stop:
                return fail(name, stopped, 128 + (*stop.args, signal.SIGINT)[0])  # `Interrupts` says which signal
            except BrokenPipeError:  # the reader of the output has closed it
                return 1
            except Exception as error:
                failure = explained(error)
                if failure is None:
                    raise
                return fail(name, str(failure), failure.status)

        return guarded

    return decorator


def fail(name: str, message: str, status: int = 2) -> int:
    """Print a message on standard error, a refusal (status 2) always in one line; returns the exit status."""
    from experiments.config.mistakes import one_line  # imported late: `begin` should not wait for it
    from experiments.config.plain_text import printable

    message = as_typed(message)
    with suppress(OSError):
        text = printable(message) if status == 1 else one_line(message)
        print(f"{title(name)}: {text}", file=sys.stderr, flush=True)
    return status


_statuses: list[int] = []  # the exit status, once it is known


def leave(main: Main) -> NoReturn:
    """Run `main` and end the process with its status."""
    try:
        status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _statuses.append(flushed(status))
    sys.exit(_statuses[0])


def _leave_at_once() -> None:
    """End once everything else has been tidied up: Python would take seconds to remove the modules of torch."""
    if _statuses:
        os._exit(flushed(_statuses[0]))


def flushed(status: int) -> int:
    """Flush the output; returns the status, or 1 if nobody reads the output any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python flushes again, and complains
            status = status or 1
    return status
