"""Preprocess 2: the monthly pickles become TFRecords - blocks of consecutive hours, each hour about once.

The unit of work is the block. Blocks cross months, but never a gap or the edge of a split.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.data_preprocess.restart import earlier_run, remove_strays, whole_outputs
from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.datasets.statistics import read_statistics
from video_prediction_tools.datasets.tfrecords import (
    DIRECTORY,
    SPLITS,
    Block,
    block_entries,
    count_sequences,
    write_block,
)
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import OpenRecord, Record
from video_prediction_tools.ranks import Ranks

RECIPE_NAMES = {
    "sequence_length": "sequence length",
    "block_length": "block length",
    "dataset_fingerprint": "content of the data set",
}
_BLOCK_IN_SEQUENCES = (
    12  # a block of 12 sequence lengths stores 9 % of its hours twice, and is small to shuffle
)


@dataclass(frozen=True)
class Plan:
    """All that a rank needs to write its blocks.

    Arguments:
        directory: ``<data set>/tfrecords``.
        blocks: of all splits, each split in order of time.
        details: of metadata.json, without the blocks (docs/data_formats.md).
        recipe: all that decides about the result.
    """

    directory: Path
    blocks: tuple[Block, ...]
    details: dict[str, Any]
    recipe: dict[str, Any]

    def of(self, split: str) -> list[Block]:
        """Return the blocks of one split."""
        return [block for block in self.blocks if block.path.parent.name == split]


def make_plan(
    data_directory: Path,
    dataset: Record,
    observations: Observations,
    sequence_length: int,
    block_length: int | None,
) -> Plan:
    """Plan the blocks.

    Arguments:
        data_directory: the data set.
        dataset: its record.
        observations: its hours.
        sequence_length: time steps of a sequence.
        block_length: most time steps of a block; None: 12 sequence lengths.

    Raises:
        InputError: a length that does not fit, the statistics of another data set, a month that is missing,
            or a split without a gap-free stretch as long as a sequence.
    """
    if sequence_length < 2:
        raise InputError(
            "--sequence_length", f"{sequence_length} is too short", "a sequence has at least 2 time steps"
        )
    block_length = _BLOCK_IN_SEQUENCES * sequence_length if block_length is None else block_length
    if block_length < sequence_length:
        raise InputError(
            "--block_length",
            f"{block_length} is less than one sequence ({sequence_length})",
            f"give at least {sequence_length}; {_BLOCK_IN_SEQUENCES * sequence_length} is the default",
        )
    _check_files(data_directory, dataset, observations)
    directory, step = Path(data_directory) / DIRECTORY, observations.step_hours * time.HOUR
    blocks: list[Block] = []
    for split in SPLITS:
        runs = time.runs(observations.hours(split), step)
        lengths = [(last - first) // step + 1 for first, last in runs]
        if max(lengths) < sequence_length:
            raise InputError(
                "--sequence_length",
                f"{sequence_length} is longer than any gap-free stretch of {split} (the "
                f"longest has {max(lengths)} time steps)",
                f"give at most {max(lengths)}, or give {split} more data and run the step 'preprocess1' "
                f"again",
            )
        for (first, _), length in zip(runs, lengths, strict=True):
            blocks += [
                _block(directory, split, first + start * step, frames, step, sequence_length)
                for start, frames in cut_run(length, sequence_length, block_length)
            ]
    height, width, _ = observations.shape
    details = {
        "sequence_length": sequence_length,
        "window_stride": 1,
        "step_hours": observations.step_hours,
        "variables": list(observations.variables),
        "height": height,
        "width": width,
        "dataset_fingerprint": observations.fingerprint,
    }
    recipe = {
        "sequence_length": sequence_length,
        "block_length": block_length,
        "dataset_fingerprint": observations.fingerprint,
    }
    return Plan(directory, tuple(blocks), details, recipe)


def cut_run(length: int, sequence_length: int, block_length: int) -> list[tuple[int, int]]:
    """Cut a gap-free run into blocks of about equal size.

    Arguments:
        length: time steps of the run; one shorter than a sequence gives no block.
        sequence_length: blocks overlap by one less than this.
        block_length: most time steps of a block.

    Returns:
        First step and number of steps of each block.
    """
    sequences = count_sequences(length, sequence_length, 1)
    number = -(-sequences // (block_length - sequence_length + 1))
    edges = [sequences * index // number for index in range(number + 1)] if number else []
    return [
        (start, stop - start + sequence_length - 1) for start, stop in zip(edges, edges[1:], strict=False)
    ]


def kept_blocks(plan: Plan, ranks: Ranks) -> tuple[list[int], bool]:
    """Look at what an earlier run has left; the ranks share the reading.

    Returns:
        The numbers of the blocks that are done and whole, and whether the directory is finished and whole
        altogether.

    Raises:
        InputError: the directory was finished with other arguments or from other data, or its metadata are
            damaged.
    """
    remedy = f"delete {plan.directory} to make it anew"
    earlier = ranks.first_tells(
        lambda: earlier_run(plan.directory, "tfrecords", plan.recipe, RECIPE_NAMES, remedy)
    )
    if earlier is None:
        return [], False
    whole = whole_outputs(plan.directory, earlier, ranks)
    kept = [number for number, block in enumerate(plan.blocks) if _name(plan, block) in whole]
    return kept, earlier.state == "done" and whole == set(earlier.outputs) and len(kept) == len(plan.blocks)


def begin(plan: Plan, opened: OpenRecord, kept: list[int]) -> None:
    """Forget what is not kept of an earlier run."""
    names = {_name(plan, plan.blocks[number]) for number in kept}
    opened.record.outputs = {name: opened.record.outputs[name] for name in sorted(names)}
    opened.record.details = {"recipe": plan.recipe}
    opened.save()
    remove_strays(plan.directory, SPLITS, names)


def make_block(plan: Plan, observations: Observations, number: int) -> dict[str, Any]:
    """Write one block.

    Returns:
        Its entry in the metadata's outputs: ``bytes`` and ``sha256``.

    Raises:
        InputError: a pickle is missing, damaged, or of another data set.
    """
    block = plan.blocks[number]
    step = observations.step_hours * time.HOUR
    times = np.arange(block.frames, dtype=np.int64) * step + block.start
    size, digest = write_block(block.path, observations.fields(times), times, observations.fingerprint)
    return {"bytes": size, "sha256": digest}


def note_blocks(plan: Plan, opened: OpenRecord, done: list[tuple[int, dict[str, Any]]]) -> None:
    """Keep finished blocks (number, value of `make_block`) in metadata.json: they are not done again."""
    opened.record.outputs.update({_name(plan, plan.blocks[number]): entry for number, entry in done})
    opened.save()


def finish(plan: Plan, opened: OpenRecord) -> float:
    """Write the index of the blocks into the metadata, when all are done.

    Returns:
        Size of the TFRecords over the size of the hours that they hold, as float32.
    """
    opened.record.details |= plan.details | {
        "n_sequences": {split: sum(block.sequences for block in plan.of(split)) for split in SPLITS},
        "blocks": {split: block_entries(plan.directory, plan.of(split)) for split in SPLITS},
    }
    hours = sum(
        len(
            np.unique(
                np.concatenate(
                    [
                        np.arange(block.frames) * plan.details["step_hours"] * time.HOUR + block.start
                        for block in plan.of(split)
                    ]
                )
            )
        )
        for split in SPLITS
    )
    raw = 4 * hours * plan.details["height"] * plan.details["width"] * len(plan.details["variables"])
    return sum(entry["bytes"] for entry in opened.record.outputs.values()) / raw


def _block(directory: Path, split: str, start: int, frames: int, step: int, sequence_length: int) -> Block:
    first, last = (time.compact(moment) for moment in (start, start + (frames - 1) * step))
    return Block(
        directory / split / f"{first}_to_{last}.tfrecord",
        start,
        frames,
        count_sequences(frames, sequence_length, 1),
    )


def _name(plan: Plan, block: Block) -> str:
    return block.path.relative_to(plan.directory).as_posix()


def _check_files(data_directory: Path, dataset: Record, observations: Observations) -> None:
    """Check that statistics and pickles are those of the data set, before anything heavy is begun."""
    statistics = read_statistics(data_directory, dataset)
    if set(statistics) != set(observations.variables):
        raise InputError(
            Path(data_directory) / "statistics.json",
            f"has statistics of {', '.join(sorted(statistics))}, the "
            f"data set holds {', '.join(observations.variables)}",
            "run the step 'preprocess1' again",
        )
    for name, entry in dataset.outputs.items():
        path = Path(data_directory) / name
        if not path.is_file() or path.stat().st_size != entry["bytes"]:
            raise InputError(
                path,
                "is missing, or has not the size that preprocess 1 wrote",
                "run the step 'preprocess1' again, it makes what is missing",
            )
