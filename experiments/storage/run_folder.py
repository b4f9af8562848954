"""The run folder: the names of its files, and results that are checked when they are read.

`summary.json` is written last; a folder that has it is finished. `SHA256SUMS` (in the format of `sha256sum`) has
the checksums of the other results: a damaged one is refused, not shown. Nothing here reads a pickle.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from numpy.typing import NDArray
from safetensors.numpy import save as array_bytes

from experiments.config.loading import load_stored
from experiments.config.measures import MEASURES, RUN_MEASURES
from experiments.config.schema import Config, ConfigError
from experiments.storage import stored_summary
from experiments.storage.descriptions import origin, stamped
from experiments.storage.owned_folder import OwnedFolder
from experiments.storage.stored_arrays import grouped
from experiments.storage.stored_files import MAX_BYTES, content, read_sums
from experiments.storage.stored_files import StoreError as StoreError
from experiments.storage.stored_files import sha256 as sha256
from experiments.storage.stored_summary import FORMAT as FORMAT
from experiments.storage.stored_summary import NewerFormat as NewerFormat
from experiments.storage.stored_summary import check_format as check_format
from experiments.storage.stored_tables import ROW_BYTES, read_batches

RESULTS = ("runs.parquet", "updates.parquet", "steps.parquet", "snapshots.safetensors", "config.toml")
FOLDERS = ("checkpoint", "parts", "policies", "tensorboard", "figures")
SUMMARY, SUMS, REPORT = "summary.json", "SHA256SUMS", "report.html"
SOURCE = "source.txt"  # in folders that `argument` made: a digest of the code behind the results
TRAIN, ARGUMENT = "train.py", "experiments.argument"  # the commands that train into a folder

State = dict[str, NDArray[Any]]
Position = dict[str, Any]  # how far a sink has written, in JSON types


# The files that a training writes, by name; policies are named after the arms.
_NAMES = (
    *map(re.escape, (SUMMARY, SUMS, REPORT, SOURCE, *RESULTS)),
    r"checkpoint/update-\d{9}-[0-9a-f]{32}\.safetensors",
    r"parts/(updates|steps)-\d{6}\.parquet",
    r"policies/[a-z0-9_]+\.safetensors",
    rf"figures/(dose_)?({'|'.join({**MEASURES, **RUN_MEASURES})})(_by_arm)?\.svg",
    r"figures/(return_profile|first_success|by_world)\.svg",
    r"tensorboard/(.+/)?events\.out\.tfevents\.0{10}",
)


class RunFolder(OwnedFolder):
    """`runs/<name>`, in which files are written whole and checked when they are read."""

    KIND = "training"
    OWN = re.compile("|".join(_NAMES))
    FOLDERS = FOLDERS

    @property
    def is_finished(self) -> bool:
        return (self.path / SUMMARY).exists()

    @property
    def has_begun(self) -> bool:
        """Whether a training's config is there; from then on, it can be resumed."""
        return (self.path / "config.toml").exists()

    def _maker_by_content(self) -> str | None:
        """Our command, if there are finished results with checksums, or a checkpoint of an unfinished training."""
        if re.fullmatch("[0-9a-f]{16}", self.source()):
            return ARGUMENT
        if self.is_finished:
            try:
                _summary_bytes(self.path / SUMMARY)
                self.check(SUMMARY)
                self.check("config.toml")
            except NewerFormat:
                raise
            except StoreError:
                return None
        elif not any(self.is_own(name) for name in self.names("checkpoint")):
            return None
        return TRAIN

    def source(self) -> str:
        """The digest of the code behind everything in the folder; "": not stored."""
        with suppress(FileNotFoundError):
            return self.read(SOURCE, 99).decode(errors="replace")
        return ""

    def clear(self) -> list[str]:
        """Remove the files of an earlier training; returns the names of all other files, which stay.

        The checksums and the summary go first, then the checkpoints. If the command is killed meanwhile, it leaves
        an unfinished training that starts again. The config stays until the next one replaces it.
        """
        files, policies = self.files(), self._policies()
        own = [name for name in files if (name in policies if "policies/" in name else self.is_own(name))]
        first = (SOURCE, SUMMARY, SUMS)
        order = [*first, *(name for name in own if name.startswith("checkpoint/")), *own]
        self._remove_all(name for name in dict.fromkeys(order) if name not in (*self.BESIDE, "config.toml"))
        return [name for name in files if name not in own]

    def tidy(self) -> None:
        """Remove what a finished training no longer needs; the parts last, since checkpoints need them."""
        for folder in ("checkpoint", "parts"):
            self._remove_all(name for name in self.names(folder) if self.is_own(name))
            self.remove(folder)

    def _remove_all(self, names: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        emptied: set[Path] = set()
        for name in names:
            self.remove(name)
            emptied.update(Path(name).parents[:-1])
        for folder in sorted(emptied, reverse=True):
            self.remove(folder.as_posix())

    def _policies(self) -> list[str]:
        """The names of the arms' policies; none, if the config cannot be read."""
        arms: Iterable[str] = ()
        with suppress(ConfigError, OSError):
            arms = load_stored(self.path / "config.toml").arms
        files = {f"policies/{arm}.safetensors" for arm in arms}
        return [name for name in self.names("policies") if name in files]

    def write_table(self, name: str, table: pa.Table) -> str:
        """Write a Parquet file that names its config and this version; returns its SHA-256."""
        data = parquet_bytes(stamped(table, self._origin()))
        self.write(name, data)
        return hashlib.sha256(data).hexdigest()

    def _origin(self) -> dict[str, str]:
        return origin((self.path / "config.toml").read_bytes())

    def write_config(self, config: Config) -> None:
        self.write("config.toml", config_text(config))

    def write_policies(self, parameters: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
        """One file per arm: policies/<arm>.safetensors with "seed_<k>/<layer>"; and, as JSON, what `about` says of
        the arm. (All of it in one text: those of a file have no order, but its bytes follow from the training.)"""
        for arm, arrays in grouped(parameters).items():
            text = json.dumps({**about[arm], **self._origin()})
            self.write(f"policies/{arm}.safetensors", array_bytes(arrays, {"about": text}))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Finish the folder: write the checksums of all results, and then the summary."""
        found = {"format": FORMAT, "config_sha256": self._origin()["config_sha256"], **summary}
        text = (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
        names = [name for name in RESULTS if (self.path / name).exists()] + self._policies()
        sums = {name: sha256(self.path / name) for name in names}
        sums[SUMMARY] = hashlib.sha256(text).hexdigest()
        self.write(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        self.write(SUMMARY, text)

    def read_config(self) -> Config:
        """The resolved config of the training in this folder."""
        self.check("config.toml")
        return load_stored(self.path / "config.toml")

    def read_summary(self) -> dict[str, Any]:
        """The summary of a finished folder, in plain types.

        Raises:
            StoreError: there is none, it is damaged or belongs to another config, or a newer version wrote it.
        """
        place = self.path / SUMMARY
        if not self.is_finished:
            raise StoreError(f"{self.path}: there is no finished training (no {SUMMARY})")
        if not self.has_begun and not (self.path / SUMS).exists():
            raise self.not_a_run_folder()  # a sweep and an argument have a summary, too
        data = _summary_bytes(place)
        self.check(SUMMARY)
        return stored_summary.read_summary(place, data, self.read_config())

    def not_a_run_folder(self) -> StoreError:
        return StoreError(f"{self.path}: not a run folder (it has no config.toml)")

    def read_batches(
        self, name: str, columns: Sequence[str] | None = None, max_rows: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A table of a finished folder, or some of its columns, in pieces.

        Raises:
            StoreError: it is missing or damaged, lacks a column, or holds more than may be read.
        """
        self.check(name, ROW_BYTES * (max_rows or 0))
        return read_batches(self.path / name, columns, max_rows)

    def read_table(self, name: str, columns: Sequence[str] | None = None, max_rows: int | None = None) -> pa.Table:
        """As `read_batches`, in one piece."""
        return pa.Table.from_batches(list(self.read_batches(name, columns, max_rows)))

    def check(self, name: str, most: int = 0) -> None:
        """Check that a file of a finished folder is what the training wrote.

        Args:
            name: of the file.
            most: bytes that its config can make, where these may be more than MAX_BYTES.
        Raises:
            StoreError: it is missing or damaged, or larger.
        """
        if not self.is_finished:
            return
        if read_sums(self.path / SUMS).get(name) != sha256(self.path / name, max(most, MAX_BYTES)):
            raise StoreError(f"{self.path / name}: damaged (it does not match {SUMS})")


def _summary_bytes(place: Path) -> bytes:
    """The content of a summary, unless a newer version of the program wrote it."""
    data = content(place, stored_summary.MAX_BYTES)
    stored_summary.check_version(place, data)
    return data


def parquet_bytes(table: pa.Table) -> pa.Buffer:
    """A table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **parquet_options(table.schema))
    return sink.getvalue()


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options for writing a table.

    Only the column of arms repeats its values, so only it gets a dictionary; integers change little from row to
    row.
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
