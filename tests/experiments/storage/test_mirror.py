"""A run folder in a store is whole at every moment, whoever is killed, and it has one writer at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from experiments.session.judging import judge_again
from experiments.session.run import Options, check_folder
from experiments.storage.checkpoints import Checkpoints
from experiments.storage.mirror import Mirror
from experiments.storage.object_store import ObjectStore
from experiments.storage.owned_folder import MARK
from experiments.storage.push_plan import is_ours, plan
from experiments.storage.run_folder import SUMS, RunFolder
from experiments.storage.sole_writer import WRITER
from experiments.storage.stored_files import StoreError, read_sums, sha256
from experiments.storage.tree import Tree
from experiments.storage.working_copy import WorkingCopy
from tests.experiments.small_training import Crash, assert_same, contents, small_config, train

memory = pytest.importorskip("fsspec.implementations.memory")
URL, ROOT = "memory://bucket/run", "/bucket/run/"
Objects = dict[str, bytes]


class Down(Exception):
    """The store does not answer."""


class Machines:
    """Each has a disk of its own; `memory` is the store that they share."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch

    def mirror(self, machine: str = "first", url: str = URL, **how: bool) -> Mirror:
        self._monkeypatch.setenv("XDG_CACHE_HOME", str(self._folder / machine))
        return Mirror(url, **how)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setattr(memory.MemoryFileSystem, "store", {})
    monkeypatch.setattr(memory.MemoryFileSystem, "pseudo_dirs", [""])
    return Machines(tmp_path, monkeypatch)


def objects() -> Objects:
    """What the store holds."""
    found = memory.MemoryFileSystem.store.items()
    return {name.removeprefix(ROOT): file.getvalue() for name, file in found}


def objects_of_the_folder() -> Objects:
    """Without the mark of whoever is writing."""
    return {name: data for name, data in objects().items() if name != WRITER}


def put(name: str, data: bytes) -> None:
    memory.MemoryFileSystem().pipe_file(f"{ROOT}{name}", data)


@contextmanager
def each_change(monkeypatch: pytest.MonkeyPatch, seen: Callable[[], None]) -> Iterator[None]:
    """Calls `seen` after each change of an object: at any of them the command may be killed."""
    with monkeypatch.context() as patch:
        for name in ("pipe_file", "put_file", "rm_file"):
            change = getattr(memory.MemoryFileSystem, name)

            def observed(*args: Any, _change: Any = change, **kwargs: Any) -> None:
                _change(*args, **kwargs)
                seen()

            patch.setattr(memory.MemoryFileSystem, name, observed)
        yield


