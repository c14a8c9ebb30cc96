"""Climatology: mean fields of each calendar month and hour of the day, from any extracted months, on a data set's grid.

Month by month, so that memory holds a part of one month and the result, whatever the number of years.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from video_prediction_tools.data_preprocess import source
from video_prediction_tools.data_preprocess.region import choose_region
from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.month_hours import (
    hours_covered,
    hours_in_words,
    month_and_hour,
)
from video_prediction_tools.datasets.observations import Observations
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.metadata.record import require_done
from video_prediction_tools.metadata.variables import variable
from video_prediction_tools.progress import progress

NAME = "climatology.nc"
_SAME = 1e-4  # degrees, see region.py


@dataclass(frozen=True)
class Means:
    """A climatology.

    Arguments:
        mean: float32 ``[12, 24, H, W, C]``, month 1..12 and hour 0..23 UTC; NaN where there are no data.
        hours: int64 ``[12, 24]``, how many hours each mean is of (the fewest of all grid points and variables).
        periods: first and last hour of each gap-free part of what went in, seconds since 1970.
    """

    mean: np.ndarray
    hours: np.ndarray
    periods: tuple[tuple[int, int], ...]


def training_means(observations: Observations) -> Means:
    """Return the climatology of a data set's training split."""
    times = observations.hours("train")
    month, hour = month_and_hour(times)
    hours = np.zeros((12, 24), np.int64)
    np.add.at(hours, (month - 1, hour), 1)
    return Means(
        observations.hourly_climatology(), hours, tuple(time.runs(times, observations.step_hours * time.HOUR))
    )


@dataclass(frozen=True)
class ExtractedMonths:
    """Extracted months that hold a data set's variables on its grid.

    Arguments:
        files, contents: of the months, in order of time.
        region: the data set's part of the grid.
        missing: names of the months asked for that were not extracted.
        fingerprint: SHA-256 over the months' files.
    """

    files: tuple[source.MonthFile, ...]
    contents: tuple[source.MonthContent, ...]
    region: source.Region
    missing: tuple[str, ...]
    fingerprint: str


def find_extracted(
    directory: Path, years: Sequence[int] | None, months: Sequence[int], observations: Observations
) -> ExtractedMonths:
    """Find extracted months and check that the data set lies on their grid.

    Arguments:
        directory: ``<base>/ExtractedData``.
        years: to take, None for all that there are.
        months: of each year to take, 1..12.
        observations: of the data set.

    Raises:
        InputError: a year has no data, a file is damaged or lacks a variable, or the grid is another one.
    """
    extracted = require_done(directory, "extracted_data", "extract")
    if not years:
        there = (name.split("/")[:2] for name in extracted.outputs if name.count("/") == 2)  # year/month/file
        years = sorted({int(year) for year, month in there if int(month) in months})
    if not years:
        raise InputError("--months", f"{directory} holds none of these months", "give others")
    files, missing = source.find_months(directory, extracted, years, months)
    wanted = [variable(name) for name in observations.variables]
    contents = [source.read_content(file, wanted) for file in files]
    source.check_same_grid(files, contents)
    lat, lon = observations.lat, observations.lon
    region = choose_region(contents[0].lat, contents[0].lon, (lat[-1], lon[0]), (len(lat), len(lon)))
    turned = region.lon - 360.0 * np.round((region.lon[0] - lon[0]) / 360.0)
    if not (np.allclose(region.lat, lat, atol=_SAME) and np.allclose(turned, lon, atol=_SAME)):
        raise InputError(
            f"--source_dir {directory}",
            f"lies on another grid than the data set {observations.directory.name}",
            "extract these years with the same area and from the same source",
        )
    digest = hashlib.sha256("".join(f"{file.name} {file.digest}\n" for file in files).encode()).hexdigest()
    return ExtractedMonths(tuple(files), tuple(contents), region, tuple(missing), digest)


