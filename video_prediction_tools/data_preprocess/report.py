"""What the preprocessing programs tell the user: the plan, what was found in the data, the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from video_prediction_tools.data_preprocess.region import degrees
from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.statistics import VariableStatistics
from video_prediction_tools.datasets.tfrecords import SPLITS
from video_prediction_tools.metadata.record import OpenRecord
from video_prediction_tools.progress import say
from video_prediction_tools.ranks import Ranks

if TYPE_CHECKING:  # preprocess 2 does not need what preprocess 1 imports, and the other way round
    from video_prediction_tools.data_preprocess.blocks import Plan as BlockPlan
    from video_prediction_tools.data_preprocess.dataset import Plan

_LISTED = 10  # gaps named one by one


def say_plan(plan: Plan, sw_corner: tuple[float, float], ranks: int) -> None:
    """Say what will be made, and what is missing or out of order in the extracted data."""
    request, region, times = plan.request, plan.region, plan.times()
    say(f"data set {request.data_name}, {ranks} process{'es' if ranks > 1 else ''}")
    corner = degrees(region.lat[-1], region.lon[0])
    asked = degrees(*sw_corner)
    nearest = "" if corner == asked else f" (grid point nearest to {asked})"
    say(
        f"region: {len(region.lat)} x {len(region.lon)} points from {corner}{nearest} "
        f"to {degrees(region.lat[0], region.lon[-1])}"
    )
    say(
        f"times: {len(times)} from {time.text(times[0])} to {time.text(times[-1])}, step "
        f"{plan.step // time.HOUR} h"
    )
    if request.missing_months:
        say(f"months that were not extracted: {', '.join(request.missing_months)}")
    for first, last in plan.gaps[:_LISTED]:
        say(
            f"gap: {time.text(first)}..{time.text(last)} ({(last - first) // plan.step + 1} times are "
            f"missing)"
        )
    if len(plan.gaps) > _LISTED:
        say(f"and {len(plan.gaps) - _LISTED} more gaps (all of them are in metadata.json)")
    for file, content in zip(request.files, plan.contents, strict=True):
        if content.unsorted:
            say(f"{file.path.name}: times are out of order, they are sorted")
        if content.doubles:
            say(
                f"{file.path.name}: {len(content.doubles)} times are there twice with equal values, one of "
                f"each is taken"
            )
    members = request.split.members(times)
    say(
        "times of the splits: "
        + ", ".join(f"{split} {int(there.sum())}" for split, there in members.items())
        + f", of none {int((sum(members.values()) == 0).sum())}"
    )


def say_statistics(plan: Plan, statistics: dict[str, VariableStatistics], opened: OpenRecord) -> None:
    """Say the statistics of the training split, and what was filled."""
    units = dict(zip(plan.names, opened.record.details["units"], strict=True))
    for name, one in statistics.items():
        say(
            f"{name} [{units[name]}] in train: min {one.min:g}, max {one.max:g}, mean {one.mean:g}, std "
            f"{one.std:g}"
        )
        filled = sum(month["filled"].get(name, 0) for month in opened.record.details["months"].values())
        if filled:
            say(f"{name}: {filled} missing values filled (--fill {plan.request.fill})")


def say_whole(ranks: Ranks, what: str) -> None:
    """Say that an earlier run has done it all."""
    if ranks.is_first:
        say(f"{what} (SHA-256 verified): nothing to do")


def say_blocks(plan: BlockPlan, ranks: int) -> None:
    """Say which blocks will be written."""
    say(f"TFRecords of {plan.directory.parent.name}, {ranks} process{'es' if ranks > 1 else ''}")
    for split in SPLITS:
        blocks = plan.of(split)
        say(
            f"{split}: {sum(block.sequences for block in blocks)} sequences of "
            f"{plan.recipe['sequence_length']} time steps in "
            f"{len(blocks)} block{'s' if len(blocks) > 1 else ''}"
        )


def say_size(ratio: float) -> None:
    """Say how much larger the TFRecords are than the hours in them."""
    say(f"size of the TFRecords over the size of the hours in them: {ratio:.3f}")
