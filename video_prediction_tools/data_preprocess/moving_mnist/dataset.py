"""Write a data set of Moving MNIST: statistics and description, then the sequences in TFRecords.

The unit of work is the file, a block of whole sequences. What is done is noted in the metadata, file by file, and
a run that was stopped goes on behind it.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.data_preprocess import blocks
from video_prediction_tools.data_preprocess.moving_mnist.plan import RECIPE_NAMES, Plan
from video_prediction_tools.data_preprocess.restart import earlier_run, whole_outputs
from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.fresh import DIGITS_FILE
from video_prediction_tools.datasets.statistics import FILE_NAME as STATISTICS
from video_prediction_tools.datasets.statistics import VariableStatistics, write_statistics
from video_prediction_tools.datasets.tfrecords import DIRECTORY, SPLITS, Block, write_block
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import whole_file, write_json
from video_prediction_tools.metadata.record import OpenRecord, arguments_of, running
from video_prediction_tools.progress import progress, say
from video_prediction_tools.ranks import Ranks

VARIABLE = "digits"
DESCRIPTION = "sequences.json"
STEP_HOURS = 1
_BLOCK_BYTES = 32 * 2**20
_ALONE = (
    Ranks()
)  # what is shared with weather data can be shared out over ranks; here one process does it all


def say_plan(plan: Plan) -> None:
    """Say what will be made, from what."""
    motion, source = plan.motion, plan.name.source
    say(f"data set {plan.name}")
    say(
        f"sequences of {motion.sequence_length} frames, {motion.size} x {motion.size} pixels, "
        f"{motion.n_digits} digit{'s' if motion.n_digits > 1 else ''}"
    )
    for split, number in plan.numbers.items():
        made = (
            f"drawn from {len(plan.pools[split])} digits of their own"
            if split in plan.pools
            else "of the array"
        )
        say(f"{split}: {number} sequences, {made}")
    for note in plan.notes:
        say(f"note: {note}")
    if plan.name.fresh:
        say(
            "training will draw its sequences afresh in every epoch; those in the TFRecords give the statistics"
        )
    if source == "glyphs":
        say("the digits are made up here (--glyphs): scores are not comparable with published ones")
    if source == "sequences":
        say(
            "all splits are cut from one array: digits of the tests were seen in training, and scores flatter"
        )


def write_dataset(plan: Plan, program: str, options: argparse.Namespace) -> None:
    """Make the data set, or what is missing of it; say what is done.

    Raises:
        InputError: the directory holds another data set or is being written by another run, or the disk is full.
    """
    remedy = f"delete {plan.directory}, or give another --destination_dir"
    earlier = earlier_run(plan.directory, "dataset", plan.recipe, RECIPE_NAMES, remedy)
    described = earlier is not None and whole_outputs(plan.directory, earlier, _ALONE) == _described(plan)
    if described and earlier.state == "done":
        block_plan = _plan_blocks(plan, earlier.fingerprint())
        if blocks.kept_blocks(block_plan, _ALONE)[1]:
            say(f"all {len(block_plan.blocks)} files are there and whole (SHA-256 verified): nothing to do")
            return
    _require_space(plan)
    about = {"program": program, "arguments": arguments_of(vars(options)), "name": str(plan.name)}
    with running(plan.directory, kind="dataset", inputs=plan.inputs, **about) as opened:
        if not described:
            _describe(plan, opened)
        fingerprint = opened.record.fingerprint()
        block_plan = _plan_blocks(plan, fingerprint)
        kept, _ = blocks.kept_blocks(block_plan, _ALONE)
        inputs = {str(plan.directory.resolve()): fingerprint}
        with (
            running(block_plan.directory, kind="tfrecords", inputs=inputs, **about) as opened_blocks,
            progress("files", len(block_plan.blocks), done=len(kept)) as advance,
        ):
            blocks.begin(block_plan, opened_blocks, kept)
            for number in (number for number in range(len(block_plan.blocks)) if number not in kept):
                result = _make_block(plan, block_plan.blocks[number], fingerprint)
                blocks.note_blocks(block_plan, opened_blocks, [(number, result)])
                advance()
            blocks.finish(block_plan, opened_blocks)


def _require_space(plan: Plan) -> None:
    """Check that the files will have room, as far as is known.

    Raises:
        InputError: they will not.
    """
    motion, place = plan.motion, plan.directory.absolute()
    needed = 4 * motion.sequence_length * motion.size**2 * sum(plan.numbers.values())
    there = sum(path.stat().st_size for path in (place / DIRECTORY).glob("*/*.tfrecord"))
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    say(
        f"the files take {needed / 1e9:.3g} GB ({4 * motion.sequence_length * motion.size**2 / 1e3:.0f} kB a sequence)"
    )
    if needed - there > free:
        raise InputError(
            "--destination_dir",
            f"{place} has room for {free / 1e9:.3g} GB, {(needed - there) / 1e9:.3g} GB are needed",
            "ask for fewer sequences (--n_train, --n_val, --n_test), or give a place with more room",
        )


def _describe(plan: Plan, opened: OpenRecord) -> None:
    """Write the statistics of the training split, and what the sequences are."""
    opened.record.outputs, opened.record.details = {}, {"recipe": plan.recipe}
    opened.save()
    statistics = _statistics(plan)
    say(
        f"{VARIABLE} [1] in train: mean {statistics.mean:.5f}, std {statistics.std:.5f} "
        "(the range 0..1 is what the normalisation minmax takes)"
    )
    last = (plan.numbers["train"] * plan.motion.sequence_length - 1) * STEP_HOURS * time.HOUR
    path = write_statistics(plan.directory, {VARIABLE: statistics}, [[time.text(0), time.text(last)]])
    opened.add_output(path)
    # the fingerprint of a data set is that of its files: this one makes it tell the sequences' origins apart
    write_json(plan.directory / DESCRIPTION, {"data_name": str(plan.name), **plan.recipe})
    opened.add_output(plan.directory / DESCRIPTION)
    if plan.name.fresh:
        path = plan.directory / DIGITS_FILE
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.save(file, plan.pools["train"].images)
        opened.add_output(path)
    opened.record.details = {
        "variables": [VARIABLE],
        "units": ["1"],
        "step_hours": STEP_HOURS,
        "synthetic": plan.name.source == "glyphs",
        "source": plan.name.source,
        "lat": [],
        "lon": [],
        "n_digits": plan.motion.n_digits,
        "notes": plan.notes,
        "fresh": {"seed": plan.name.seed, "sequences": plan.name.n_train} if plan.name.fresh else None,
        "splits": {
            split: {"sequences": number}
            | (
                {"digits": len(plan.pools[split]), "labels": plan.pools[split].counts()}
                if split in plan.pools
                else {}
            )
            for split, number in plan.numbers.items()
        },
        "recipe": plan.recipe,
    }
    opened.save()


def _described(plan: Plan) -> set[str]:
    """Return the files of the data set beside its TFRecords."""
    return {STATISTICS, DESCRIPTION, *([DIGITS_FILE] if plan.name.fresh else [])}


def _statistics(plan: Plan) -> VariableStatistics:
    """Return mean and standard deviation of the training split, exact: 256 values are counted.

    Minimum and maximum are those that a value can have, so that ``minmax`` leaves the values as they are.
    """
    counts = np.zeros(256, np.int64)
    source, number = plan.splits["train"], plan.numbers["train"]
    with progress("training sequences for the statistics", number) as advance:
        for index in range(number):
            counts += np.bincount(source.sequence(index).ravel(), minlength=256)
            advance()
    values, n = np.arange(256) / 255, int(counts.sum())
    mean = float((counts * values).sum() / n)
    std = float(np.sqrt((counts * (values - mean) ** 2).sum() / n))
    return VariableStatistics(0.0, 1.0, mean, std, n)


def _plan_blocks(plan: Plan, fingerprint: str) -> blocks.Plan:
    """Plan the files: whole sequences one behind the other, about 32 MB of them."""
    motion, directory = plan.motion, plan.directory / DIRECTORY
    length = motion.sequence_length
    together = max(1, _BLOCK_BYTES // (4 * length * motion.size**2))
    details = {
        "sequence_length": length,
        "window_stride": length,
        "step_hours": STEP_HOURS,
        "variables": [VARIABLE],
        "height": motion.size,
        "width": motion.size,
        "dataset_fingerprint": fingerprint,
    }
    recipe = {
        "sequence_length": length,
        "block_length": together * length,
        "dataset_fingerprint": fingerprint,
    }
    planned = tuple(
        Block(
            directory / split / f"{first:06d}_to_{last:06d}.tfrecord",
            first * length * STEP_HOURS * time.HOUR,
            (last - first + 1) * length,
            last - first + 1,
        )
        for split in SPLITS
        for first, last in _stretches(plan.numbers[split], together)
    )
    return blocks.Plan(directory, planned, details, recipe)


def _stretches(number: int, together: int) -> Iterator[tuple[int, int]]:
    for first in range(0, number, together):
        yield first, min(first + together, number) - 1


def _make_block(plan: Plan, block: Block, fingerprint: str) -> dict[str, Any]:
    """Write one file; returns its entry in the metadata's outputs."""
    source, motion = plan.splits[_split(block.path)], plan.motion
    first = block.start // (motion.sequence_length * STEP_HOURS * time.HOUR)
    frames = np.empty((block.sequences, motion.sequence_length, motion.size, motion.size), np.float32)
    for row in range(block.sequences):
        np.divide(source.sequence(first + row), np.float32(255), out=frames[row])
    times = block.start + np.arange(block.frames, dtype=np.int64) * STEP_HOURS * time.HOUR
    size, digest = write_block(
        block.path, frames.reshape(-1, motion.size, motion.size, 1), times, fingerprint
    )
    return {"bytes": size, "sha256": digest}


def _split(path: Path) -> str:
    return path.parent.name
