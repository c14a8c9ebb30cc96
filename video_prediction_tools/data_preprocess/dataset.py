"""Preprocess 1: the extracted months become a data set - the region's fields by split, statistics, metadata.

The unit of work is the month: one rank reads its file, cuts the region, and writes one pickle for each split
that has hours in it. What a month adds to the statistics is kept in the metadata and joined in the order of
the months, so that neither the number of ranks nor a restart changes a digit.
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from video_prediction_tools.data_preprocess import source
from video_prediction_tools.data_preprocess.fill import Fill, has_missing, refuse
from video_prediction_tools.data_preprocess.region import Region, choose_region
from video_prediction_tools.data_preprocess.restart import earlier_run, remove_strays, whole_outputs
from video_prediction_tools.datasets import split as data_split
from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.pickles import write_month
from video_prediction_tools.datasets.statistics import Moments, VariableStatistics, join, write_statistics
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file, write_json
from video_prediction_tools.metadata.names import DataName, constants_file, month_pickle
from video_prediction_tools.metadata.record import OpenRecord, Record
from video_prediction_tools.metadata.variables import Variable, variable, variables
from video_prediction_tools.ranks import Ranks

RECIPE_NAMES = {
    "years": "choice of years",
    "months": "choice of months",
    "variables": "choice of variables",
    "lat": "region",
    "lon": "region",
    "data_split": "data split",
    "fill": "way to fill missing values",
    "source": "state of the extracted data",
}


@dataclass(frozen=True)
class Request:
    """What the user asks for, checked as far as that goes without looking at the fields' files.

    Arguments:
        source_dir: the extracted data.
        data_name: as the user asked: period, corner and size (the corner itself may lie between grid points).
        directory: ``<destination>/<data_name>``.
        variables: in the order of the channels.
        split, fill: what goes where, and what replaces missing values.
        extracted: record of the extraction.
        files: the months that there are, in order of time.
        missing_months: names of the months that there are not.
    """

    source_dir: Path
    data_name: DataName
    directory: Path
    years: tuple[int, ...]
    months: tuple[int, ...]
    variables: tuple[Variable, ...]
    split: data_split.DataSplit
    fill: Fill
    extracted: Record
    files: tuple[source.MonthFile, ...]
    missing_months: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """All that a rank needs to work on its months.

    Arguments:
        request: what was asked for.
        contents: of each month's file.
        region: which part of the grid.
        step: seconds from one time to the next.
        gaps: first and last missing time of each gap.
        recipe: all that decides about the result; two equal recipes give the same bytes.
    """

    request: Request
    contents: tuple[source.MonthContent, ...]
    region: Region
    step: int
    gaps: tuple[tuple[int, int], ...]
    recipe: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Short names of the variables."""
        return tuple(one.short_name for one in self.request.variables)

    def times(self) -> np.ndarray:
        """All times that there are, int64 ``[N]``."""
        return np.concatenate([content.times for content in self.contents])

    def pickles(self, number: int) -> dict[str, str]:
        """Return the pickle of each split that has hours in a month, relative to the data set's directory."""
        file, request = self.request.files[number], self.request
        members = request.split.members(self.contents[number].times)
        return {
            split: month_pickle(request.directory, split, file.year, file.month)
            .relative_to(request.directory)
            .as_posix()
            for split, there in members.items()
            if there.any()
        }


def plan_on_ranks(options: argparse.Namespace, extracted: Record, ranks: Ranks) -> Plan:
    """Check the arguments (of main_preprocess_data_step1.py) and the extracted data, and plan the data set.

    Raises:
        InputError: see `make_request`, `source.read_content` and `make_plan`.
    """
    corner, nyx = tuple(options.sw_corner), tuple(options.nyx)
    request = ranks.first_tells(
        lambda: make_request(
            options.source_dir,
            options.destination_dir,
            extracted,
            years=options.years,
            months=options.months,
            names=options.variables,
            sw_corner=corner,
            nyx=nyx,
            split_file=options.data_split,
            fill=options.fill,
        )
    )
    contents = ranks.share_out(request.files, lambda file: source.read_content(file, request.variables))
    return ranks.first_tells(lambda: make_plan(request, contents, corner, nyx))


