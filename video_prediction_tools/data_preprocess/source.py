"""The extracted months: what there is, on which grid, at which times; and the region's fields of a month."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from video_prediction_tools.data_preprocess.region import Region
from video_prediction_tools.datasets import times as time
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import constants_file, month_file
from video_prediction_tools.metadata.record import Record
from video_prediction_tools.metadata.variables import Variable

_TIMES_AT_ONCE = 64  # some MB of a region: what is worked on stays in the processor's cache
REMEDY = "delete this file and run the step 'extract' again"


@dataclass(frozen=True)
class MonthFile:
    """One file of the extracted data.

    Arguments:
        year, month: what it holds.
        path: where it is.
        digest: SHA-256 that the extraction noted.
    """

    year: int
    month: int
    path: Path
    digest: str

    @property
    def name(self) -> str:
        """The month as ``2019-03``."""
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class MonthContent:
    """What a month's file holds, without its fields.

    Arguments:
        times: int64 ``[T]``, ascending, each once.
        order: position in the file of each of them, int64 ``[T]``.
        doubles: positions in the file of two entries for the same time.
        unsorted: whether the file has its times out of order.
        lat, lon: the file's coordinates, in its order.
    """

    times: np.ndarray
    order: np.ndarray
    doubles: tuple[tuple[int, int], ...]
    unsorted: bool
    lat: np.ndarray
    lon: np.ndarray


def find_months(
    directory: Path, extracted: Record, years: Sequence[int], months: Sequence[int]
) -> tuple[list[MonthFile], list[str]]:
    """Find the files of the months asked for.

    Returns:
        The files in order of time, and the names (``2019-03``) of months that were not extracted.

    Raises:
        InputError: a year has no data at all, or a file is not the one that the extraction wrote.
    """
    found, missing = [], []
    for year in sorted(years):
        for month in sorted(months):
            path = month_file(directory, year, month)
            entry = extracted.outputs.get(path.relative_to(directory).as_posix())
            if entry is None:
                if path.exists():
                    raise InputError(path, "is not noted in the metadata.json of the extraction", REMEDY)
                missing.append(f"{year:04d}-{month:02d}")
                continue
            _check_size(path, entry)
            found.append(MonthFile(year, month, path, entry["sha256"]))
    for year in sorted(years):
        if not any(one.year == year for one in found):
            raise InputError(
                "--years",
                f"{directory} holds no data of {year} in the months asked for; {_holds(extracted)}",
                "leave the year out, or run the step 'extract' for it",
            )
    return found, missing


def read_content(file: MonthFile, variables: Sequence[Variable]) -> MonthContent:
    """Read and check everything but the fields.

    Raises:
        InputError: the file is damaged, lacks a variable, has another unit, or times that belong to another
            month.
    """
    with open_netcdf(file.path) as opened:
        for name in ("time", "latitude", "longitude"):
            if name not in opened.variables:
                raise InputError(file.path, f"has no coordinate '{name}'", REMEDY)
        for variable in variables:
            _check_variable(file.path, opened, variable)
        units = getattr(opened["time"], "units", "")
        if not units.startswith("seconds since 1970-01-01"):
            raise InputError(file.path, f"counts time in '{units}', not in seconds since 1970-01-01", REMEDY)
        in_file, lat, lon = (opened[name][:] for name in ("time", "latitude", "longitude"))
    steps = np.diff(lat)
    if not len(in_file) or not (np.all(steps > 0) or np.all(steps < 0)) or not np.all(np.diff(lon) > 0):
        raise InputError(file.path, "has no times, or coordinates out of order", REMEDY)
    in_file = np.asarray(in_file, np.int64)
    start, stop = time.month_start(file.year, file.month), time.month_start(file.year, file.month + 1)
    foreign = in_file[(in_file < start) | (in_file >= stop)]
    if len(foreign):
        raise InputError(file.path, f"holds {time.text(foreign[0])}, which is no time of {file.name}", REMEDY)
    positions = np.argsort(in_file, kind="stable")
    ordered = in_file[positions]
    again = np.concatenate([[False], ordered[1:] == ordered[:-1]])
    # the first entry of a time is kept; every later one is compared with it when the fields are read
    kept = np.maximum.accumulate(np.where(again, 0, np.arange(len(ordered))))
    doubles = tuple((int(positions[kept[index]]), int(positions[index])) for index in np.flatnonzero(again))
    return MonthContent(
        ordered[~again], positions[~again], doubles, bool((np.diff(in_file) < 0).any()), lat, lon
    )


def check_same_grid(files: Sequence[MonthFile], contents: Sequence[MonthContent]) -> None:
    """Check that all months lie on the grid of the first.

    Raises:
        InputError: one does not.
    """
    first = contents[0]
    for file, content in zip(files, contents, strict=True):
        if not (np.array_equal(content.lat, first.lat) and np.array_equal(content.lon, first.lon)):
            raise InputError(
                file.path,
                f"lies on another grid than {files[0].path.name}",
                "extract all months with the same area and from the same source",
            )


def find_step(files: Sequence[MonthFile], contents: Sequence[MonthContent]) -> int:
    """Find the seconds from one time to the next: the most common difference.

    Raises:
        InputError: it is not a whole number of hours that divides a day, or some times lie between the steps.
    """
    times = np.concatenate([content.times for content in contents])
    if len(times) < 2:
        raise InputError(files[0].path, "is all there is, with a single time", "extract more data")
    differences, counts = np.unique(np.diff(times), return_counts=True)
    step = int(differences[counts.argmax()])
    if step % time.HOUR or (24 * time.HOUR) % step:
        raise InputError(
            files[0].path,
            f"has irregular time steps (most are {step / time.HOUR:g} hours long)",
            "extract data with a step of 1, 3 or 6 hours",
        )
    if times[0] % time.HOUR:
        raise InputError(
            files[0].path,
            f"has times off the full hour ({time.text(times[0])})",
            "extract values at full hours",
        )
    phases, counts = np.unique(times % step, return_counts=True)
    phase = phases[counts.argmax()]
    for file, content in zip(files, contents, strict=True):
        off = content.times[content.times % step != phase]
        if len(off):
            raise InputError(
                file.path,
                f"has irregular time steps: {time.text(off[0])} lies between the steps of "
                f"{step // time.HOUR} hours",
                "extract data with the same step throughout",
            )
    return step


def find_gaps(
    files: Sequence[MonthFile], contents: Sequence[MonthContent], step: int
) -> list[tuple[int, int]]:
    """Return first and last missing time of each gap inside the months that there are."""
    times = np.concatenate([content.times for content in contents])
    first, last, phase = times[0], times[-1], times[0] % step
    missing = []
    for file in files:
        start, stop = time.month_start(file.year, file.month), time.month_start(file.year, file.month + 1)
        expected = np.arange(max(start + (phase - start) % step, first), min(stop, last + 1), step)
        missing.append(np.setdiff1d(expected, times))
    return time.runs(np.concatenate(missing), step)


@contextmanager
def open_netcdf(path: Path) -> Iterator[netCDF4.Dataset]:
    """Open a NetCDF file for reading, values as they are stored.

    Raises:
        InputError: it is missing or damaged, also when that shows only while reading.
    """
    try:
        with netCDF4.Dataset(path) as opened:
            opened.set_auto_maskandscale(False)
            yield opened
    except (
        OSError,
        RuntimeError,
    ) as error:  # what netCDF4 raises for a file it cannot open, or a part it cannot read
        raise InputError(
            path, f"cannot be read, it is damaged or no NetCDF file ({error})", REMEDY
        ) from error


class FieldReader:
    """Reads one variable of a month part by part, and only the region of it.

    Arguments:
        opened: the file, from `open_netcdf`.
        path: its path, for error messages.
        content: what it holds.
        variable: short name.
        region: which part of the grid.

    Raises:
        InputError: a time is there twice with different values.
    """

    def __init__(
        self, opened: netCDF4.Dataset, path: Path, content: MonthContent, variable: str, region: Region
    ):
        self._stored, self._region = opened[variable], region
        self._marked = getattr(self._stored, "_FillValue", netCDF4.default_fillvals["f4"])
        self._all = None
        if content.doubles or content.unsorted:  # rare: the month is put in order as a whole
            fields = region.cut(self._stored, slice(None))
            for one, other in content.doubles:
                if not np.array_equal(fields[one], fields[other], equal_nan=True):
                    raise InputError(
                        path,
                        f"holds {time.text(opened['time'][one])} twice, with different values of {variable}",
                        "find out which one is right and extract the month again",
                    )
            self._all = fields[content.order]

    @property
    def times_at_once(self) -> int:
        """How many times to read at once: whole chunks of the file (each decompressed once), not too many."""
        chunks = self._stored.chunking()
        chunk = chunks[0] if isinstance(chunks, list) else 1
        return chunk * max(1, _TIMES_AT_ONCE // chunk)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return float32 ``[T, H, W]`` at ``content.times[start:stop]``; missing values are NaN."""
        if self._all is not None:
            fields = self._all[start:stop]
        else:
            fields = self._region.cut(self._stored, slice(start, stop))
        if not np.isnan(self._marked):
            fields[fields == np.float32(self._marked)] = np.nan
        return fields


