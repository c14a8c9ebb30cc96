"""The terms on which a model is judged: forecasts, metrics, baselines, weights and blocks of one kind of data."""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.datasets.prepared import PreparedData
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import Record
from video_prediction_tools.metadata.variables import is_temperature
from video_prediction_tools.postprocess.baselines import Baseline, Sources, make_baselines, same_hour_before
from video_prediction_tools.postprocess.block_length import block_length
from video_prediction_tools.postprocess.bootstrap import MovingBlocks
from video_prediction_tools.postprocess.climatology import Climatology, read_climatology, training_climatology
from video_prediction_tools.postprocess.forecasts import Grid
from video_prediction_tools.postprocess.metrics.fields import Scale
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.metrics.profiles import PROFILES, Profile
from video_prediction_tools.postprocess.metrics.registry import metrics_by_name
from video_prediction_tools.postprocess.protocol import MOVING_MNIST, WEATHER, Protocol
from video_prediction_tools.postprocess.regions import regions
from video_prediction_tools.postprocess.sequences import HOUR, Sequences, choose_sequences
from video_prediction_tools.postprocess.weights import latitude_weights, sum_weights, uniform_weights

FEW_BLOCKS = 10  # with fewer independent blocks an interval is itself uncertain
SHORT_DAYS = 30
PUBLISHED = {"digits": 2, "pixels": 64, "context frames": 10, "lead frames": 10}


@dataclass(frozen=True)
class Terms:
    """What `Plan` says of it, for one kind of data.

    Arguments:
        protocol: of the data.
        grid: of the fields.
        sequences: the forecasts to make.
        metrics: the scores to make.
        climatology: reference of acc, or None.
        baselines: the products beside the model.
        scale: of the numbers.
        profiles: what is made besides the scores, for plots.
        weights: [lat, lon].
        weighting: what they are, in words.
        plot_leads: numbers of the lead times that maps and other plots show.
        regions: weights of land, sea and the sub-regions asked for, [region, lat, lon], or None.
        blocks: of the bootstrap.
        block, short_block: what a block is, in words.
        warnings: what a reader of the scores must know.
    """

    protocol: Protocol
    grid: Grid
    sequences: Sequences
    metrics: list[Metric]
    climatology: Climatology | None
    baselines: list[Baseline]
    scale: Scale
    profiles: list[Profile]
    weights: xr.DataArray
    weighting: str
    regions: xr.DataArray | None
    plot_leads: list[int]
    blocks: MovingBlocks
    block: str
    short_block: str
    warnings: list[str]


def weather_terms(
    options: Namespace, data: PreparedData, spec: dict[str, Any], only: np.ndarray | None = None
) -> Terms:
    """Return the terms for weather.

    Arguments:
        only: the init_times (int64, seconds since 1970) that there are forecasts for; None: all can be made.

    Raises:
        InputError: the flags do not fit the data.
    """
    index, region = data.index, data.region
    grid = Grid(index.variables, data.units, region.lat, region.lon)
    asked = _asked_metrics(options, WEATHER, grid.variables)
    sequences = choose_sequences(
        index, options.split, spec["context_frames"], spec["lead_frames"], options.stride
    )
    possible = len(sequences)
    if only is not None:
        sequences = sequences.at(only)
        if not len(sequences):
            raise InputError(
                "--model_dir",
                f"the imported forecasts have none of the {possible} init times of the {options.split} split",
                "choose another --split, or import forecasts for these times",
            )
    observations = Observations(data.directory)
    climatology, no_climatology = _climatology(options, observations, grid, sequences)
    metrics = [metric for metric in asked if climatology or not metric.needs_climatology]
    if metrics != asked and options.eval_metrics:
        raise InputError(
            "--eval_metrics acc",
            f"there is no climatology to compare with: {no_climatology}",
            "give a --climatology_file that covers the period, or leave acc out",
        )
    baselines, missing = make_baselines(Sources(observations, climatology, no_climatology))
    weights = (
        uniform_weights(index.height, index.width)
        if options.no_latitude_weights
        else latitude_weights(grid.lat, index.width)
    )
    spacing = max(options.stride, index.step_hours)
    if options.block_hours:
        length, chosen = math.ceil(options.block_hours / spacing), "asked for"
    else:
        length, chosen = (
            block_length(sequences, observations, weights, spacing),
            "chosen by the errors of persistence",
        )
    blocks = MovingBlocks(len(sequences), length, options.bootstrap_draws)
    warnings = [
        *_weather_warnings(sequences, blocks, observations),
        *(climatology.warnings(np.unique(sequences.valid_times)) if climatology else ()),
        *(f"The product {product} is missing: {reason}." for product, reason in missing.items()),
    ]
    if len(sequences) < possible:
        warnings.append(
            f"The imported forecasts have {len(sequences)} of the {possible} init times of the {options.split} split."
        )
    if len(metrics) < len(asked):
        warnings.append(f"The metric acc is missing: {no_climatology}.")
    return Terms(
        WEATHER,
        grid,
        sequences,
        metrics,
        climatology,
        baselines,
        _scale(data, grid),
        [one for one in PROFILES if any(map(is_temperature, grid.variables)) or not one.of_temperature],
        weights,
        "Weights of the grid points: "
        + ("all grid points the same" if options.no_latitude_weights else "cos(latitude)"),
        regions(weights, region, options.subregion),
        _plot_leads(options, sequences),
        blocks,
        f"moving blocks of {length} init times ({length * spacing:g} h, {chosen})",
        f"blocks of {length * spacing:g} h",
        warnings,
    )


