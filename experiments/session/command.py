"""How every command begins and ends, in one place.

Started as a program, a command calls `begin` before it imports anything heavy, so that Ctrl-C is heard at once,
and `leave` in the end. `command`, around `main`, makes a line and an exit status of what goes wrong on the way.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn, Protocol

from experiments.config.commands import as_typed, title
from experiments.config.failures import explained


class Main(Protocol):
    """The main function of a command: words in (None: those of the command line), exit status out."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


def begin(name: str) -> None:
    """Prepare the process: standard streams that can be written to, and an end in one line on Ctrl-C."""
    _open_closed_streams()
    os.environ["MPLBACKEND"] = "agg"  # pictures become files; the backend of a notebook may not be installed here
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    atexit.register(_leave_at_once)  # the first that is registered is the last that runs
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a script's `&` has it ignored
        signal.signal(signal.SIGINT, _Stop(title(name)))


def _open_closed_streams() -> None:
    """A descriptor that the caller closed would become a file's or a socket's, and get our messages."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest one that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115  (for the whole process)


class _Stop:
    """What Ctrl-C does in a command: a KeyboardInterrupt, once `main` runs. In the middle of an import, which may
    swallow that or make another error of it, there is nothing to tidy up: the process ends then and there."""

    def __init__(self, name: str) -> None:
        self.name, self.process, self.in_main = name, os.getpid(), False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            os._exit(128 + number)  # a child; its parent says so
        if self.in_main and not _is_importing(frame):
            raise KeyboardInterrupt
        with suppress(OSError):
            os.write(2, f"{self.name}: stopped\n".encode())
        os._exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def command(name: str, stopped: str = "stopped") -> Callable[[Main], Main]:
    """Around a `main`: errors that users can do something about become one line and an exit status.

    Args:
        name: of the command, before its messages.
        stopped: what is said after Ctrl-C.
    """

    def decorator(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str] | None = None) -> int:
            handler = signal.getsignal(signal.SIGINT)
            if isinstance(handler, _Stop):
                handler.in_main = True
            try:
                return main(arguments)
            except KeyboardInterrupt:
                return fail(name, stopped, 128 + signal.SIGINT)
            except BrokenPipeError:  # whoever read the output has enough of it
                return 1
            except Exception as error:
                failure = explained(error)
                if failure is None:
                    raise
                return fail(name, str(failure), failure.status)

        return guarded

    return decorator


def fail(name: str, message: str, status: int = 2) -> int:
    """A line on standard error: a refusal in one line, whatever its words; returns the exit status."""
    from experiments.config.mistakes import one_line  # only now: it comes with more than `begin` should wait for
    from experiments.config.plain_text import printable

    message = as_typed(message)
    with suppress(OSError):
        text = printable(message) if status == 1 else one_line(message)
        print(f"{title(name)}: {text}", file=sys.stderr, flush=True)
    return status


_statuses: list[int] = []  # of the command, once it is known


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
    """When everybody else has tidied up. Python would take its modules down one by one: seconds, for torch."""
    if _statuses:
        os._exit(flushed(_statuses[0]))


def flushed(status: int) -> int:
    """Bring the output to whoever reads it; status 1, and no more words, if nobody does."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python tries it again, and complains
            status = status or 1
    return status
