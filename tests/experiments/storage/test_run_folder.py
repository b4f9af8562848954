"""The run folder: whole files, one writer, results that are what was written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from experiments.storage import run_folder, stored_tables
from experiments.storage.run_folder import RunFolder, StoreError
from tests.experiments.small_training import Crash, small_config, train

HOLD = """
import sys
from pathlib import Path
from experiments.storage.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def crash(*_: object) -> None:
    raise Crash


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(folder)
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> RunFolder:
    """A finished folder of one's own."""
    shutil.copytree(trained, tmp_path / "run")
    return RunFolder(tmp_path / "run")


class TestWriting:
    def test_is_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = RunFolder(tmp_path)
        folder.write("name", "old")
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", crash)  # comes between writing and renaming
            with pytest.raises(Crash):
                folder.write("name", "new")
        assert (tmp_path / "name").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["name"]

    def test_reaches_the_disk_before_it_gets_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        fsync, replace = os.fsync, os.replace

        def note_sync(descriptor: int) -> None:
            seen.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
            fsync(descriptor)

        def note_rename(source: str, target: str, **folders: int) -> None:
            seen.append(f"rename to {target}")
            replace(source, target, **folders)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "replace", note_rename)
        RunFolder(tmp_path).write("inner/name", b"content")
        # The new folder's name, the content, and after the renaming the file's name.
        assert seen == [f"sync {tmp_path.name}", "sync .name.tmp", "rename to name", "sync inner"]

    def test_follows_no_link_that_lies_where_its_temporary_file_goes(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.write_text("precious")
        inside = tmp_path / "run"
        inside.mkdir()
        (inside / ".name.tmp").symlink_to(outside)
        RunFolder(inside).write("name", "content")
        assert outside.read_text() == "precious"
        assert (inside / "name").read_text() == "content"


class TestTheLock:
    def test_keeps_a_second_command_out_until_the_first_dies(self, tmp_path: Path) -> None:
        words = [sys.executable, "-c", HOLD, tmp_path]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(StoreError, match="another command is writing there"):
                train(tmp_path, overwrite=True)
            assert [path.name for path in tmp_path.iterdir()] == [".lock"]
            other.kill()
        train(tmp_path)  # neither a lock nor anything else is left

    def test_notices_that_the_folder_is_another_one(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path / "run")
        with folder.locked():
            folder.write("name", "content")
            shutil.rmtree(folder.path)
            with pytest.raises(StoreError, match="was removed during training"):
                folder.write("name", "content")
            assert not folder.path.exists()
            with RunFolder(tmp_path / "run").locked(), pytest.raises(StoreError, match="was removed"):
                folder.write("name", "content")  # made anew, by somebody else

    def test_is_no_result(self, tmp_path: Path) -> None:
        with RunFolder(tmp_path).locked():
            assert not RunFolder(tmp_path).holds_anything


class TestResults:
    def test_are_not_overwritten_unasked(self, finished: RunFolder) -> None:
        before = (finished.path / "summary.json").read_bytes()
        with pytest.raises(StoreError, match="holds results; go on with --resume, replace it with --overwrite"):
            train(finished.path)
        assert (finished.path / "summary.json").read_bytes() == before

    def test_are_replaced_when_asked_but_what_is_not_ours_stays(self, finished: RunFolder) -> None:
        (finished.path / "notes.txt").write_text("mine")
        (finished.path / "steps.parquet").write_bytes(b"damaged")
        config = small_config("training.updates=2")
        train(finished.path, config, overwrite=True)
        assert (finished.path / "notes.txt").read_text() == "mine"
        assert len(finished.read_table("updates.parquet")) == 2 * 6

    def test_a_half_cleared_folder_is_not_finished(
        self, finished: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remove = RunFolder.remove

        def crash_after_some(folder: RunFolder, name: str) -> None:
            if name.startswith("figures/") or name.endswith(".parquet"):
                raise Crash
            remove(folder, name)

        monkeypatch.setattr(RunFolder, "remove", crash_after_some)
        with pytest.raises(Crash):
            finished.clear()
        assert not finished.is_finished
        assert finished.has_begun

    def test_have_sums_that_sha256sum_knows(self, finished: RunFolder) -> None:
        done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=finished.path, check=False)
        assert done.returncode == 0
        sums = (finished.path / "SHA256SUMS").read_text()
        for name in ("runs", "updates", "steps"):
            assert f"  {name}.parquet\n" in sums
        assert "  policies/table.safetensors\n" in sums

    def test_tables_are_read_whole_or_by_column(self, finished: RunFolder) -> None:
        assert finished.read_table("runs.parquet").num_rows == 6
        assert finished.read_table("updates.parquet", ["seed", "loss"]).column_names == ["seed", "loss"]
        assert finished.read_config() == small_config()

    def test_a_folder_whose_name_looks_like_a_partition_adds_no_column(self, tmp_path: Path) -> None:
        train(tmp_path / "alpha=1", small_config("training.updates=2"))
        assert "alpha" not in RunFolder(tmp_path / "alpha=1").read_table("updates.parquet").column_names

    def test_an_unfinished_folder_has_no_summary(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is no finished training"):
            RunFolder(tmp_path).read_summary()


class TestVersions:
    def test_a_newer_folder_is_refused_by_name(self, finished: RunFolder) -> None:
        summary = json.loads((finished.path / "summary.json").read_text())
        newer = {"format": run_folder.FORMAT + 1, "what": "nobody knows yet", "arms": summary["arms"]}
        (finished.path / "summary.json").write_text(json.dumps(newer))
        match = (
            f"format {run_folder.FORMAT + 1} is newer than this program's {run_folder.FORMAT}; update the program"
        )
        with pytest.raises(StoreError, match=match):
            finished.read_summary()
        with pytest.raises(StoreError, match=match):
            train(finished.path, resume=True)

    @pytest.mark.parametrize("wrong", [0, True, "1", 1.0, None])
    def test_what_is_no_format_number_is_damage(self, finished: RunFolder, wrong: object) -> None:
        (finished.path / "summary.json").write_text(json.dumps({"format": wrong}))
        with pytest.raises(StoreError, match="damaged"):
            finished.read_summary()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(StoreError, match="is a file, not a folder"):
            train(tmp_path / "run", **options)


def test_a_table_that_claims_too_many_values_is_not_read(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tables, "VALUE_BYTES", 0)
    monkeypatch.setattr(stored_tables, "COLUMN_BYTES", 10)
    with pytest.raises(StoreError, match=r"decodes to [\d,]+ bytes; at most 10 are read"):
        finished.read_table("runs.parquet", ["seed"], max_rows=6)
    assert finished.read_table("runs.parquet", ["seed"]).num_rows == 6


def test_tables_keep_the_types_that_arrow_has_for_them(finished: RunFolder) -> None:
    schema = finished.read_table("steps.parquet").schema
    assert schema.field("arm").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("env_step").type == pa.int64()
