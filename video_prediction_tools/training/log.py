"""What a training leaves to look at: training_log.csv, and the same curves for TensorBoard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from video_prediction_tools.metadata.files import raise_as_input_error
from video_prediction_tools.progress import say

COLUMNS = ("step", "epoch", "train_loss", "val_loss", "learning_rate", "sequences_per_second")
LOG_NAME = "training_log.csv"


class TrainingLog:
    """Writes training_log.csv and TensorBoard's event files.

    Arguments:
        directory: the model directory.
        length: bytes of training_log.csv that belong to the checkpoint that training goes on from; what an
            earlier, killed attempt wrote after it is taken away, so that no line stands twice.
        step: of that checkpoint; TensorBoard drops what the killed attempt wrote after it.
    """

    def __init__(self, directory: Path, length: int, step: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.path = Path(directory) / LOG_NAME
        self.length = min(length, self.path.stat().st_size if self.path.exists() else 0)
        if self.length < length:
            say(
                f"note: the lines of {self.path} up to step {step} are not there any more; the log begins anew"
            )
            self.length = 0
        if self.length:
            self._cut()
        else:
            self._write(",".join(COLUMNS), "wb")
        # TensorBoard's own writer: TensorFlow's cannot say that the run begins anew from a step
        self.events = EventFileWriter(str(Path(directory) / "tensorboard"))
        self.events.add_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(
        self,
        *,
        step: int,
        epoch: int,
        train_loss: float,
        val_loss: float | None,
        learning_rate: float,
        sequences_per_second: float,
        parts: dict[str, float],
    ) -> None:
        """Add a line to training_log.csv and its values to TensorBoard; the line is on disk afterwards.

        Arguments:
            epoch: 1 for the first.
            train_loss: mean since the line before.
            val_loss: None where there was no validation at this step (an empty field).
            parts: parts of the losses, for TensorBoard only.
        """
        values = (
            step,
            epoch,
            repr(train_loss),
            "" if val_loss is None else repr(val_loss),
            f"{learning_rate:.9g}",
            f"{sequences_per_second:.4g}",
        )
        self._write(",".join(map(str, values)), "ab")
        curves = {
            "train_loss": train_loss,
            "val_loss": val_loss,
            "learning_rate": learning_rate,
            "sequences_per_second": sequences_per_second,
            **parts,
        }
        self._add_scalars(step, {name: value for name, value in curves.items() if value is not None})

    def close(self) -> None:
        """Write what is left for TensorBoard."""
        self.events.close()

    def _cut(self) -> None:
        with self._opened("r+b") as file:
            file.truncate(self.length)

    def _write(self, line: str, mode: str) -> None:
        with self._opened(mode) as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.length += len(line) + 1

    @contextmanager
    def _opened(self, mode: str) -> Iterator[BinaryIO]:
        try:
            with open(self.path, mode) as file:
                yield file
        except OSError as error:
            raise_as_input_error(error, self.path)
            raise

    def _add_scalars(self, step: int, values: dict[str, float]) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.events.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))
        self.events.flush()