def laid(state: Objects, folder: Path, before: Objects | None = None) -> RunFolder:
    """A state of the store as a folder, which holds the state before."""
    before = before or {}
    for name in before.keys() - state.keys():
        (folder / name).unlink()
    for name, data in state.items():
        if data != before.get(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return RunFolder(folder)


def is_usable(folder: RunFolder, checkpoint: Path) -> bool:
    """Whether training can go on from a checkpoint."""
    moment = Checkpoints(folder).read(checkpoint, 1 << 20)
    for table, sums in moment.positions["tables"].items():
        for number, digest in enumerate(sums):
            part = folder.path / f"parts/{table}-{number:06d}.parquet"
            if not part.exists() or sha256(part) != digest:
                return False
    sizes = {
        path.parent.relative_to(folder.path / "tensorboard").as_posix(): path.stat().st_size
        for path in folder.path.glob("tensorboard/**/events*")
    }
    return all(sizes.get(name, 0) >= size for name, size in moment.positions["board"].items())


def assert_whole(state: Objects, folder: Path, before: Objects) -> None:
    """A folder is there, and finished with all that its sums say, or has what its newest checkpoint needs."""
    found = laid(state, folder, before)
    if not state:
        return
    assert found.maker() == "train.py"
    checkpoints = Checkpoints(found).paths() if found.has_begun else []
    if found.is_finished:
        for name in read_sums(found.path / SUMS):
            found.check(name)
        found.read_summary()
    if checkpoints:
        assert any(is_usable(found, checkpoint) for checkpoint in checkpoints)


@pytest.mark.slow
def test_the_store_holds_a_whole_folder_at_every_moment(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[Objects] = []
    mirror = machines.mirror()

    def push_sometimes(records: Any) -> None:
        if records.first in (2, 3, 7, 10):
            mirror.push()

    config, other = (small_config("training.updates=12", f"agent.learning_rate={rate}") for rate in (0.02, 0.03))

    with each_change(monkeypatch, lambda: states.append(objects_of_the_folder())), mirror.taken():
        with pytest.raises(Crash):
            train(mirror.copy, config, crash_at=8, on_block=push_sometimes)
        mirror.push()
        train(mirror.copy, config, resume=True, on_block=push_sometimes)  # some parts and points are written anew
        mirror.push()
        (mirror.copy / "report.html").write_text("a page")
        mirror.push()
        monkeypatch.setattr("experiments.session.judging.digest", lambda _: "another version of the judging code")
        judge_again(mirror.copy)
        mirror.push()
        train(mirror.copy, config, overwrite=True, on_block=push_sometimes, log_steps=2)  # the config stays
        train(mirror.copy, other, overwrite=True, on_block=push_sometimes, log_steps=0)
        mirror.finish()
    assert len(states) > 100
    for before, state in pairwise([{}, *states]):
        assert_whole(state, tmp_path / "state", before)
    until_finished = [any(name.startswith("checkpoint/") for name in state) for state in states]
    del until_finished[next(number for number, state in enumerate(states) if "summary.json" in state) :]
    assert until_finished == sorted(until_finished)  # once there is a checkpoint, there always is
    assert objects() == held(mirror.copy)


@pytest.mark.slow
def test_it_does_so_while_training_goes_on(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[Objects] = []
    mirror, over, config = machines.mirror(), Event(), small_config("training.updates=12")

    def push_on_and_on() -> None:
        while not over.is_set():
            mirror.push()

    with each_change(monkeypatch, lambda: states.append(objects_of_the_folder())), mirror.taken():
        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(push_on_and_on)
            try:
                train(mirror.copy, config, often=True)
                train(mirror.copy, config, overwrite=True, often=True)
            finally:
                over.set()
            pushing.result()
        mirror.finish()
    for before, state in pairwise([{}, *states[:: 1 + len(states) // 200]]):
        assert_whole(state, tmp_path / "state", before)
    assert objects() == held(mirror.copy)


def checkpoint(number: int) -> str:
    return f"checkpoint/update-{number:09d}-{'0' * 32}.safetensors"


def part(number: int) -> str:
    return f"parts/updates-{number:06d}.parquet"


def lay(mirror: Mirror, *names: str, said: str = "") -> None:
    laid({name: f"{name} {said}".encode() for name in names}, mirror.copy)


def test_a_checkpoint_that_is_made_while_we_look_waits_for_its_parts(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, looks = machines.mirror(), iter(range(99))
    names = WorkingCopy.names
    with mirror.taken():
        lay(mirror, MARK, "config.toml", part(0), checkpoint(0))

        def names_while_training(copy: WorkingCopy) -> list[str]:
            if next(looks) == 1:
                lay(mirror, part(1), checkpoint(1))
            return names(copy)

        monkeypatch.setattr(WorkingCopy, "names", names_while_training)
        mirror.push()
        assert checkpoint(0) in objects()
        assert checkpoint(1) not in objects() or part(1) in objects()
        mirror.finish()
        assert objects() == held(mirror.copy)


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("end", [RunFolder.tidy, RunFolder.clear])
def test_a_checkpoint_that_is_removed_with_its_parts_while_we_look_is_not_left_alone(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, end: Callable[[RunFolder], Any], is_stored: bool
) -> None:
    mirror, looks, states = machines.mirror(), iter(range(99)), list[Objects]()
    names = WorkingCopy.names
    with mirror.taken():
        lay(mirror, MARK, "config.toml", part(0), checkpoint(0))
        if is_stored:
            mirror.push()

        def names_while_training_ends(copy: WorkingCopy) -> list[str]:
            if next(looks) == 1:
                end(RunFolder(copy.path))
            return names(copy)

        monkeypatch.setattr(WorkingCopy, "names", names_while_training_ends)
        with each_change(monkeypatch, lambda: states.append(objects_of_the_folder())):
            mirror.finish()
        assert any(states)
        assert not [state for state in states if checkpoint(0) in state and part(0) not in state]
        assert objects() == held(mirror.copy)


def test_what_is_written_is_what_there_was_when_we_looked(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, upload = machines.mirror(), ObjectStore.upload
    with mirror.taken():
        lay(mirror, MARK, "config.toml", part(0), checkpoint(0))
        before = held(mirror.copy)

        def upload_while_training(store: ObjectStore, files: dict[str, Path]) -> None:
            for name in (part(0), checkpoint(0)):
                (mirror.copy / name).unlink(missing_ok=True)
            Tree(mirror.copy).write("config.toml", "another")
            upload(store, files)

        monkeypatch.setattr(ObjectStore, "upload", upload_while_training)
        mirror.push()
        assert {name: data for name, data in objects().items() if name != WRITER} == before
        mirror.finish()
        assert objects() == held(mirror.copy)


def held(folder: Path) -> Objects:
    """The files of a folder that go to a store."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: (folder / name).read_bytes() for name in names if is_ours(name)}


def test_another_machine_goes_on_and_gets_the_numbers_of_an_undisturbed_training(
    machines: Machines, tmp_path: Path
) -> None:
    train(tmp_path / "undisturbed")
    mirror = machines.mirror()
    with pytest.raises(Crash), mirror.taken():
        train(mirror.copy, crash_at=17, on_block=lambda records: mirror.push() if records.first == 11 else None)
    memory.MemoryFileSystem().rm_file(f"{ROOT}{WRITER}")  # as the message says
    second = machines.mirror("second")
    with second.taken():
        train(second.copy, resume=True)
        second.finish()
    assert_same(contents(machines.mirror("third").fetch()), contents(tmp_path / "undisturbed"))


def test_one_command_writes_at_a_time(machines: Machines) -> None:
    second = machines.mirror("second")
    with machines.mirror().taken():
        before = objects()
        message = r"^memory://bucket/run: another command is writing there \(on .+, process \d+, since .+ UTC\)"
        with pytest.raises(StoreError, match=message), second.taken():
            pass
        assert objects() == before


def test_a_copy_that_is_ahead_is_written_by_the_next_command(machines: Machines) -> None:
    mirror = machines.mirror()
    with mirror.taken():
        train(mirror.copy)  # and the command is killed before anything is written
    assert objects().keys() == {WRITER}
    reader = machines.mirror()
    assert reader.fetch() == mirror.copy
    assert RunFolder(reader.copy).is_finished
    again = machines.mirror()
    with again.taken():
        assert objects().keys() - {WRITER} == held(mirror.copy).keys()
        again.finish()
    assert objects() == held(mirror.copy)


def test_a_copy_that_was_let_go_follows_the_store(machines: Machines) -> None:
    first, second = machines.mirror(), machines.mirror("second")
    with first.taken():
        train(first.copy)
        first.finish()
    with second.taken():
        train(second.copy, small_config("agent.learning_rate=0.03"), overwrite=True, log_steps=0)
        second.finish()
    machines.mirror().fetch()
    assert held(first.copy) == objects() == held(second.copy)
    for name in objects():
        memory.MemoryFileSystem().rm_file(f"{ROOT}{name}")
    with machines.mirror().taken():
        assert not RunFolder(first.copy).holds_anything


def test_a_copy_that_was_removed_is_fetched_and_removes_nothing(machines: Machines) -> None:
    mirror = machines.mirror()
    with mirror.taken():
        train(mirror.copy)
        mirror.push()
    before = objects()
    for path in sorted(mirror.copy.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = machines.mirror()
    with again.taken():
        again.finish()
    assert objects() == {name: data for name, data in before.items() if name != WRITER} == held(mirror.copy)


EXPERIMENT = (MARK, "config.toml", SUMS, "summary.json")


@pytest.mark.parametrize("before", [True, False], ids=["trained before", "new"])
@pytest.mark.parametrize("on_ray", [True, False], ids=["on Ray again", "then here"])
def test_what_tasks_have_written_stays_when_their_command_is_killed(
    machines: Machines, before: bool, on_ray: bool
) -> None:
    """On Ray the tasks of the argument write the experiments, and the command's own copy has none of these."""
    if before:
        first = machines.mirror()
        with first.taken():
            lay(first, MARK, "report.html", *(f"two_rooms/{name}" for name in EXPERIMENT), said="before")
            first.finish()
    command = machines.mirror(has_folders=False)
    with command.taken():
        assert not (command.copy / "two_rooms").exists()
        lay(command, MARK)
        command.push()
        for name in ("two_rooms", "bandit"):
            task = machines.mirror("another", f"{URL}/{name}", locks=False)
            with task.taken():
                lay(task, *EXPERIMENT, said="by a task")
                task.finish()
        lay(command, "report.html", said="after")  # and the command is killed
    there = {
        f"{name}/{each}": f"{each} by a task".encode() for name in ("two_rooms", "bandit") for each in EXPERIMENT
    }
    again = machines.mirror(has_folders=not on_ray)
    with again.taken():
        assert {name: data for name, data in objects().items() if "/" in name} == there
        assert held(again.copy) == {
            name: data for name, data in objects().items() if name != WRITER and not (on_ray and "/" in name)
        }
        assert (again.copy / "report.html").read_text() == "report.html after"
        lay(again, "summary.json")
        again.finish()
    assert {name: data for name, data in objects().items() if "/" in name} == there
    assert objects().keys() - there.keys() == {MARK, "report.html", "summary.json"}


class Killed(BaseException):
    """The command is killed."""


@pytest.mark.parametrize("changes", range(1, 6))
def test_what_was_written_when_the_command_was_killed_is_known_as_ours(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """Even if its file is gone by the time that the next command looks."""
    mirror, left = machines.mirror(), iter(range(changes - 1, -1, -1))

    def kill() -> None:
        if not next(left):
            raise Killed

    with mirror.taken():
        lay(mirror, MARK, "config.toml", part(0), checkpoint(0), "summary.json")
        with each_change(monkeypatch, kill), pytest.raises(Killed):
            mirror.push()
        for name in (part(0), checkpoint(0), "summary.json"):
            (mirror.copy / name).unlink()
    again = machines.mirror()
    with again.taken():
        again.finish()
    assert objects() == held(mirror.copy)


def test_a_checkpoint_stays_until_the_next_is_there_even_if_the_store_fails_in_between(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, states = machines.mirror(), list[Objects]()

    def fail() -> None:
        raise Down

    with mirror.taken():
        lay(mirror, MARK, "config.toml", part(0), checkpoint(0))
        mirror.push()
        lay(mirror, part(1), checkpoint(1))
        (mirror.copy / checkpoint(0)).unlink()
        with each_change(monkeypatch, fail), pytest.raises(StoreError):
            mirror.push()
        with each_change(monkeypatch, lambda: states.append(objects())):
            mirror.push()
    assert checkpoint(0) not in states[-1]
    assert all(checkpoint(0) in state or checkpoint(1) in state for state in states)


def test_a_task_that_is_refused_leaves_a_copy_that_is_ahead(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = machines.mirror()
    with mirror.taken():
        lay(mirror, MARK, "config.toml")  # and the command is killed before anything is written

    def fail(*_: object, **__: object) -> None:
        raise Down

    with monkeypatch.context() as patch:
        patch.setattr(memory.MemoryFileSystem, "find", fail)
        with pytest.raises(StoreError, match="Down"), machines.mirror(locks=False).taken():
            pass
    again = machines.mirror()
    with again.taken():
        again.finish()
    assert objects() == held(mirror.copy)
    assert "config.toml" in objects()


@pytest.mark.parametrize("kept", [True, False], ids=["beside ours", "alone"])
def test_objects_of_others_are_left_alone(machines: Machines, kept: bool) -> None:
    strange = {"thesis.tex": b"mine", "checkpoint/mine.safetensors": b"mine", "../run/notes": b"mine"}
    mirror = machines.mirror()
    if kept:
        with mirror.taken():
            train(mirror.copy)
            mirror.finish()
    for name, data in strange.items():
        put(name, data)
    before = objects()
    if not kept:
        with (
            pytest.raises(StoreError, match="objects that this program did not make; they are left alone"),
            mirror.taken(),
        ):
            pass
        assert objects() == before
        return
    with mirror.taken():
        train(mirror.copy, overwrite=True, log_steps=0)
        mirror.finish()
    assert {
        name: data for name, data in objects().items() if name in before.keys() - held(mirror.copy).keys()
    } == (strange)
    assert not (mirror.copy / "thesis.tex").exists()


def test_a_glimpse_has_what_a_refusal_says(machines: Machines, tmp_path: Path) -> None:
    mirror, other = machines.mirror(), machines.mirror("second")
    with mirror.taken():
        train(mirror.copy)
        mirror.finish()
    seen = other.glimpse(tmp_path / "seen")
    with pytest.raises(StoreError, match="holds results; go on with --resume, replace it with --overwrite"):
        check_folder(RunFolder(seen), small_config(), Options(seen))
    assert not other.copy.parent.exists()
    empty = machines.mirror(url="memory://bucket/empty").glimpse(tmp_path / "empty")
    with pytest.raises(StoreError, match="nothing to resume there"):
        check_folder(RunFolder(empty), small_config(), Options(empty, resume=True))


def test_a_reader_looks_again_when_an_object_is_removed_meanwhile(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, get = machines.mirror(), memory.MemoryFileSystem.get
    with pytest.raises(Crash), mirror.taken():
        train(mirror.copy, crash_at=9, on_block=lambda records: mirror.push())
    checkpoints = sorted(name for name in objects() if name.startswith("checkpoint/"))

    def get_too_late(fs: object, *args: object) -> None:
        while checkpoints:
            memory.MemoryFileSystem().rm_file(f"{ROOT}{checkpoints.pop()}")
            get(fs, *args)
        get(fs, *args)

    monkeypatch.setattr(memory.MemoryFileSystem, "get", get_too_late)
    found = machines.mirror("second").fetch()
    assert held(found) == {name: data for name, data in objects().items() if name != WRITER}


def test_a_store_that_fails_at_any_change_is_written_later(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, failing = 0, True

    def fail_every_second_time() -> None:
        nonlocal changes
        changes += 1
        if changes % 2 and failing:
            raise Down("no route to it")

    mirror, messages = machines.mirror(), list[str]()
    with mirror.taken():
        train(mirror.copy)
        with each_change(monkeypatch, fail_every_second_time):
            while True:
                try:
                    mirror.finish()
                    break
                except StoreError as error:
                    messages.append(str(error))
                    failing = len(messages) < 40
    assert len(messages) > 10
    assert set(messages) == {f"{URL}: no route to it"}
    assert objects() == held(mirror.copy)


def test_nothing_is_asked_of_the_store_when_nothing_has_changed(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, changes = machines.mirror(), list[None]()
    with mirror.taken():
        train(mirror.copy)
        mirror.push()
        with each_change(monkeypatch, lambda: changes.append(None)):
            mirror.push()
            assert not changes
            (mirror.copy / "report.html").write_text("a page")
            mirror.push()
            assert len(changes) == 1
        mirror.finish()
    gets: list[Any] = []
    monkeypatch.setattr(memory.MemoryFileSystem, "get_file", lambda *args, **_: gets.append(args))
    machines.mirror().fetch()
    assert not gets


def test_the_plan_writes_what_is_referred_to_first() -> None:
    old, new = [1, 1, 1], [2, 2, 2]
    there = {
        name: old
        for name in (
            "config.toml",
            SUMS,
            "summary.json",
            "parts/updates-000000.parquet",
            "checkpoint/update-000000009-" + "0" * 32 + ".safetensors",
        )
    }
    here = {name: new for name in there if "checkpoint" not in name}
    assert plan(here, there) == (
        ["summary.json"],
        [["config.toml", "parts/updates-000000.parquet"], [SUMS], ["summary.json"]],
        ["checkpoint/update-000000009-" + "0" * 32 + ".safetensors"],
    )
    assert plan(here, {}) == ([], plan(here, there).written, [])
    assert plan(here, here) == ([], [], [])


OURS = """
    summary.json two_rooms/summary.json judged/parts/steps-000001.parquet .made_by.json mazes/.made_by.json
    cells/0123456789abcdef.parquet tensorboard/arm/seed_1/events.out.tfevents.0000000000
"""
NOT_OURS = """
    thesis.tex a/b/summary.json ../summary.json ./summary.json /summary.json .lock .writer.json
    tensorboard/../../events.out.tfevents.0000000000 checkpoint/mine.safetensors
"""


def test_names_of_ours() -> None:
    assert [name for name in (OURS + NOT_OURS).split() if is_ours(name)] == OURS.split()
