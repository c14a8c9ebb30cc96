"""A local archive: a tree of GRIB and NetCDF files and Zarr stores, found by their first bytes, indexed by
their headers.

The archive is only read, never written to. Months are read one at a time.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from video_prediction_tools.data_extraction.grids import Area, Grid, Window, window, window_onto
from video_prediction_tools.data_extraction.period import Month, iso
from video_prediction_tools.data_extraction.request import CONSTANTS
from video_prediction_tools.data_extraction.series import NO_TIME, Contents, Series, Wanted, damaged
from video_prediction_tools.data_extraction.weather import ConstantField, WeatherMonth
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import Variable
from video_prediction_tools.progress import progress, say

if TYPE_CHECKING:
    from video_prediction_tools.data_extraction.extraction import Plan
    from video_prediction_tools.data_extraction.request import Request

HOUR = 3600
_ZARR = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
_MAGIC = {
    b"GRIB": "grib",
    b"CDF\x01": "netcdf",
    b"CDF\x02": "netcdf",
    b"CDF\x05": "netcdf",
    b"\x89HDF": "netcdf",
}
_SUFFIXES = {".grib", ".grb", ".grib1", ".grb1", ".grib2", ".grb2", ".nc", ".nc3", ".nc4", ".cdf", ".netcdf"}
_ROUNDING = 2e-6  # of float32, relative


@dataclass(frozen=True)
class _Found:
    """All hours of one variable on one grid, sorted by time: which series holds each, and where in it."""

    variable: Variable
    series: tuple[Series, ...]
    windows: tuple[Window, ...]
    times: np.ndarray  # [N] int64, ascending, with doubles
    owner: np.ndarray  # [N] index into series
    index: np.ndarray  # [N] index into that series' times
    expver: np.ndarray  # [N]

    def read(self, entries: np.ndarray) -> np.ndarray:
        """Return the fields of these entries, [len(entries), H, W]."""
        values = np.empty((len(entries), *self.windows[0].grid.shape), dtype=np.float32)
        for owner in np.unique(self.owner[entries]):
            mine = np.flatnonzero(self.owner[entries] == owner)
            values[mine] = self.series[owner].read(self.index[entries[mine]], self.windows[owner])
        return values

    def where(self, entry: int) -> str:
        """Return the file and field of an entry."""
        series = self.series[self.owner[entry]]
        return f"{series.path} ({series.field})"


def open_archive(
    request: "Request",
    months: Sequence[Month],
    variables: Sequence[Variable],
    constants: Sequence[Variable],
    there: Sequence[Month] = (),
) -> "ArchiveSource":
    """Index the archive and find what is asked for.

    Arguments:
        request: the checked flags.
        months: the months to fetch.
        variables, constants: what to fetch.
        there: months that an earlier run has fetched.

    Raises:
        InputError: a file is damaged; a variable, a year or the area is not there; the time steps are
            irregular.
    """
    wanted = Wanted([*variables, *constants], request.source_names)
    contents = index_tree(request.source_dir, wanted)
    fixed = (
        contents
        if request.constants_source is None
        else index_tree(request.constants_source, Wanted(constants, request.source_names))
    )
    source = ArchiveSource(
        str(request.source_dir),
        Area(*request.area) if request.area else None,
        months,
        contents,
        variables,
        [one for one in fixed.series if one.name in {each.short_name for each in constants}],
        there,
    )
    if request.constants_demanded and source.grid is not None:
        there = source.constants(constants, source.grid)
        for one in constants:
            if one.short_name not in there:
                raise InputError(
                    "--constants",
                    f"'{one.short_name}' is not there for the grid of the data ({source.grid})",
                    "name the file that has it with --constants_source, or leave it out",
                )
    return source


def index_tree(root: Path, wanted: Wanted) -> Contents:
    """Index a file, a Zarr store, or all files and stores below a directory.

    Raises:
        InputError: a file is damaged or truncated, or there is none.
    """
    places, strangers = _scan(root)
    if not places:
        raise InputError(root, "holds no GRIB or NetCDF file and no Zarr store", "correct the path")
    if strangers:
        say(
            f"{len(strangers)} files below {root} are no weather data and are left out "
            f"(the first: {strangers[0]})"
        )
    series, others, notes = [], {}, []
    with progress("files indexed", len(places)) as advance:
        for path, kind in places:
            found = _indexer(kind)(path, wanted)
            series.extend(found.series)
            others.update(dict.fromkeys(found.others))
            notes.extend(found.notes)
            advance()
    return Contents(tuple(series), tuple(others), tuple(notes))


def _indexer(kind: str) -> Callable[[Path, Wanted], Contents]:
    if kind == "grib":  # imported only where needed: ecCodes and xarray take seconds
        from video_prediction_tools.data_extraction.grib import index_grib

        return index_grib
    from video_prediction_tools.data_extraction.labelled import index_labelled

    return index_labelled


def _scan(root: Path) -> tuple[list[tuple[Path, str]], list[Path]]:
    """Return the weather files below `root` with their kind, and the other files, both sorted by path."""
    if root.is_file():
        kind = _kind_of_file(root)
        if kind is None:
            raise InputError(
                root, "is neither GRIB nor NetCDF", "give a GRIB or NetCDF file, a Zarr store or a directory"
            )
        return [(root, kind)], []
    places, strangers, seen = [], [], set()
    for directory, below, names in os.walk(root, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        if any(name in names for name in _ZARR):
            below.clear()
            places.append((Path(directory), "zarr"))
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory) / name
            special = path.exists() and not path.is_file()  # to open a named pipe is to wait for ever
            kind = None if special or name.startswith(".") else _kind_of_file(path)
            if kind:
                places.append((path, kind))
            else:
                strangers.append(path)
    return sorted(places), sorted(strangers)


def _unreadable(error: OSError) -> NoReturn:
    raise InputError(
        error.filename, f"cannot be read ({error.strerror})", "correct its permissions, or remove it"
    ) from None


def _kind_of_file(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(
            path, f"cannot be read ({error.strerror})", "correct its permissions, or remove it"
        ) from None
    if start in _MAGIC:
        return _MAGIC[start]
    if path.suffix.lower() in _SUFFIXES:
        raise damaged(path, "it is empty" if not start else "it begins neither as GRIB nor as NetCDF")
    return None


class ArchiveSource:
    """A local archive as a source; see `weather.Source`.

    Arguments:
        name: the directory.
        area: the region, or None for all.
        months: the months to fetch.
        contents: the index.
        variables: what to fetch.
        fixed: series that hold constant fields.
        there: months that an earlier run has fetched; a year that has one may have no others.

    Raises:
        InputError: see `open_archive`.
    """

    synthetic = False

    def __init__(
        self,
        name: str,
        area: Area | None,
        months: Sequence[Month],
        contents: Contents,
        variables: Sequence[Variable],
        fixed: Sequence[Series],
        there: Sequence[Month] = (),
    ):
        self.text, self.attributes = f"local archive {name}", {}
        self._fixed = fixed
        self.grid: Grid | None = None
        self.step_hours: int | None = None
        self.months: list[Month] = []
        self._found: Mapping[str, _Found] = {}
        if variables and months:
            years = {month.year for month in there}
            chosen = _in_period(contents, months, variables, name, years)
            self._found = _on_one_grid(chosen, variables, area) if chosen else {}
        if self._found:
            self.grid = next(iter(self._found.values())).windows[0].grid
            times = self._common_times(list(self._found))
            self.months = _months_with_data(months, times, name, years)
            self.step_hours = find_step(times, self._name_of) if self.months else None
        _say_unsorted(contents.series)

    def _common_times(self, names: Sequence[str]) -> np.ndarray:
        times = np.unique(self._found[names[0]].times)
        for name in names[1:]:
            times = np.intersect1d(times, self._found[name].times)
        return times

    def _name_of(self, time: int) -> str:
        found = next(iter(self._found.values()))
        return found.where(int(np.searchsorted(found.times, time)))

    @contextmanager
    def open_month(self, month: Month, variables: Sequence[Variable]) -> Iterator[WeatherMonth]:
        """Deliver one month: the hours at which all these variables are there."""
        names = [one.short_name for one in variables]
        times = self._common_times(names)
        times = times[(times >= month.start) & (times < month.end)]
        entries = {}
        for name in names:
            found = self._found[name]
            inside = np.flatnonzero((found.times >= month.start) & (found.times < month.end))
            lonely = np.setdiff1d(found.times[inside], times)
            if len(lonely):
                say(
                    f"{month}: {name} has {len(lonely)} hours at which another variable is missing; "
                    "they are left out "
                    f"(the first: {iso(lonely[0])})"
                )
            entries[name] = _without_doubles(found, inside[np.isin(found.times[inside], times)], month)
        yield WeatherMonth(
            month,
            times,
            self.grid,
            read=lambda name, start, stop: self._found[name].read(entries[name][start:stop]),
            origin=lambda name, index: self._found[name].where(entries[name][index]),
        )

    def constants(self, variables: Sequence[Variable], grid: Grid) -> dict[str, ConstantField]:
        """Deliver the constant fields that lie on `grid` and do not change from the first to the last time."""
        fields = {}
        for variable in variables:
            for series in (one for one in self._fixed if one.name == variable.short_name):
                place = window_onto(series.lat, series.lon, grid)
                if place is None or variable.short_name in fields:
                    continue
                ends = np.unique([0, len(series.times) - 1])
                values = series.read(ends, place)
                tolerance = 2 * max(series.precision(int(index)) for index in ends) + _ROUNDING * np.nanmax(
                    np.abs(values)
                )
                if not np.allclose(values[0], values[-1], rtol=0, atol=tolerance, equal_nan=True):
                    say(
                        f"{series.path} ({series.field}) changes in time "
                        f"and is not taken for {variable.short_name}"
                    )
                    continue
                fields[variable.short_name] = ConstantField(values[0], str(series.path))
        return fields

    def dry_run(self, plan: "Plan") -> list[str]:
        """Say what would be read."""
        lines = [f"grid: {self.grid}; every {self.step_hours} h"] if self.months else []
        for name, found in self._found.items():
            paths = list(dict.fromkeys(str(series.path) for series in found.series))
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            lines.append(f"{name} from {', '.join(paths[:3])}{more}")
        for task in plan.tasks:
            there = f"{', '.join(task.fetch)}" if task.month in self.months else "no data"
            lines.append(f"would read {task.month}: {there}")
        constants = sorted({series.name for series in self._fixed} & set(plan.constants))
        return [*lines, f"constants: {', '.join(constants) or 'none'}"]


def _in_period(
    contents: Contents,
    months: Sequence[Month],
    variables: Sequence[Variable],
    name: str,
    years_there: set[int],
) -> dict[str, list[tuple[Series, np.ndarray]]]:
    """Return for each variable the series that reach into the months, each with the indices of those hours.

    Nothing is returned when a variable has no hour in the months, and each year has others from before.
    """
    chosen: dict[str, list[tuple[Series, np.ndarray]]] = {}
    for variable in variables:
        series = [one for one in contents.series if one.name == variable.short_name]
        if not series:
            raise _not_there(variable, contents, name)
        if all(NO_TIME in one.times for one in series):
            raise InputError(
                series[0].path, f"'{series[0].field}' has no time", "give a file with a time coordinate"
            )
        spans = []
        asked = np.array([str(month) for month in months], dtype="datetime64[M]")
        for one in series:
            inside = np.flatnonzero(np.isin(one.times.astype("datetime64[s]").astype("datetime64[M]"), asked))
            if len(inside):
                spans.append((one, inside))
        if not spans and {month.year for month in months} <= years_there:
            return {}
        if not spans:
            times = np.concatenate([one.times for one in series])
            years = sorted({month.year for month in months})
            flag = "--months" if _has_years(times, years) else "--years"
            raise InputError(
                flag,
                f"{variable.short_name} is not there in {_months_text(months)}",
                f"the archive {name} covers {_coverage(times)}",
            )
        chosen[variable.short_name] = spans
    return chosen


def _not_there(variable: Variable, contents: Contents, name: str) -> InputError:
    held = sorted({*contents.others, *(one.name for one in contents.series if one.name not in CONSTANTS)})
    notes = [reason for name_there, reason in contents.notes if name_there == variable.short_name]
    what = f"'{variable.short_name}' is not in the archive {name}" + (f": {notes[0]}" if notes else "")
    return InputError(
        "--variables",
        what,
        f"it holds {', '.join(held) or 'no other fields'}; name another one, or say with "
        f"--source_names {variable.short_name}=NAME what it is called there",
    )


def _on_one_grid(
    chosen: Mapping[str, Sequence[tuple[Series, np.ndarray]]],
    variables: Sequence[Variable],
    area: Area | None,
) -> dict[str, _Found]:
    """Cut all series to the area, and take the one grid on which all variables lie.

    Raises:
        InputError: the area is not covered, or there is no such grid or more than one.
    """
    grids: list[Grid] = []
    members: list[dict[str, list[tuple[Series, np.ndarray, Window]]]] = []
    refused: dict[str, InputError] = {}
    windows: dict[tuple[bytes, bytes], Window | InputError] = {}
    for name, spans in chosen.items():
        for series, indices in spans:
            key = series.lat.tobytes(), series.lon.tobytes()
            if key not in windows:
                windows[key] = _window_or_error(series, area)
            place = windows[key]
            if isinstance(place, InputError):
                refused.setdefault(name, place)
                continue
            which = next(
                (number for number, grid in enumerate(grids) if grid.same_as(place.grid)), len(grids)
            )
            if which == len(grids):
                grids.append(place.grid)
                members.append({})
            same = replace(place, grid=grids[which])
            members[which].setdefault(name, []).append((series, indices, same))
    for name, error in refused.items():
        if not any(name in member for member in members):
            raise error
    complete = [number for number, member in enumerate(members) if len(member) == len(chosen)]
    if not complete:
        what = "; ".join(f"{', '.join(member)}: {grid}" for grid, member in zip(grids, members, strict=True))
        raise InputError(
            "--variables",
            f"no grid of the archive has all of them ({what})",
            "cut to the region that they share with --area, bring them to one grid first, or extract the "
            "variables of one grid only",
        )
    if len(complete) > 1:
        one, two = (next(iter(members[number].values()))[0][0] for number in complete[:2])
        raise InputError(
            "--source_dir",
            f"holds the variables on {len(complete)} grids: {grids[complete[0]]} in {one.path}; "
            f"{grids[complete[1]]} in {two.path}",
            "give the directory or file of one of them, or an --area that only one covers",
        )
    by_name = {variable.short_name: variable for variable in variables}
    return {name: _merge(by_name[name], parts) for name, parts in members[complete[0]].items()}


def _window_or_error(series: Series, area: Area | None) -> Window | InputError:
    try:
        return window(series.lat, series.lon, area, str(series.path))
    except InputError as error:
        return error


def _merge(variable: Variable, parts: Sequence[tuple[Series, np.ndarray, Window]]) -> _Found:
    times = np.concatenate([series.times[indices] for series, indices, _ in parts])
    owner = np.concatenate([np.full(len(indices), number) for number, (_, indices, _) in enumerate(parts)])
    index = np.concatenate([indices for _, indices, _ in parts])
    expver = np.concatenate([series.expver[indices] for series, indices, _ in parts])
    order = np.lexsort((index, owner, times))
    return _Found(
        variable,
        tuple(series for series, _, _ in parts),
        tuple(place for _, _, place in parts),
        times[order],
        owner[order],
        index[order],
        expver[order],
    )


def _without_doubles(found: _Found, entries: np.ndarray, month: Month) -> np.ndarray:
    """Return one entry for each hour.

    Of two experiment versions the final one is taken (ERA5 before ERA5T); doubles that are equal to the
    precision of
    their packing are dropped.

    Raises:
        InputError: doubled hours with different values.
    """
    times = found.times[entries]
    first = np.append(True, times[1:] != times[:-1])
    if first.all():
        return entries
    kept, equal, preliminary = [], [], []
    for group in np.split(entries, np.flatnonzero(first)[1:]):
        best = group[0]
        for other in group[1:]:
            if found.expver[best] != found.expver[other] and "" not in (
                found.expver[best],
                found.expver[other],
            ):
                preliminary.append(other)
                best = min(best, other, key=lambda entry: str(found.expver[entry]))
                continue
            _check_equal(found, best, other)
            equal.append(other)
        kept.append(best)
    for doubles, what in (
        (equal, "are there twice with equal values; the first is taken"),
        (preliminary, "are there as ERA5 and as preliminary ERA5T; ERA5 is taken"),
    ):
        if doubles:
            say(
                f"{month}: {len(doubles)} hours of {found.variable.short_name} {what} (the first: "
                f"{iso(found.times[doubles[0]])} in {found.where(doubles[0])})"
            )
    return np.array(kept)


def _check_equal(found: _Found, one: int, other: int) -> None:
    values = found.read(np.array([one, other]))
    tolerance = sum(
        found.series[found.owner[entry]].precision(int(found.index[entry])) for entry in (one, other)
    )
    tolerance += 2 * _ROUNDING * float(np.nanmax(np.abs(values), initial=0.0))
    if not np.allclose(values[0], values[1], rtol=0, atol=tolerance, equal_nan=True):
        files = (
            found.where(one)
            if found.where(one) == found.where(other)
            else f"{found.where(one)} and {found.where(other)}"
        )
        raise InputError(
            files,
            f"{found.variable.short_name} is there twice at {iso(found.times[one])} with different values "
            f"(up to {np.nanmax(np.abs(values[0] - values[1])):g} {found.variable.units})",
            "remove the wrong one from the archive",
        )


def find_step(times: np.ndarray, name_of: Callable[[int], str]) -> int:
    """Return the hours from one field to the next, where some may be missing.

    Arguments:
        times: [N] int64, ascending, no doubles.
        name_of: the file that holds a time.

    Raises:
        InputError: there is only one time, the step is no whole number of hours that divides a day, or it
            changes.
    """
    if len(times) < 2:
        raise InputError(name_of(int(times[0])), "is the only hour of the period", "at least two are needed")
    steps, counts = np.unique(np.diff(times), return_counts=True)
    step = int(steps[counts.argmax()])
    if step % HOUR or 24 % (step // HOUR):
        raise InputError(
            name_of(int(times[0])),
            f"has a field every {step / HOUR:g} hours",
            "steps of 1, 2, 3, 4, 6, 8, 12 or 24 hours are possible",
        )
    off = np.flatnonzero((times - times[0]) % step)
    if len(off):
        time = int(times[off[0]])
        raise InputError(
            name_of(time),
            f"has irregular time steps: {iso(time)} does not fit to a field every {step // HOUR} h",
            "extract periods of one step each to directories of their own",
        )
    months = times.astype("datetime64[s]").astype("datetime64[M]")
    for month in np.unique(months):
        steps, counts = np.unique(np.diff(times[months == month]), return_counts=True)
        if counts.sum() >= 8 and int(steps[counts.argmax()]) != step:
            time = int(times[months == month][0])
            raise InputError(
                name_of(time),
                f"has irregular time steps: a field every {steps[counts.argmax()] // HOUR} h in "
                f"{month}, every {step // HOUR} h elsewhere",
                "extract periods of one step each to directories of their own",
            )
    return step // HOUR


def _months_with_data(
    months: Sequence[Month], times: np.ndarray, name: str, years_there: set[int]
) -> list[Month]:
    """Return the months with data.

    Raises:
        InputError: a year has none at all, and none from before.
    """
    there = [month for month in months if ((times >= month.start) & (times < month.end)).any()]
    for year in sorted({month.year for month in months}):
        if year not in years_there | {month.year for month in there}:
            asked = [month for month in months if month.year == year]
            raise InputError(
                "--years",
                f"there are no data for {_months_text(asked)}",
                f"the archive {name} has, in the period asked for, {_coverage(times)}",
            )
    return there


def _say_unsorted(series: Sequence[Series]) -> None:
    unsorted = dict.fromkeys(str(one.path) for one in series if (np.diff(one.times) < 0).any())
    if unsorted:
        say(
            f"{len(unsorted)} files hold hours that are not in order; they are sorted "
            f"(the first: {next(iter(unsorted))})"
        )


def _has_years(times: np.ndarray, years: Sequence[int]) -> bool:
    return any(((times >= Month(year, 1).start) & (times < Month(year, 12).end)).any() for year in years)


def _coverage(times: np.ndarray) -> str:
    times = times[times != NO_TIME]
    return f"{iso(times.min())} to {iso(times.max())}" if len(times) else "no time"


def _months_text(months: Sequence[Month]) -> str:
    return str(months[0]) if len(months) == 1 else f"{months[0]} to {months[-1]}"
