"""For all tests."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# As in training: bit-equality is promised for one thread count, and two threads fight over a core.
torch.set_num_threads(1)
threadpool_limits(1, "blas")

# The same examples each time, and as long as they take: `--hypothesis-profile=default` looks for others.
settings.register_profile(
    "steady", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In one process the fast tests come first: a mistake shows early. Several processes take one file after
    another, those with slow tests first: at the end the others would wait for whoever has the last of them."""
    slow = {item for item in items if item.get_closest_marker("slow") is not None}
    if hasattr(config, "workerinput"):  # a process of xdist
        long = {item.path for item in slow}
        items.sort(key=lambda item: item.path not in long)
    else:
        items.sort(key=slow.__contains__)


@pytest.fixture(autouse=True, scope="module")
def _one_process_has_all_tests_of_a_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Else each process makes anew what the tests of a file share."""
    if not hasattr(request.config, "workerinput"):
        return
    name = request.path.relative_to(request.config.rootpath).as_posix().replace("/", ".")
    place = tmp_path_factory.getbasetemp().parent / f"{name}.process"  # the same folder for all processes
    with place.open("a") as file:
        file.write(f"{os.getpid()}\n")
    assert set(place.read_text().split()) == {str(os.getpid())}, "not all in one process: use --dist loadfile"


@pytest.fixture(autouse=True, scope="session")
def _nobody_waits_for_the_disk() -> Iterator[None]:
    """A training asks hundreds of times for its files to be on the disk, and waits some milliseconds each time.
    Only a power cut would show the difference."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", os.fstat)  # which refuses what is no open file, too
        yield


@pytest.fixture(autouse=True)
def _no_signal_to_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's own process may ignore signals, as the background of a script does: what they do is tested in a
    child (`tests.experiments.processes`)."""
    suite, kill = os.getpid(), os.kill

    def to_others(process: int, number: int) -> None:
        assert process != suite or number == 0, "a test sends a signal to the process of the suite"
        kill(process, number)

    monkeypatch.setattr(os, "kill", to_others)
