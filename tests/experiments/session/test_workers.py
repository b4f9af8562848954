"""Runs shared out between threads or processes: the same numbers, and one clear message when one fails."""

import gc
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

from experiments.config.loading import load_config
from experiments.config.schema import Config
from experiments.session import members, processes
from experiments.session import run as session
from experiments.session import workers as workers_module
from experiments.session.interrupts import Interrupts
from experiments.session.members import WorkerFailed
from experiments.session.workers import Workers, check_states, shares
from experiments.storage import table_sink
from experiments.storage.table_sink import TableSink
from experiments.training.loop import Training
from experiments.training.records import Each, Records, joined
from tests.experiments.processes import ended, forked, in_a_child, wait_for
from tests.experiments.small_training import small_config, stepped_config, train


def never(_: int) -> bool:
    return False


@given(st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True), st.integers(1, 30))
def test_shares_are_the_seeds_in_order_and_nearly_equal(seeds: list[int], workers: int) -> None:
    table_sink = shares(seeds, workers)
    assert [seed for part in table_sink for seed in part] == seeds
    assert len(table_sink) == min(workers, len(seeds))
    assert max(map(len, table_sink)) - min(map(len, table_sink)) <= 1


SMALL = {"threads": small_config, "processes": stepped_config}
BY_BOTH = pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)


@BY_BOTH
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_however_many_share_the_work_it_gives_what_one_gives(small: Callable[..., Config], number: int) -> None:
    config = small("training.updates=12", "training.seeds=3")
    training = Training(config)
    alone = training.advance()
    with Workers(Training(config), number) as workers:
        shared = joined([block.records for block in workers.blocks(never)])
        final, parameters = workers.final(), workers.parameters()
    assert len(shared.active) == 12
    assert_same_records(alone, shared)
    for name, column in training.final().items():
        np.testing.assert_array_equal(final[name], column, err_msg=name)
    for name, layer in training.parameters().items():
        np.testing.assert_array_equal(parameters[name], layer)


def test_compiled_runs_are_shared_by_threads_that_end_with_their_workers() -> None:
    before = threading.active_count()
    with Workers(Training(small_config()), 2) as workers:
        for _ in workers.blocks(never):
            assert multiprocessing.active_children() == []
            assert threading.active_count() > before
    assert threading.active_count() == before


def test_threads_share_the_runs_and_give_them_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    together, done = threading.Barrier(2), list[int]()

    def doubled(run: int) -> int:
        if run < 2:
            together.wait(timeout=60)  # ends only if two runs are under way at once
        done.append(run)
        return 2 * run

    def advance(training: Training, updates: int, each: Each) -> Any:
        if not done:  # a second block is asked for in advance, and given up when the first has ended
            assert list(each(doubled, range(50))) == list(range(0, 100, 2))
        raise ZeroDivisionError("done")

    monkeypatch.setattr(Training, "advance", advance)
    with Workers(Training(small_config()), 2) as workers, pytest.raises(ZeroDivisionError, match="done"):
        list(workers.blocks(never))
    assert sorted(done) == list(range(50))