def make_request(
    source_dir: Path,
    destination_dir: Path,
    extracted: Record,
    *,
    years: list[int],
    months: list[int],
    names: list[str],
    sw_corner: tuple[float, float],
    nyx: tuple[int, int],
    split_file: Path,
    fill: list[str] | None,
) -> Request:
    """Check what the user asks for.

    Raises:
        InputError: some of it is wrong.
    """
    for flag, numbers, low, high in (("--years", years, 1940, 2999), ("--months", months, 1, 12)):
        wrong = [number for number in numbers if not low <= number <= high]
        if wrong:
            raise InputError(flag, f"{wrong[0]} is none", f"give numbers from {low} to {high}")
        if len(set(numbers)) < len(numbers):
            raise InputError(flag, "one is named twice", "name each once")
    asked = tuple(variables(names))
    for one in asked:
        if one.level == "constant":
            raise InputError(
                "--variables",
                f"'{one.short_name}' does not change in time and cannot be forecast",
                "leave it out: it is taken along from the extracted data by itself",
            )
    parsed = Fill.parse(fill, tuple(names))
    split = data_split.read_split(split_file)
    years, months = sorted(years), sorted(months)
    split.check_period((year, month) for year in years for month in months)
    files, missing = source.find_months(source_dir, extracted, years, months)
    name = DataName(
        years[0],
        years[-1],
        months[0],
        months[-1],
        nx=nyx[1],
        ny=nyx[0],
        lat=sw_corner[0],
        lon=sw_corner[1],
        variables=tuple(names),
    )
    return Request(
        source_dir,
        name,
        Path(destination_dir) / str(name),
        tuple(years),
        tuple(months),
        asked,
        split,
        parsed,
        extracted,
        tuple(files),
        tuple(missing),
    )


def make_plan(
    request: Request,
    contents: list[source.MonthContent],
    sw_corner: tuple[float, float],
    nyx: tuple[int, int],
) -> Plan:
    """Plan the data set from what the files hold.

    Raises:
        InputError: grids or times that do not fit together, a region or a split outside the data.
    """
    source.check_same_grid(request.files, contents)
    region = choose_region(contents[0].lat, contents[0].lon, sw_corner, nyx)
    step = source.find_step(request.files, contents)
    request.split.check_data(np.concatenate([content.times for content in contents]))
    constants = request.extracted.outputs.get(constants_file(Path()).as_posix(), {})
    lines = [f"{file.name} {file.digest}\n" for file in request.files] + [
        f"constants {constants.get('sha256', '')}\n"
    ]
    recipe = {
        "years": request.years,
        "months": request.months,
        "variables": [one.short_name for one in request.variables],
        "lat": region.lat.tolist(),
        "lon": region.lon.tolist(),
        "data_split": request.split.content,
        "fill": str(request.fill),
        "source": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }
    return Plan(
        request, tuple(contents), region, step, tuple(source.find_gaps(request.files, contents, step)), recipe
    )