def frame_terms(options: Namespace, data: PreparedData, spec: dict[str, Any], record: Record) -> Terms:
    """Return the terms for Moving MNIST.

    Arguments:
        record: metadata.json of the data set.

    Raises:
        InputError: a flag that only weather can have, or that does not fit the data.
    """
    for flag, given in (
        ("--climatology_file", options.climatology_file is not None),
        ("--block_hours", options.block_hours is not None),
        ("--no_latitude_weights", options.no_latitude_weights),
        ("--subregion", bool(options.subregion)),
        ("--plot_lead_hours", bool(options.plot_lead_hours)),
    ):
        if given:
            raise InputError(
                flag, "has no meaning for Moving MNIST: its frames have no place and no time", "leave it out"
            )
    index, protocol = data.index, MOVING_MNIST
    rows, columns = np.arange(index.height, dtype=float), np.arange(index.width, dtype=float)
    # sequences are told apart by the hours that data_formats.md gives to their frames
    every = options.stride * index.sequence_length * index.step_hours
    sequences = choose_sequences(index, options.split, spec["context_frames"], spec["lead_frames"], every)
    baselines, _ = make_baselines(Sources(None, None), protocol.baselines)
    grid = Grid(index.variables, data.units, rows, columns, protocol.layout)
    blocks = MovingBlocks(len(sequences), 1, options.bootstrap_draws)
    return Terms(
        protocol,
        grid,
        sequences,
        _asked_metrics(options, protocol, grid.variables),
        None,
        baselines,
        _scale(data, grid),
        [],
        sum_weights(index.height, index.width),
        "Errors are summed over the pixels of a frame",
        None,
        list(range(sequences.lead_frames)),  # strips show them all
        blocks,
        "single sequences (they are independent of each other)",
        "single sequences",
        _frame_warnings(data, record, spec, blocks),
    )


def _asked_metrics(options: Namespace, protocol: Protocol, variables: Sequence[str]) -> list[Metric]:
    """Return the metrics that were named, or those that are made by default."""
    if not options.eval_metrics:
        chosen = [metric for metric in protocol.metrics.values() if metric.by_default != "never"]
        return [metric for metric in chosen if any(map(metric.applies_to, variables))]
    chosen = metrics_by_name(options.eval_metrics, protocol.metrics)
    for metric in chosen:
        if not any(map(metric.applies_to, variables)):
            raise InputError(
                f"--eval_metrics {metric.name}",
                f"is defined for temperatures, and the data have {', '.join(variables)}",
                "leave it out",
            )
    return chosen