def read_constants(
    directory: Path, extracted: Record, content: MonthContent, region: Region
) -> dict[str, np.ndarray]:
    """Read the fields that do not change in time (float32 ``[H, W]`` by short name; none if not extracted).

    Raises:
        InputError: they lie on another grid than the months, or have missing values in the region.
    """
    path = constants_file(directory)
    entry = extracted.outputs.get(path.relative_to(directory).as_posix())
    if entry is None:
        return {}
    _check_size(path, entry)
    with open_netcdf(path) as opened:
        if not (
            np.array_equal(opened["latitude"][:], content.lat)
            and np.array_equal(opened["longitude"][:], content.lon)
        ):
            raise InputError(path, "lies on another grid than the months", REMEDY)
        fields = {
            name: region.cut(stored)
            for name, stored in opened.variables.items()
            if stored.dimensions == ("latitude", "longitude")
        }
    for name, field in fields.items():
        if not np.isfinite(field).all():
            raise InputError(path, f"{name} has missing values in the region", REMEDY)
    return fields


def _check_variable(path: Path, opened: netCDF4.Dataset, variable: Variable) -> None:
    name = variable.short_name
    if name not in opened.variables:
        raise InputError(path, f"has no variable '{name}'", f"run the step 'extract' for {name}")
    stored = opened[name]
    if stored.dimensions != ("time", "latitude", "longitude") or stored.dtype != np.float32:
        raise InputError(path, f"has {name} in another shape or type than the extraction writes", REMEDY)
    if getattr(stored, "units", "") != variable.units:
        raise InputError(
            path, f"has {name} in '{getattr(stored, 'units', '')}', not in '{variable.units}'", REMEDY
        )


def _check_size(path: Path, entry: dict) -> None:
    if not path.is_file():
        raise InputError(
            path,
            "does not exist, but the extraction's metadata.json names it",
            "run the step 'extract' again",
        )
    if path.stat().st_size != entry["bytes"]:
        raise InputError(
            path,
            f"has {path.stat().st_size} bytes where the extraction wrote {entry['bytes']} (cut short or "
            "exchanged)",
            REMEDY,
        )


def _holds(extracted: Record) -> str:
    months = sorted(name[:7].replace("/", "-") for name in extracted.outputs if name.count("/") == 2)
    return f"it holds {months[0]} to {months[-1]}" if months else "it holds no months"