class MonthCutter:
    """Cuts months, one after another, in the same memory; the next one is read while the last is written.

    Arguments:
        plan: the data set.
        numbers: the months that will be cut here, in this order.
    """

    def __init__(self, plan: Plan, numbers: Sequence[int]):
        self._plan, self._next = plan, dict(pairwise(numbers))
        most = max((len(plan.contents[number].times) for number in numbers), default=0)
        shape = (most, len(plan.region.lat), len(plan.region.lon), len(plan.names))
        memory = [np.empty(shape, np.float32) for _ in numbers[:2]]
        self._memory = {number: memory[place % 2] for place, number in enumerate(numbers)}
        # one thread: the NetCDF library is for one at a time
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._read_ahead: dict[int, Future] = {}

    def cut(self, number: int) -> dict[str, Any]:
        """Write the pickles of one month.

        Returns:
            What the metadata keep of it: ``outputs`` (size and SHA-256 by file), ``moments`` of the training
            hours by variable, number of values ``filled`` by variable.

        Raises:
            InputError: the file is damaged, holds a time twice with different values, or misses values that
                may not be filled.
        """
        plan, times = self._plan, self._plan.contents[number].times
        self._start(number)
        month = self._read_ahead.pop(number).result()
        if number in self._next:
            self._start(self._next[number])
        outputs = {}
        for split, relative in plan.pickles(number).items():
            hours, first = month.hours[split], month.first[split]
            data = self._memory[number][first : first + len(hours)]
            size, digest = write_month(
                plan.request.directory / relative,
                times[hours],
                data,
                plan.names,
                plan.region.lat,
                plan.region.lon,
            )
            outputs[relative] = {"bytes": size, "sha256": digest}
        return {
            "outputs": outputs,
            "moments": {name: asdict(one) for name, one in month.moments.items() if one.n},
            "filled": {name: count for name, count in month.filled.items() if count},
        }

    def _start(self, number: int) -> None:
        if number not in self._read_ahead:
            self._read_ahead[number] = self._reader.submit(self._read, number)

    def _read(self, number: int) -> "_MonthRead":
        """Read the hours of all splits into memory."""
        plan, content, file = self._plan, self._plan.contents[number], self._plan.request.files[number]
        hours = {
            split: np.flatnonzero(there)
            for split, there in plan.request.split.members(content.times).items()
            if there.any()
        }
        # the splits lie one behind the other in memory, so that each is written as it stands
        first = dict(zip(hours, np.cumsum([0, *map(len, hours.values())]).tolist(), strict=False))
        month = _MonthRead(hours, first, dict.fromkeys(plan.names, Moments()), dict.fromkeys(plan.names, 0))
        with source.open_netcdf(file.path) as opened:
            readers = [
                source.FieldReader(opened, file.path, content, name, plan.region) for name in plan.names
            ]
            for split, start, stop in _parts(hours, readers[0].times_at_once):
                here = first[split] + int(np.searchsorted(hours[split], start))
                for channel, (name, reader) in enumerate(zip(plan.names, readers, strict=True)):
                    fields = reader.read(start, stop)
                    if has_missing(fields):
                        if not plan.request.fill.method:
                            refuse(file.path, name, _all_parts(reader, content.times))
                        month.filled[name] += plan.request.fill.apply(
                            fields, channel, name, content.times[start:stop], file.path, plan.region.lat
                        )
                    if split == "train":
                        month.moments[name] = month.moments[name].joined(Moments.of(fields))
                    self._memory[number][here : here + stop - start, ..., channel] = fields
        return month


@dataclass
class _MonthRead:
    """A month in memory: each split's hours (positions in the file), where they begin, what was found."""

    hours: dict[str, np.ndarray]
    first: dict[str, int]
    moments: dict[str, Moments]
    filled: dict[str, int]