def test_what_one_run_raises_is_raised_where_the_blocks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(training: Training, updates: int, each: Each) -> Any:
        return list(each(lambda run: 1 // (run - 3), range(10)))

    monkeypatch.setattr(Training, "advance", advance)
    with Workers(Training(small_config()), 2) as workers, pytest.raises(ZeroDivisionError):
        list(workers.blocks(never))


def test_what_a_thread_raises_is_raised_where_the_blocks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(training: Training, updates: int, each: object) -> Records:
        raise ZeroDivisionError("in a thread far away")

    monkeypatch.setattr(Training, "advance", failing)
    before = threading.active_count()
    with Workers(Training(small_config()), 2) as workers, pytest.raises(ZeroDivisionError, match="far away"):
        list(workers.blocks(never))
    assert threading.active_count() == before


def test_processes_are_forked_before_there_are_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked process has the locks of its parent's threads, and nobody who lets go of them."""
    seen = []
    start = members.start

    def counted(*arguments: Any) -> Any:
        seen.append(threading.active_count())
        return start(*arguments)

    monkeypatch.setattr(members, "start", counted)
    train(tmp_path, stepped_config(), workers=2)
    assert seen == [threading.active_count()] * 2


def test_a_second_ctrl_c_does_not_wait_for_threads(tmp_path: Path) -> None:
    """A block of theirs that would take minutes is given up between two runs."""

    def interrupted() -> int:
        began, answered, main = threading.Event(), members.Threads.answer, threading.get_ident()

        def slow(training: Training, updates: int, each: Each) -> Records:
            each(lambda run: time.sleep(0.2), range(10_000))
            raise AssertionError("it went on to the end")

        def answer(member: members.Threads) -> Any:
            began.set()  # all blocks are asked for: an interrupt amid that could leave a thread behind
            return answered(member)

        def twice() -> None:
            began.wait()
            wait_for(lambda: sys._current_frames()[main].f_code.co_name == "wait", "the wait for a block")
            time.sleep(0.2)  # an interrupt at the beginning of the wait could leave the block's lock taken
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: "stopping" in (tmp_path / "error.txt").read_text())
            os.kill(os.getpid(), signal.SIGINT)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(session, "compile_ahead", lambda *_: math.inf)
            patched.setattr(Training, "advance", slow)
            patched.setattr(members.Threads, "answer", answer)
            threading.Thread(target=twice).start()
            with pytest.raises(KeyboardInterrupt):
                train(tmp_path / "run", workers=2, interrupts=Interrupts().install())
        return 0

    assert in_a_child(interrupted, tmp_path).status == 0


def assert_same_records(one: Records, two: Records) -> None:
    assert one.first == two.first
    assert one.columns.keys() == two.columns.keys()
    for name, column in one.columns.items():
        np.testing.assert_array_equal(two.columns[name], column, err_msg=name)
    np.testing.assert_array_equal(two.active, one.active)
    assert one.steps is not None
    assert two.steps is not None
    for a, b in zip(one.steps, two.steps, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.snapshots.keys() == two.snapshots.keys()
    for update, snapshot in one.snapshots.items():
        for a, b in zip(snapshot, two.snapshots[update], strict=True):
            np.testing.assert_array_equal(a, b)


@BY_BOTH
def test_states_come_with_the_blocks_that_were_asked_for(small: Callable[..., Config]) -> None:
    training = Training(small())
    with Workers(training, 2) as workers:
        ends = []
        for block in workers.blocks(lambda update: update >= 10):
            ends.append(block.records.end)
            assert (block.states is not None) == (ends[-1] >= 10)
            if block.states is not None:
                assert [int(state["update_count"]) for state in block.states] == [ends[-1]] * len(block.states)
                check_states(training, block.states, ends[-1])
    assert ends[-1] == 24


def test_neither_order_nor_company_changes_a_run() -> None:
    """Arms and seeds turned round, an arm and a seed more: every run that was there before is the same."""

    def columns_by_run(config: Config) -> dict[tuple[str, int], dict[str, bytes]]:
        training = Training(config)
        columns = {f"of updates: {name}": c.swapaxes(0, 1) for name, c in training.advance().columns.items()}
        return {
            run: {name: column[place].tobytes() for name, column in (columns | training.final()).items()}
            for place, run in enumerate(zip(*training.runs, strict=True))
        }

    config = small_config("training.updates=5")
    table = config.model_dump(exclude_unset=True)
    arms = {"first": {"learning_rate": 0.5}, **dict(reversed(table["arms"].items()))}
    turned = load_config({**table, "arms": arms, "training": {**table["training"], "seeds": [7, 1, 0]}})
    among_others = columns_by_run(turned)
    for run, columns in columns_by_run(config).items():
        assert among_others[run] == columns


class TestAProcessThatDies:
    def test_is_named_in_one_message_and_the_folder_can_be_resumed(self, tmp_path: Path) -> None:
        def kill_one(records: Records) -> None:
            if records.first == 12:
                os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

        with pytest.raises(WorkerFailed, match=r"^a training process ended unexpectedly \(killed by signal 9\)$"):
            train(tmp_path, stepped_config(), workers=2, on_block=kill_one)
        assert multiprocessing.active_children() == []
        assert list((tmp_path / "checkpoint").iterdir())
        train(tmp_path, stepped_config(), resume=True)

    def test_does_not_hide_what_it_raised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = iter(range(100))
        advance = Training.advance
        monkeypatch.setattr(workers_module, "BLOCK_SECONDS", 0.0)

        def failing(training: Training, updates: int, each: Each) -> Records:
            if next(calls) == 5:
                raise ZeroDivisionError("in a world far away")
            return advance(training, updates, each)

        monkeypatch.setattr(Training, "advance", failing)
        with Workers(Training(stepped_config()), 2) as workers, pytest.raises(WorkerFailed) as caught:
            list(workers.blocks(never))
        assert "ZeroDivisionError: in a world far away" in str(caught.value)
        assert "failing" in str(caught.value)  # a mistake in the program: the whole traceback


class Faulty(gymnasium.Env[int, int]):
    """Raises, or pays something that is no number, in its n-th step of those with an uneven reset seed."""

    observation_space = Discrete(2)
    action_space = Discrete(2)

    def __init__(self, fault: Callable[[], float], at: int) -> None:
        self._fault, self._at = fault, at

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[int, dict[str, object]]:
        super().reset(seed=seed)
        self._steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, object]]:
        self._steps += 1
        reward = self._fault() if self._steps == self._at and self.np_random_seed % 2 else 1.0
        return int(action), reward, False, False, {}


