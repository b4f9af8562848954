"""The run folder: who may write to it, whole files, and results that can be checked when they are read.

A file is written under another name, brought to disk and then renamed: what has its final name is whole.
`summary.json` is written last; a folder that has it is finished. `SHA256SUMS` (as `sha256sum` writes it) says what
the other results must be: a damaged one is refused, not shown. Nothing here reads a pickle, and nothing follows a
symbolic link out of the folder. Needs a Unix: Windows has no `fcntl`.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import save as tensor_bytes

from experiments import stored_summary
from experiments.config import Config, load_config
from experiments.files import open_regular
from experiments.stored_files import StoreError as StoreError
from experiments.stored_files import content, read_sums
from experiments.stored_files import sha256 as sha256
from experiments.stored_summary import FORMAT as FORMAT
from experiments.stored_summary import NewerFormat as NewerFormat
from experiments.stored_summary import check_format as check_format
from experiments.stored_tables import read_batches

RESULTS = ("runs.parquet", "updates.parquet", "steps.parquet", "snapshots.safetensors", "config.toml")
FOLDERS = ("checkpoint", "parts", "policies", "tensorboard", "figures")
SUMMARY, SUMS, LOCK = "summary.json", "SHA256SUMS", ".lock"

State = dict[str, NDArray[Any]]
Position = dict[str, Any]  # how far a sink has written, in JSON types


class RunFolder:
    """`runs/<name>`: lock, whole writes, checked reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TextIOWrapper | None = None

    @property
    def is_finished(self) -> bool:
        return (self.path / SUMMARY).exists()

    @property
    def has_begun(self) -> bool:
        """A training's config is there: everything that comes later can be resumed."""
        return (self.path / "config.toml").exists()

    @property
    def holds_anything(self) -> bool:
        """More than the lock and temporary files of a command that was killed as it began."""
        return self.path.exists() and any(entry.name[0] != "." for entry in self.path.iterdir())

    def clear(self) -> None:
        """Remove what an earlier training wrote; other files in the folder stay.

        Killed in here, the folder is neither finished (the summary goes first) nor empty (the config goes last).
        """
        for name in (SUMMARY, SUMS, *FOLDERS, *RESULTS):
            self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file or a folder, if it is there."""
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process. The lock ends with the process, however that ends.

        Raises:
            StoreError: another command holds it, it cannot be written, or parts of it lie elsewhere.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_links()
            file = open(open_regular(self.path / LOCK, os.O_RDWR | os.O_CREAT), "r+")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot write there: {error.strerror}") from None
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise StoreError(
                    f"{self.path}: another command is writing there; wait for it or choose --out"
                ) from None
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be locked: {error.strerror}") from None
            self._lock = file
            self._remove_temporaries()
            yield
        self._lock = None

    def _refuse_links(self) -> None:
        """The folder itself may be a link; what is written in it may not: it would be written elsewhere."""
        own = [self.path / name for name in (SUMMARY, SUMS, LOCK, *FOLDERS, *RESULTS)]
        within = [path for name in FOLDERS for path in (self.path / name).rglob("*")]
        for path in own + within:
            if path.is_symlink():
                raise StoreError(f"{path}: is a symbolic link; a run folder keeps its files itself")

    def _remove_temporaries(self) -> None:
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            for path in folder.glob(".*.tmp"):
                path.unlink()

    def check_in_place(self) -> None:
        """While it is locked: whether it is still the same folder.

        Raises:
            StoreError: it was removed, and perhaps made anew by another command.
        """
        if self._lock is None:
            return
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path / LOCK), os.fstat(self._lock.fileno())):
                return
        raise StoreError(f"{self.path}: the folder, or the .lock in it, was removed during training")

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A path to write to. It becomes `name`, whole and on disk, if the block ends well."""
        self.check_in_place()
        target = self.path / name
        if not target.parent.exists():
            target.parent.mkdir()
            synced(self.path)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            synced(temporary)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        synced(target.parent)

    def write(self, name: str, content: "str | bytes | pa.Buffer") -> None:
        """Write a file: whole under its name, or not at all."""
        with self.replacing(name) as temporary, open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def sync(self, name: str) -> None:
        """Bring to disk what others have written below a folder; side by side, which is ten times as fast."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(synced, (self.path / name).rglob("*")))

    def write_table(self, name: str, table: pa.Table) -> str:
        """Write a Parquet file; returns its SHA-256."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **parquet_options(table.schema))
        content = sink.getvalue()
        self.write(name, content)
        return hashlib.sha256(content).hexdigest()

    def write_config(self, config: Config) -> None:
        self.write("config.toml", config_text(config))

    def write_policies(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """One file an arm: policies/<arm>.safetensors with "seed_<k>/<layer>"."""
        by_arm: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in parameters.items():
            arm, _, rest = name.partition("/")
            by_arm.setdefault(arm, {})[rest] = tensor
        for arm, tensors in by_arm.items():
            self.write(f"policies/{arm}.safetensors", tensor_bytes(tensors))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Finish the folder: the sums of all results, and then the summary."""
        text = (json.dumps({"format": FORMAT, **summary}, indent=1, allow_nan=False) + "\n").encode()
        paths = [path for path in map(self.path.joinpath, RESULTS) if path.exists()]
        paths += sorted((self.path / "policies").iterdir())
        sums = {str(path.relative_to(self.path)): sha256(path) for path in paths}
        sums[SUMMARY] = hashlib.sha256(text).hexdigest()
        self.write(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        self.write(SUMMARY, text)

    def read_config(self) -> Config:
        """The resolved config of the training in this folder."""
        place = self.path / "config.toml"
        self.check(place.name)
        return load_config(place)

    def read_summary(self) -> dict[str, Any]:
        """The summary of a finished folder, in plain types.

        Raises:
            StoreError: there is none, it is damaged or of another config, or a newer version wrote it.
        """
        place = self.path / SUMMARY
        if not self.is_finished:
            raise StoreError(f"{self.path}: no finished training there (no {SUMMARY})")
        data = content(place, stored_summary.MAX_BYTES)
        stored_summary.check_version(place, data)
        self.check(SUMMARY)
        return stored_summary.read_summary(place, data, self.read_config())

    def read_batches(
        self, name: str, columns: Sequence[str] | None = None, max_rows: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A table of a finished folder, or some of its columns, in pieces.

        Raises:
            StoreError: it is missing or damaged, lacks a column, or holds more than may be read.
        """
        self.check(name)
        return read_batches(self.path / name, columns, max_rows)

    def read_table(self, name: str, columns: Sequence[str] | None = None, max_rows: int | None = None) -> pa.Table:
        """As `read_batches`, in one piece."""
        return pa.Table.from_batches(list(self.read_batches(name, columns, max_rows)))

    def check(self, name: str) -> None:
        """In a finished folder: whether a file is what the training wrote.

        Raises:
            StoreError: it is missing or damaged.
        """
        if self.is_finished and read_sums(self.path / SUMS).get(name) != sha256(self.path / name):
            raise StoreError(f"{self.path / name}: damaged (not the file that {SUMS} was made of)")


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How a table is written.

    No column but the arm repeats itself, and looking for it takes time; integers differ little from row to row.
    """
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    return {
        "compression": "zstd",
        "use_dictionary": ["arm"],
        "column_encoding": dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
    }


def config_text(config: Config) -> str:
    """The resolved config as TOML: loading it gives an equal config."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def synced(path: Path) -> None:
    """Bring a file's content, or a folder's names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
