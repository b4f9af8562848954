"""Where the updates of a training go: tables, snapshots and TensorBoard."""

from collections.abc import Mapping
from typing import Protocol

from experiments.figures.showing import Showing
from experiments.storage.run_folder import Position, RunFolder
from experiments.storage.snapshots import SnapshotSink
from experiments.storage.table_sink import TableSink
from experiments.training.loop import Training
from experiments.training.records import Records


class Sink(Protocol):
    """Something that takes blocks of updates, and can be cut back to an earlier position."""

    def write(self, records: Records) -> None: ...
    def flush(self) -> Position: ...
    def restore(self, position: Position) -> None: ...


class Sinks:
    """All sinks of a run folder.

    Attributes:
        tables: of updates and steps.
        board: TensorBoard's event files; None: none are written.
        log_steps: as in `Options`.

    Args:
        folder: the run folder.
        training: the training whose records will come.
        showing: collects what could not be written for TensorBoard.
        log_steps: as in `Options`.
        tensorboard: whether to write event files.
    """

    def __init__(
        self, folder: RunFolder, training: Training, showing: Showing, log_steps: int, tensorboard: bool
    ) -> None:
        from experiments.tensorboard.sink import BoardSink  # loaded while training goes on

        mdp, updates = training.world.mdp, training.config.most_updates
        tables = None if mdp is None else (mdp.states, mdp.actions)
        self.log_steps = log_steps
        self.tables = TableSink(folder, training.runs, updates, log_steps)
        self.board = BoardSink(folder, training, log_steps, showing) if tensorboard else None
        self._all: dict[str, Sink] = {
            "tables": self.tables,
            "snapshots": SnapshotSink(folder, training.runs, updates, tables),
        }
        if self.board is not None:
            self._all["board"] = self.board

    def write(self, records: Records) -> None:
        for sink in self._all.values():
            sink.write(records)

    def flush(self) -> dict[str, Position]:
        return {name: sink.flush() for name, sink in self._all.items()}

    def restore(self, positions: Mapping[str, Position]) -> None:
        for name, sink in self._all.items():
            sink.restore(positions[name])