def _parts(hours: dict[str, np.ndarray], at_once: int) -> Iterator[tuple[str, int, int]]:
    """Cut each split's hours (positions in the month) into stretches that follow each other in the file."""
    for split, positions in hours.items():
        for first, last in time.runs(positions, 1):
            edges = [first, *range((first // at_once + 1) * at_once, last + 1, at_once), last + 1]
            yield from ((split, start, stop) for start, stop in pairwise(edges))


def _all_parts(reader: source.FieldReader, times: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _, start, stop in _parts({"": np.arange(len(times))}, reader.times_at_once):
        yield times[start:stop], reader.read(start, stop)


def begin(plan: Plan, opened: OpenRecord, kept: list[int]) -> None:
    """Forget what is not kept of an earlier run; write data_split.json and the constants of the region.

    Raises:
        InputError: the constants do not fit the months.
    """
    request, record = plan.request, opened.record
    months = {
        request.files[number].name: record.details["months"][request.files[number].name] for number in kept
    }
    pickles = {name for number in kept for name in plan.pickles(number).values()}
    record.details = {"recipe": plan.recipe, "months": months}
    record.outputs = {name: record.outputs[name] for name in sorted(pickles)}
    opened.save()
    remove_strays(request.directory, [f"pickle/{split}" for split in data_split.SPLITS], pickles)
    path = request.directory / data_split.FILE_NAME
    write_json(path, request.split.content)
    opened.add_output(path)
    fields = source.read_constants(request.source_dir, request.extracted, plan.contents[0], plan.region)
    if fields:
        path = constants_file(request.directory)
        with (
            whole_file(path) as temporary,
            netcdf_errors_as_os_errors(temporary),
            netCDF4.Dataset(temporary, "w", format="NETCDF4") as file,
        ):
            _fill_constants(file, fields, plan.region)
        opened.add_output(path)
    opened.save()


def note_months(plan: Plan, opened: OpenRecord, done: list[tuple[int, dict[str, Any]]]) -> None:
    """Keep finished months (number, value of `MonthCutter.cut`) in metadata.json: they are not done again."""
    for number, result in done:
        name = plan.request.files[number].name
        opened.record.details["months"][name] = {"moments": result["moments"], "filled": result["filled"]}
        opened.record.outputs.update(result["outputs"])
    opened.save()


def finish(plan: Plan, opened: OpenRecord) -> dict[str, VariableStatistics]:
    """Write the statistics, when all months are done, and what the metadata say of the whole."""
    months = [opened.record.details["months"][file.name]["moments"] for file in plan.request.files]
    statistics = {
        name: join(Moments(**month[name]) for month in months if name in month).statistics()
        for name in plan.names
    }
    opened.record.details |= describe(plan)
    runs = opened.record.details["splits"]["train"]["runs"]
    opened.add_output(write_statistics(plan.request.directory, statistics, runs))
    return statistics


def describe(plan: Plan) -> dict[str, Any]:
    """Return the details of metadata.json (docs/data_formats.md)."""
    times, request = plan.times(), plan.request
    splits = {}
    for split, there in request.split.members(times).items():
        hours = times[there]
        runs = [[time.text(first), time.text(last)] for first, last in time.runs(hours, plan.step)]
        splits[split] = {"hours": len(hours), "first": runs[0][0], "last": runs[-1][1], "runs": runs}
    extracted = request.extracted.details
    return {
        "variables": list(plan.names),
        "units": [variable(name).units for name in plan.names],
        "step_hours": plan.step // time.HOUR,
        "synthetic": bool(extracted.get("synthetic", False)),
        "source": extracted.get("source", ""),
        "lat": plan.region.lat.tolist(),
        "lon": plan.region.lon.tolist(),
        "fill": str(request.fill),
        "splits": splits,
        "gaps": [[time.text(first), time.text(last)] for first, last in plan.gaps],
        "missing_months": list(request.missing_months),
        "recipe": plan.recipe,
    }


def kept_months(plan: Plan, ranks: Ranks) -> tuple[list[int], bool]:
    """Look at what an earlier run has left; the ranks share the reading.

    Returns:
        The numbers of the months that are done (noted, and all their files whole), and whether the directory
        is finished and whole altogether.

    Raises:
        InputError: the directory was finished with other arguments, or its metadata are damaged.
    """
    directory = plan.request.directory
    remedy = f"delete {directory}, or give another --destination_dir"
    earlier = ranks.first_tells(lambda: earlier_run(directory, "dataset", plan.recipe, RECIPE_NAMES, remedy))
    if earlier is None:
        return [], False
    whole = whole_outputs(directory, earlier, ranks)
    noted = earlier.details.get("months", {})
    kept = [
        number
        for number, file in enumerate(plan.request.files)
        if file.name in noted and set(plan.pickles(number).values()) <= whole
    ]
    finished = earlier.state == "done" and whole == set(earlier.outputs)
    return kept, finished and len(kept) == len(plan.request.files)


def _fill_constants(file: netCDF4.Dataset, fields: dict[str, np.ndarray], region: Region) -> None:
    file.Conventions = "CF-1.8"
    for name, values, standard, units in (
        ("lat", region.lat, "latitude", "degrees_north"),
        ("lon", region.lon, "longitude", "degrees_east"),
    ):
        file.createDimension(name, len(values))
        coordinate = file.createVariable(name, "f8", (name,))
        coordinate.setncatts({"standard_name": standard, "units": units})
        coordinate[:] = values
    for name, field in fields.items():
        about = variable(name)
        stored = file.createVariable(name, "f4", ("lat", "lon"))
        stored.setncatts(
            {"standard_name": about.standard_name, "long_name": about.long_name, "units": about.units}
        )
        stored[:] = field
