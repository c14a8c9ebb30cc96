"""Which forecasts there are to judge: the sequences of a split (preprocess 2 lets none cross a gap)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from video_prediction_tools.datasets.tfrecords import BlockIndex, read_block
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import step_that_makes

HOUR = 3600  # seconds


@dataclass(frozen=True)
class Batch:
    """What is known of some forecasts at their init_time.

    Arguments:
        init_times: int64 [B], seconds since 1970; of data without times the numbers of the sequences.
        valid_times: int64 [B, Tl]; of data without times the numbers of the lead frames.
        last_frame: frame of init_time [B, H, W, C], physical units.
        context: all context frames [B, Tc, H, W, C], where forecasts.nc keeps them (data without times).
    """

    init_times: np.ndarray
    valid_times: np.ndarray
    last_frame: np.ndarray
    context: np.ndarray | None = None


@dataclass(frozen=True)
class Sequences:
    """The chosen sequences of one split, in the order of time.

    Arguments:
        index: of the TFRecords.
        split: train, val or test.
        context_frames, lead_frames: Tc and Tl of the model.
        chosen: int64 [n, 2]: block and first frame of each sequence.
        init_times: int64 [n], time of the last context frame, seconds since 1970.
    """

    index: BlockIndex
    split: str
    context_frames: int
    lead_frames: int
    chosen: np.ndarray
    init_times: np.ndarray

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def lead_seconds(self) -> np.ndarray:
        """Lead times in seconds [Tl]."""
        return np.arange(1, self.lead_frames + 1) * int(self.index.step_hours * HOUR)

    @property
    def valid_times(self) -> np.ndarray:
        """Times of all lead frames [n, Tl]."""
        return self.init_times[:, np.newaxis] + self.lead_seconds

    @property
    def numbers(self) -> np.ndarray:
        """Numbers of the sequences in their split [n], from 0, of data made of separate sequences."""
        step = int(self.index.step_hours * HOUR)
        first = self.init_times - (self.context_frames - 1) * step
        return first // (self.index.sequence_length * step)

    def at(self, init_times: np.ndarray) -> "Sequences":
        """Return those of them that begin at one of some init_times."""
        kept = np.isin(self.init_times, init_times)
        return replace(self, chosen=self.chosen[kept], init_times=self.init_times[kept])

    def batches(self, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield frames float32 [B, Tc+Tl, H, W, C] and times int64 [B, Tc+Tl], one block in memory at a time.

        Raises:
            InputError: a TFRecord is damaged or belongs to another data set.
        """
        length = self.context_frames + self.lead_frames
        held, times, frames = -1, np.empty(0), np.empty(0)
        for start in range(0, len(self), batch_size):
            parts = []
            for block, first in self.chosen[start : start + batch_size].tolist():
                if block != held:
                    path = self.index.blocks[self.split][block].path
                    times, frames = read_block(path, self.index.dataset_fingerprint)
                    held = block
                parts.append((frames[first : first + length], times[first : first + length]))
            yield np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])


def choose_sequences(
    index: BlockIndex, split: str, context_frames: int, lead_frames: int, stride_hours: int = 1
) -> Sequences:
    """Choose the sequences of a split that a model is judged on.

    Arguments:
        index: of the TFRecords.
        split: train, val or test.
        context_frames, lead_frames: Tc and Tl; a sequence may be longer, its last frames are then not used.
        stride_hours: hours between two init_times, counted from the first; no more than the step takes all.

    Raises:
        InputError: sequences are too short, there are none, or the stride is no multiple of the step.
    """
    if index.sequence_length < context_frames + lead_frames:
        program_step = step_that_makes(index.directory, "preprocess2")
        raise InputError(
            index.directory,
            f"its sequences have {index.sequence_length} frames, the model needs "
            f"{context_frames} + {lead_frames}",
            f"run the step '{program_step}' with --sequence_length {context_frames + lead_frames}",
        )
    if stride_hours > index.step_hours and stride_hours % index.step_hours:
        raise InputError(
            "--stride",
            f"{stride_hours} h is no multiple of the data's step of {index.step_hours} h",
            f"give a multiple of {index.step_hours}",
        )
    windows = index.sequences(split)
    if not len(windows):
        raise InputError(
            index.directory / split,
            f"the split '{split}' has no sequences",
            "choose another --split, or prepare the data with a longer one",
        )
    starts = np.array([block.start for block in index.blocks[split]], dtype=np.int64)
    step = int(index.step_hours * HOUR)
    init_times = starts[windows[:, 0]] + (windows[:, 1] + context_frames - 1) * step
    kept = (init_times - init_times[0]) % max(stride_hours * HOUR, step) == 0
    return Sequences(index, split, context_frames, lead_frames, windows[kept], init_times[kept])
