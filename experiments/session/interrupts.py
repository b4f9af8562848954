"""Ctrl-C, a scheduler's SIGTERM, a closed terminal: an end after a checkpoint, or at once if asked again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
MESSAGE = b"\nstopping with a checkpoint; Ctrl-C again stops at once\n"


class Interrupts:
    """What the user, or the system, asked for while the program was busy.

    Attributes:
        received: number of the first signal; None: none came.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        self._terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def install(self) -> "Interrupts":
        """From now on signals raise KeyboardInterrupt, those that are not ignored (as under nohup). Only the main
        thread can say so; in another one whoever owns that decides."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _numbers():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def ignore(self) -> None:
        """Nothing interrupts the end."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _numbers():
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """In here the first signal is only noted, for the block to come to a good end; then it raises
        KeyboardInterrupt. So does a second Ctrl-C, at once."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.received is not None:
            raise KeyboardInterrupt

    def _handle(self, number: int, _: FrameType | None) -> None:
        first, self.received = self.received is None, self.received or number
        if number == getattr(signal, "SIGHUP", None):
            self._let_go_of_terminal()
        # The same SIGHUP may come twice, from the terminal and from its shell: only Ctrl-C is meant twice.
        if self._deferred and (first or number != signal.SIGINT):
            with suppress(OSError):
                os.write(2, MESSAGE)
            return
        raise KeyboardInterrupt

    def _let_go_of_terminal(self) -> None:
        """Writing to a terminal that is gone is an error; writing to nowhere is none."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminal:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