def extracted_means(found: ExtractedMonths, variables: Sequence[str]) -> Means:
    """Return the climatology of extracted months; a missing value is left out of the mean of its grid point.

    Raises:
        InputError: a file is damaged, or holds a time twice with different values.
    """
    shape = (12, 24, len(found.region.lat), len(found.region.lon), len(variables))
    sums, counts = np.zeros(shape), np.zeros(shape, np.uint32)
    with progress("months", len(found.files)) as advance:
        for file, content in zip(found.files, found.contents, strict=True):
            hours = content.times // time.HOUR % 24
            of_month, counts_of_month = sums[file.month - 1], counts[file.month - 1]
            with source.open_netcdf(file.path) as opened:
                for channel, name in enumerate(variables):
                    reader = source.FieldReader(opened, file.path, content, name, found.region)
                    for start in range(0, len(hours), reader.times_at_once):
                        stop = min(start + reader.times_at_once, len(hours))
                        fields = reader.read(start, stop)
                        there = np.isfinite(fields)
                        for hour in np.unique(hours[start:stop]):
                            chosen = hours[start:stop] == hour
                            of_month[hour, ..., channel] += np.where(there[chosen], fields[chosen], 0.0).sum(
                                axis=0, dtype=np.float64
                            )
                            counts_of_month[hour, ..., channel] += there[chosen].sum(axis=0, dtype=np.uint32)
            advance(1)
    with np.errstate(invalid="ignore"):
        mean = (sums / counts).astype(np.float32)
    times = np.concatenate([content.times for content in found.contents])
    step = source.find_step(found.files, found.contents)
    return Means(mean, counts.min(axis=(2, 3, 4)).astype(np.int64), tuple(time.runs(times, step)))


def write_means(path: Path, means: Means, observations: Observations) -> None:
    """Write the file that ``--climatology_file`` takes (docs/metrics.md, "Climatology file")."""
    with (
        whole_file(path) as temporary,
        netcdf_errors_as_os_errors(path),
        netCDF4.Dataset(temporary, "w") as file,
    ):
        file.setncatts(
            {
                "Conventions": "CF-1.8",
                "title": f"Means of each month and hour of the day (UTC) for {observations.directory.name}",
                "history": "made by main_climatology.py",
                "periods": time.periods_text(means.periods),
            }
        )
        lat, lon = observations.lat, observations.lon
        coordinates = {
            "month": (np.arange(1, 13), {"long_name": "calendar month", "units": "1"}),
            "hour": (np.arange(24), {"long_name": "hour of the day, UTC", "units": "1"}),
            "lat": (lat, {"standard_name": "latitude", "units": "degrees_north"}),
            "lon": (lon, {"standard_name": "longitude", "units": "degrees_east"}),
        }
        for name, (values, attributes) in coordinates.items():
            file.createDimension(name, len(values))
            file.createVariable(name, "f8" if name in ("lat", "lon") else "i4", (name,))[:] = values
            file[name].setncatts(attributes)
        file.createVariable("n_hours", "i4", ("month", "hour"))[:] = means.hours
        file["n_hours"].setncatts({"long_name": "hours that the mean is of", "units": "1"})
        for channel, name in enumerate(observations.variables):
            of = variable(name)
            stored = file.createVariable(
                name, "f4", ("month", "hour", "lat", "lon"), zlib=True, complevel=1, fill_value=np.nan
            )
            stored.setncatts({"long_name": f"mean {of.long_name}", "units": of.units})
            stored[:] = means.mean[..., channel]


def coverage(means: Means, missing: Sequence[str], observations: Observations) -> list[str]:
    """Say what the means are of, what they lack, and what they know of the test split.

    Arguments:
        means: the climatology.
        missing: months that were asked for and are not in it.
        observations: of the data set that it is for.
    """
    there = means.hours > 0
    counts = means.hours[there]
    said = [
        f"{time.text(means.periods[0][0])} to {time.text(means.periods[-1][1])}; "
        f"{counts.min(initial=means.hours.max())} to {means.hours.max()} hours in each mean"
    ]
    if missing:
        said.append(f"note: not extracted, so not in the means: {', '.join(missing)}")
    for split in ("val", "test"):
        lacking = hours_in_words(hours_covered(observations.hours(split)) & ~there)
        if lacking:
            said.append(f"note: it does not cover all of the {split} split: nothing for {lacking}")
    test = observations.hours("test")
    inside = int(time.within(test, means.periods).sum())
    if inside:
        said.append(
            f"note: {inside} of the {len(test)} hours of the test split are in these means, which know part of the "
            "answer: the baseline 'climatology' is flattered"
        )
    return said
