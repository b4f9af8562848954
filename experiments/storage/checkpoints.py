"""Checkpoints: all that training needs in order to resume, in files that carry their own checksum."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field

from experiments.storage.run_folder import FORMAT, Position, RunFolder, State, StoreError, check_format, sha256
from experiments.storage.stored_arrays import arrays_of, grouped, metadata_of
from experiments.storage.stored_files import content
from experiments.storage.stored_summary import Text

SLACK = 1 << 26  # bytes of a checkpoint besides its arrays: names, shapes, positions
Count = Annotated[int, Field(ge=0, lt=2**62)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Moment(NamedTuple):
    """A moment of training.

    Attributes:
        update: the number of updates done.
        states: the states of all shares of the seeds, as `Workers` takes and gives them.
        positions: how far each sink has written.
        log_steps: as in `session.Options`; a resumed training keeps it.
        seconds: how long training took so far.
        arithmetic: what the last bits depend on in the process that computed it; see `numerics.arithmetic`.
        changes: in words, how resuming changed the arithmetic so far.
    """

    update: int
    states: Sequence[State]
    positions: Mapping[str, Position]
    log_steps: int
    seconds: float
    arithmetic: Mapping[str, str]
    changes: Sequence[str]


class _Format(BaseModel):
    model_config = ConfigDict(strict=True)
    format: int


class _Tables(BaseModel):
    model_config = ConfigDict(strict=True)
    updates: list[Digest]
    steps: list[Digest]


class _Snapshots(BaseModel):
    model_config = ConfigDict(strict=True)
    moments: Count


class _Positions(BaseModel):
    """How far the sinks had written; `board` is missing without TensorBoard."""

    model_config = ConfigDict(strict=True)
    tables: _Tables
    snapshots: _Snapshots
    board: dict[str, Count] | None = None


class _About(_Format):
    """The metadata of a checkpoint."""

    config: str  # SHA-256 of config.toml, as it was written
    update: Count
    positions: _Positions
    log_steps: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    arithmetic: dict[Text, Text]
    changes: list[Text]


class OlderFormat(StoreError):
    """An earlier version wrote the checkpoint, and this one cannot resume from it."""


class Checkpoints:
    """The last two checkpoints, `checkpoint/update-<n>-<digest>.safetensors`."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def paths(self) -> list[Path]:
        """The paths of the checkpoints, newest first."""
        names = filter(self._folder.is_own, self._folder.names("checkpoint"))
        return sorted((self._folder.path / name for name in names), reverse=True)

    def save(self, moment: Moment) -> None:
        """Store a moment; of the earlier ones only the last is kept."""
        arrays = {
            f"{share}/{name}": np.asarray(array, order="C")
            for share, state in enumerate(moment.states)
            for name, array in state.items()
        }
        about = {"format": FORMAT, "config": self._config(), **moment._asdict()}
        del about["states"]
        data = safetensors.numpy.save(arrays, {"about": json.dumps(about)})
        self._folder.write(f"checkpoint/update-{moment.update:09d}-{_digest(data)}.safetensors", data)
        self._forget(self.paths()[2:])

    def read(self, path: Path, state_bytes: int) -> Moment:
        """Read a moment of this config.

        Args:
            path: one of `paths`.
            state_bytes: about how large the states are; a much larger file is not read.
        Raises:
            ValueError: it is damaged, or belongs to another config.
            OlderFormat, NewerFormat: another version wrote it.
        """
        try:
            data = content(path, 2 * state_bytes + SLACK)
        except StoreError as error:
            raise ValueError(str(error)) from None
        if _digest(data) != path.stem.rpartition("-")[2]:
            raise ValueError("damaged (its checksum is wrong)")
        arrays, text = arrays_of(data), metadata_of(data, "about")
        found = _Format.model_validate_json(text).format
        check_format(path, found)
        if found < FORMAT:
            raise OlderFormat(
                f"{self._folder.path}: an earlier version began this training, with other random numbers; "
                "finish it with that version, start again with --overwrite, or use --out"
            )
        about = _About.model_validate_json(text)
        if about.config != self._config():
            raise ValueError("belongs to another config")
        positions = about.positions.model_dump(exclude_none=True)
        states = [state for _, state in sorted(grouped(arrays).items(), key=lambda share: int(share[0]))]
        return Moment(
            about.update, states, positions, about.log_steps, about.seconds, about.arithmetic, about.changes
        )

    def _config(self) -> str:
        return sha256(self._folder.path / "config.toml")

    def forget_after(self, path: Path) -> None:
        """Remove the checkpoints that are newer than `path`, from which training resumes."""
        paths = self.paths()
        self._forget(paths[: paths.index(path)])

    def _forget(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self._folder.remove(f"checkpoint/{path.name}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
