"""Ctrl-C, a scheduler's SIGTERM, a closed terminal: end after a checkpoint, or at once when asked again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
MESSAGE = b"\nstopping with a checkpoint; Ctrl-C again stops at once\n"


class Interrupts:
    """Notes the signals with which the user or the system wants to end the program, and raises KeyboardInterrupt
    with their number.

    Attributes:
        received: number of the first signal; None: no signal yet.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferred = False
        self._heard = [number for number in _numbers() if signal.getsignal(number) is not signal.SIG_IGN]
        self._terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def install(self) -> "Interrupts":
        """Let signals raise KeyboardInterrupt from now on, except those that were ignored (as under nohup). Only
        the main thread can do that; in other threads nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in self._heard:
            signal.signal(number, self._handle)
        return self

    def ignore(self) -> None:
        """Ignore signals from now on, so that nothing interrupts the end."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _numbers():
            signal.signal(number, signal.SIG_IGN)

    def only_ctrl_c(self) -> None:
        """Let only Ctrl-C raise KeyboardInterrupt from now on: the program does already what others ask for."""
        self.ignore()
        if signal.SIGINT in self._heard and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._handle)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within this context the first signal is only noted, and raises KeyboardInterrupt at the end of the
        block. A second Ctrl-C raises it at once."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.received is not None:
            raise KeyboardInterrupt(self.received)

    def _handle(self, number: int, _: FrameType | None) -> None:
        first, self.received = self.received is None, self.received or number
        if number == getattr(signal, "SIGHUP", None):
            self._let_go_of_terminal()
        # One SIGHUP may arrive twice, from the terminal and from its shell: only a second Ctrl-C counts.
        if self._deferred and (first or number != signal.SIGINT):
            with suppress(OSError):
                os.write(2, MESSAGE)
            return
        raise KeyboardInterrupt(number)

    def _let_go_of_terminal(self) -> None:
        """Redirect output away from a closed terminal, where writing would be an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in self._terminal:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
