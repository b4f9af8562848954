"""A training that loses a process of a cluster goes on from its last checkpoint by itself, a few times."""

import signal
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.config.schema import Config
from experiments.session.interrupts import Interrupts
from experiments.session.members import Share, State, WorkerLost
from experiments.session.workers import Elsewhere
from tests.experiments.small_training import assert_same, contents, train


class Mortal:
    """A member that is lost when it comes to certain updates, once for each time that they are listed."""

    def __init__(self, share: Share, update: int, deaths: list[int], dying: Callable[[], None]) -> None:
        self._share, self._update, self._deaths, self._dying = share, update, deaths, dying
        self._requests: deque[tuple[str, tuple[Any, ...]]] = deque()

    def request(self, what: str, *arguments: Any) -> None:
        self._requests.append((what, arguments))

    def answer(self) -> Any:
        what, arguments = self._requests.popleft()
        if what == "advance":
            if self._update in self._deaths:
                self._deaths.remove(self._update)
                self._dying()
                raise WorkerLost("it is gone")
            self._update += arguments[0]
        return self._share.perform(what, arguments)

    def close(self) -> None:
        self._share.close()


def mortal(deaths: list[int], dying: Callable[[], None] = lambda: None) -> Elsewhere:
    """Starts such members."""

    def start(config: Config, parts: Sequence[Sequence[int]], states: Sequence[State | None]) -> list[Mortal]:
        return [
            Mortal(Share(config, part, state), 0 if state is None else int(state["update_count"]), deaths, dying)
            for part, state in zip(parts, states, strict=True)
        ]

    return start


def attempts(told: Sequence[str]) -> list[str]:
    return [line[-6:] for line in told if line.startswith("it is gone; going on from the last checkpoint")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    train(out)
    return contents(out)


def test_it_goes_on_and_counts_attempts_since_the_last_checkpoint(
    tmp_path: Path, undisturbed: dict[str, str | bytes]
) -> None:
    out, deaths = tmp_path / "out", [0, 5, 9, 9, 20]
    _, told = train(out, often=True, workers=2, elsewhere=mortal(deaths))
    assert deaths == []
    assert attempts(told) == ["2 of 3", "2 of 3", "2 of 3", "3 of 3", "2 of 3"]
    assert_same(contents(out), undisturbed)


def test_what_is_always_lost_at_the_same_place_is_given_up_and_can_be_resumed(
    tmp_path: Path, undisturbed: dict[str, str | bytes]
) -> None:
    out, deaths = tmp_path / "out", [9, 9, 9, 9]
    with pytest.raises(WorkerLost, match="it is gone"):
        train(out, often=True, workers=2, elsewhere=mortal(deaths))
    assert len(deaths) == 1
    train(out, resume=True, often=True)
    assert_same(contents(out), undisturbed)


def test_whoever_asks_it_to_stop_meanwhile_is_heard(tmp_path: Path) -> None:
    interrupts, deaths = Interrupts(), [9, 9]

    def stop() -> None:
        interrupts.received = signal.SIGINT

    with pytest.raises(WorkerLost):
        train(tmp_path / "out", interrupts=interrupts, elsewhere=mortal(deaths, stop))
    assert len(deaths) == 1