def raising() -> float:
    raise OSError(28, "the simulator's own disk is full")


@pytest.fixture
def raising_world() -> Iterator[Config]:
    gymnasium.register("Raising-v0", entry_point=Faulty, kwargs={"fault": raising, "at": 3}, max_episode_steps=5)
    yield load_config(
        {
            "name": "raising",
            "description": "A simulator with a fault",
            "environment": {"id": "Raising-v0"},
            "training": {"seeds": 3, "updates": 50},
            "arms": {"only": {}},
        }
    )
    del gymnasium.registry["Raising-v0"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_simulator_that_raises_is_named_with_its_run_and_step(raising_world: Config, workers: int) -> None:
    message = (
        r"^Raising-v0 failed at step 2 of an episode \(arm only, seed \d, environment 0\): "
        r"OSError: \[Errno 28\] the simulator's own disk is full$"
    )
    with Workers(Training(raising_world), workers) as at_work, pytest.raises(WorkerFailed, match=message):
        list(at_work.blocks(never))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_simulator_that_hangs_can_be_left(tmp_path: Path, workers: int) -> None:
    """Ctrl-C waits for the update's end, which does not come; a second one does not wait."""

    def hang() -> float:
        with suppress(FileExistsError):
            (tmp_path / "impatient").touch(exist_ok=False)  # only one process asks
            os.kill(os.getpgrp(), signal.SIGINT)
            # Two signals at the same time would be one.
            wait_for(lambda: "stopping" in (tmp_path / "error.txt").read_text())
            os.kill(os.getpgrp(), signal.SIGINT)
        time.sleep(1000)
        return 0.0

    def interrupted() -> int:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", config, workers=workers, interrupts=Interrupts().install())
        assert multiprocessing.active_children() == []
        return 0

    gymnasium.register("Hanging-v0", entry_point=Faulty, kwargs={"fault": hang, "at": 3}, max_episode_steps=5)
    config = load_config(
        {
            "name": "hanging",
            "description": "A simulator that hangs",
            "environment": {"id": "Hanging-v0"},
            "training": {"seeds": 3, "updates": 50},
            "arms": {"only": {}},
        }
    )
    try:
        assert in_a_child(interrupted, tmp_path).status == 0
    finally:
        del gymnasium.registry["Hanging-v0"]


def test_a_stopped_worker_does_not_defy_a_second_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears nothing and is killed after a short wait; else it is let go after a minute, for the test to end."""
    monkeypatch.setattr(processes, "PATIENCE", 1.0)
    let_go: list[int] = []

    def let_go_of(process: int) -> None:
        let_go.append(process)
        os.kill(process, signal.SIGCONT)

    def stop_one_and_ask_twice(records: Records) -> None:
        if records.first == 3:
            process = multiprocessing.active_children()[0].pid or 0
            os.kill(process, signal.SIGSTOP)
            os.waitpid(process, os.WUNTRACED)  # it has stopped
            timer = threading.Timer(60, let_go_of, [process])
            timer.daemon = True
            timer.start()
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)

    def interrupted() -> int:
        interrupts = Interrupts().install()
        with pytest.raises(KeyboardInterrupt):
            train(
                tmp_path / "run",
                stepped_config(),
                workers=2,
                on_block=stop_one_and_ask_twice,
                interrupts=interrupts,
            )
        assert multiprocessing.active_children() == []
        assert let_go == []
        return 0

    assert in_a_child(interrupted, tmp_path).status == 0
    train(tmp_path / "run", stepped_config(), resume=True)


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Killed, it cannot tell them; its pipes tell, because no sibling holds their other ends."""

    def training() -> int:
        with Workers(Training(stepped_config("training.updates=1000000")), 2) as workers:
            for _ in workers.blocks(never):
                (tmp_path / "trains").touch()
        return 0

    parent = forked(training, tmp_path)
    wait_for((tmp_path / "trains").exists)
    os.kill(parent, signal.SIGKILL)
    assert ended(parent) == -signal.SIGKILL


def bytes_in_use(folder: Path) -> list[int]:
    """After each writing of a thousand updates of a bandit; for a process of its own, which it changes."""
    gc.freeze()  # of what other tests have left, nothing is collected
    table_sink.PART_BYTES = 1 << 16
    workers_module.BLOCK_SECONDS = 0.0  # else as many records wait as came in that time
    in_use: list[int] = []
    write = TableSink._write_parts

    def write_and_look(sink: TableSink) -> None:
        write(sink)
        if not in_use:
            tracemalloc.start()  # no earlier: it slows imports
        gc.collect()
        in_use.append(tracemalloc.get_traced_memory()[0])

    TableSink._write_parts = write_and_look  # type: ignore[method-assign]
    bandit = Path(__file__).parents[3] / "configs" / "bandit.toml"
    config = load_config(bandit, ["training.seeds=2", "training.updates=1000"])
    options = session.Options(folder, tensorboard=False, checkpoint_seconds=math.inf)
    session.run(config, options, lambda _: None, lambda _: None)
    return in_use


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Records go to disk and are forgotten: what is in use after each write does not grow with the updates.

    Alone in a process, where nothing is counted that other tests left running.
    """

    def tell() -> int:
        print(json.dumps(bytes_in_use(tmp_path / "run")))
        return 0

    done = in_a_child(tell, tmp_path)
    assert done.status == 0, done.error
    in_use = json.loads(done.out)
    first, last = len(in_use) // 3, len(in_use) - 2  # the last is the end's
    growth = (in_use[last] - in_use[first]) / (1000 * (last - first) / len(in_use))
    assert growth < 100, f"{growth:.0f} bytes an update"  # a record alone has ten times as many


@pytest.mark.slow
def test_trainings_leave_no_descriptor_and_no_process_behind(tmp_path: Path) -> None:
    world = {"id": "FourAction/Bandit-v0"}
    config = load_config(small_config("training.updates=1").model_dump(exclude_none=True) | {"environment": world})
    for number in range(20):
        train(tmp_path, config, workers=2 if number % 5 == 1 else 1, overwrite=True)
        if number == 1:  # what is opened once, is
            opened = len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) == opened
    assert multiprocessing.active_children() == []


def test_a_slow_block_has_some_updates_and_a_fast_one_many() -> None:
    """Short blocks make each update dearer, and long ones keep progress and Ctrl-C waiting."""
    with Workers(Training(small_config()), 1) as workers:
        fitting = [workers._fitting(updates_per_second) for updates_per_second in (0.0, 0.5, 4, 8, 20, 32, 100)]
    assert fitting == [1, 1, 4, 8, 8, 8, 25]


def test_blocks_of_many_batches_have_many_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow they are: else what every batch costs per block would leave no time for updates."""
    monkeypatch.setattr(workers_module, "BLOCK_SECONDS", 0.0)
    maze = {"id": "FourAction/Maze-v0", "solved_return": 0.95}
    table = small_config("training.updates=7", "training.seeds=1").model_dump(exclude_none=True)
    arms: dict[str, dict[str, Any]] = {"without": {}}
    for worlds, sizes in ((3, [1] * 7), (24, [3, 3, 1])):
        config = load_config(table | {"environment": maze | {"worlds": worlds}, "arms": arms, "claims": []})
        with closing(Training(config)) as training, Workers(training, 1) as workers:
            assert [len(block.records.active) for block in workers.blocks(lambda _: False)] == sizes