def _plot_leads(options: Namespace, sequences: Sequences) -> list[int]:
    """Return the lead times that were asked for, or the first, middle and last one."""
    hours = (sequences.lead_seconds / HOUR).tolist()
    if not options.plot_lead_hours:
        return sorted({0, (len(hours) - 1) // 2, len(hours) - 1})
    for hour in options.plot_lead_hours:
        if hour not in hours:
            raise InputError(
                f"--plot_lead_hours {hour:g}",
                f"the forecasts have the lead hours {hours[0]:g} to {hours[-1]:g}, every {hours[0]:g} h",
                "give some of them",
            )
    return sorted({hours.index(hour) for hour in options.plot_lead_hours})


def _scale(data: PreparedData, grid: Grid) -> Scale:
    ranges = [data.statistics[name]["max"] - data.statistics[name]["min"] for name in grid.variables]
    return Scale([is_temperature(name) for name in grid.variables], ranges, grid.lat, grid.lon)


def _climatology(
    options: Namespace, observations: Observations, grid: Grid, sequences: Sequences
) -> tuple[Climatology | None, str]:
    """Return the climatology if it covers all valid times, otherwise None and the reason."""
    if options.climatology_file:
        found = read_climatology(options.climatology_file, grid.variables, grid.units, grid.lat, grid.lon)
    else:
        found = training_climatology(observations)
    missing = found.missing(sequences.valid_times)
    return (None, f"the climatology of {found.origin} does not cover {missing}") if missing else (found, "")


def _weather_warnings(sequences: Sequences, blocks: MovingBlocks, observations: Observations) -> list[str]:
    """Say what weakens the scores."""
    said = []
    days = (sequences.valid_times[-1, -1] - sequences.init_times[0]) / 86400
    if days < SHORT_DAYS:
        said.append(f"Short test period: {days:.1f} days are one spell of weather, not a climate.")
    if not blocks.enough(blocks.n):
        said.append(
            f"Intervals are withheld: {blocks.n} init times are fewer than two blocks of {blocks.length}."
        )
    elif blocks.n < FEW_BLOCKS * blocks.length:
        said.append(
            f"Few independent blocks: {blocks.n / blocks.length:.1f} blocks of {blocks.length} init "
            "times; the "
            "intervals are rough and likely too narrow."
        )
    gaps = (
        int((np.diff(sequences.init_times) > np.diff(sequences.init_times).min()).sum())
        if len(sequences) > 1
        else 0
    )
    if gaps:
        said.append(f"The init times have {gaps} gap{'s' if gaps > 1 else ''} (hours missing in the data).")
    wanted = same_hour_before(sequences.init_times, sequences.valid_times)
    absent = ~observations.has(wanted.ravel()).reshape(wanted.shape)
    if absent.any():
        said.append(
            f"persistence_24h is not defined for {int(absent.any(axis=1).sum())} of "
            f"{len(sequences)} init "
            "times (the day before is not in the data); its scores are means over the others (n_init)."
        )
    return said


def _frame_warnings(
    data: PreparedData, record: Record, spec: dict[str, Any], blocks: MovingBlocks
) -> list[str]:
    """Say what weakens the scores, and how far they can be compared with published ones."""
    said, source = [], record.details.get("source")
    setting = {
        "digits": record.details.get("n_digits"),
        "pixels": data.index.height,
        "context frames": spec["context_frames"],
        "lead frames": spec["lead_frames"],
    }
    other = [
        f"{setting[what]} {what} (published: {value})"
        for what, value in PUBLISHED.items()
        if setting[what] != value
    ]
    if other:
        said.append(f"Not the setting of published scores: {', '.join(other)}; do not compare with them.")
    elif source == "mnist":
        said.append(
            "The test sequences are drawn here, moving as the published ones do, but are not those: the "
            "interval says how far other sequences may score."
        )
    said += [f"{note[0].upper()}{note[1:]}." for note in record.details.get("notes", [])]
    unused = data.index.sequence_length - spec["context_frames"] - spec["lead_frames"]
    if unused > 0:
        said.append(f"The last {unused} frames of each sequence are not used: the model forecasts fewer.")
    if source == "sequences":
        said.append(
            "Digits of the tests were seen in training (all splits are cut from one array): scores flatter."
        )
    if not blocks.enough(blocks.n):
        said.append(f"Intervals are withheld: {blocks.n} sequence is too few.")
    elif blocks.n < FEW_BLOCKS:
        said.append(f"Few sequences ({blocks.n}): the intervals are rough and likely too narrow.")
    said.append(
        "There is no persistence_24h and no climatology: frames of Moving MNIST have no hour and no season."
    )
    return said
