"""The run folder: who may write to it, its result files, its checkpoints.

While training goes on, tables grow in numbered parts below `parts/`; at the end the parts become one file each. A
file is written under another name and then renamed, so that whatever has its final name is whole.
`summary.json` is written last: a folder that has it is finished.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save as tensor_bytes

from experiments.config import Config, load_config
from experiments.records import Runs, UpdateRecord
from experiments.tables import step_table, update_table

FORMAT = 1  # of result folders and checkpoints; a reader refuses newer ones
State = dict[str, NDArray[Any]]
Position = dict[str, Any]  # how far a sink has written, in JSON types


class StoreError(RuntimeError):
    """A folder that cannot be used; the message names it and says what to do."""


class RunFolder:
    """`runs/<name>`: paths, lock and atomic writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_finished(self) -> bool:
        return (self.path / "summary.json").exists()

    @property
    def holds_anything(self) -> bool:
        return self.path.is_dir() and any(entry.name != ".lock" for entry in self.path.iterdir())

    def clear(self) -> None:
        """Remove what an earlier training wrote; other files in the folder stay."""
        for name in ("tensorboard", "policies", "checkpoint", "parts", "figures"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        # The summary goes first: a half-removed folder must not look finished.
        for name in (
            "summary.json",
            "report.html",
            "runs.parquet",
            "steps.parquet",
            "updates.parquet",
            "snapshots.safetensors",
            "config.toml",
        ):
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process. The lock ends with the process, however that ends.

        Raises:
            StoreError: another command holds it, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "a")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot write there: {error.strerror}") from None
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(
                    f"{self.path}: another command is writing there; wait for it or choose --out"
                ) from None
            yield

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file atomically: whole under its name, or not at all."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        data = content.encode() if isinstance(content, str) else content
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)

    def write_config(self, config: Config) -> None:
        self.write("config.toml", config_text(config))

    def read_config(self) -> Config:
        """The resolved config of the training in this folder."""
        return load_config(self.path / "config.toml")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        self.write("summary.json", json.dumps({"format": FORMAT, **summary}, indent=1, allow_nan=False) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """The summary of a finished folder.

        Raises:
            StoreError: there is none, it is damaged, or a newer version wrote it.
        """
        place = self.path / "summary.json"
        try:
            summary: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
            found = int(summary["format"])
        except OSError:
            raise StoreError(f"{self.path}: no finished training there (no summary.json)") from None
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{place}: damaged") from None
        if found > FORMAT:
            raise StoreError(f"{place}: format {found} is newer than this program's {FORMAT}; update the program")
        return summary

    def write_table(self, name: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    def read_table(self, name: str) -> pa.Table:
        try:
            return pq.read_table(self.path / name)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{self.path / name}: cannot be read: {error}") from None

    def write_policies(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """One file an arm: policies/<arm>.safetensors with "seed_<k>/<layer>"."""
        by_arm: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in parameters.items():
            arm, _, rest = name.partition("/")
            by_arm.setdefault(arm, {})[rest] = tensor
        for arm, tensors in by_arm.items():
            self.write(f"policies/{arm}.safetensors", tensor_bytes(tensors))


def config_text(config: Config) -> str:
    """The resolved config as TOML: loading it gives an equal config."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


class TableSink:
    """Writes updates and steps into numbered parts, and the parts into one file each."""

    def __init__(self, folder: RunFolder, runs: Runs, log_steps: int) -> None:
        self._folder, self._runs, self._log_steps = folder, runs, log_steps
        self._parts = 0
        self._records: list[UpdateRecord] = []

    def write(self, record: UpdateRecord) -> None:
        self._records.append(record)

    def flush(self) -> Position:
        """Bring everything to disk."""
        if self._records:
            every = self._log_steps
            steps = step_table(self._records if every else [], self._runs, every or 1)
            self._folder.write_table(
                f"parts/updates-{self._parts:06d}.parquet", update_table(self._records, self._runs)
            )
            self._folder.write_table(f"parts/steps-{self._parts:06d}.parquet", steps)
            self._parts += 1
            self._records.clear()
        return {"parts": self._parts}

    def restore(self, position: Position) -> None:
        """Forget what was written after the position."""
        self._parts = int(position["parts"])
        for path in (self._folder.path / "parts").glob("*-*.parquet"):
            if int(path.stem.rpartition("-")[2]) >= self._parts:
                path.unlink()

    def missing(self, position: Position) -> str | None:
        """A file that the position needs and that is not there."""
        for number in range(int(position["parts"])):
            for name in ("updates", "steps"):
                path = self._folder.path / "parts" / f"{name}-{number:06d}.parquet"
                if not path.exists():
                    return str(path)
        return None

    def finish(self) -> None:
        """updates.parquet and steps.parquet out of the parts, a part at a time: memory stays flat."""
        for name in ("updates", "steps"):
            paths = sorted((self._folder.path / "parts").glob(f"{name}-*.parquet"))
            temporary = self._folder.path / f".{name}.parquet.tmp"
            with pq.ParquetWriter(temporary, pq.read_schema(paths[0]), compression="zstd") as writer:
                for path in paths:
                    writer.write_table(pq.read_table(path))
            os.replace(temporary, self._folder.path / f"{name}.parquet")

    def clean(self) -> None:
        """The parts have become the tables."""
        shutil.rmtree(self._folder.path / "parts", ignore_errors=True)


class Checkpoints:
    """`checkpoint/update-<n>-<digest>.safetensors`, the last two. The digest in the name proves a file whole."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._place = folder.path / "checkpoint"

    def save(self, update: int, states: Sequence[State], positions: Mapping[str, Position]) -> None:
        """Keep a moment: the states of all shares of the training, and how far each sink has written."""
        arrays = {f"{share}/{name}": a for share, state in enumerate(states) for name, a in state.items()}
        about = {"format": FORMAT, "update": update, "shares": len(states), "positions": positions}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        data = safetensors.numpy.save(arrays, {"about": json.dumps(about)})
        digest = hashlib.sha256(data).hexdigest()[:32]
        self._folder.write(f"checkpoint/update-{update:09d}-{digest}.safetensors", data)
        for path in self._paths()[2:]:
            path.unlink()

    def candidates(self) -> Iterator[tuple[list[State], dict[str, Position]] | str]:
        """Newest first: the states and positions of a whole checkpoint, or what is wrong with one."""
        for path in self._paths():
            try:
                yield self._read(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                yield f"{path}: {error}"

    def clean(self) -> None:
        """No longer needed."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self._place.glob("update-*-*.safetensors"), reverse=True)

    @staticmethod
    def _read(path: Path) -> tuple[list[State], dict[str, Position]]:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:32] != path.stem.rpartition("-")[2]:
            raise ValueError("damaged (its checksum is wrong)")
        # Of the header only the metadata is parsed here; the arrays are read by safetensors.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"]["about"])
        if about["format"] > FORMAT:
            raise ValueError(f"format {about['format']} is newer than this program's {FORMAT}")
        states: list[State] = [{} for _ in range(int(about["shares"]))]
        for name, array in safetensors.numpy.load(data).items():
            share, _, key = name.partition("/")
            states[int(share)][key] = array
        return states, about["positions"]
