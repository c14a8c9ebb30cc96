"""Known channels: inputs that are known ahead of a forecast: constants (land-sea mask, orography) and clocks.

They are worked out when needed, from a few numbers per frame and the region's coordinates, and are stored
nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import constants_file

CONSTANTS = {"lsm": 1.0, "oro": 1000.0}  # unit in the channel: a share of 0..1, and kilometres
CLOCKS = ("sin_solar_time", "cos_solar_time", "sin_day_of_year", "cos_day_of_year")
KNOWN_CHANNELS = (*CONSTANTS, *CLOCKS)
ALL = "all"

_SECONDS_PER_DAY = 86400


@dataclass(frozen=True)
class Region:
    """Where the grid points lie and what does not change there.

    Arguments:
        lat: degrees north, [H] from north to south; None for data without a place (Moving MNIST).
        lon: degrees east, [W] from west to east; None for data without a place.
        constants: fields [H, W] by name: ``lsm`` (0..1), ``oro`` (m).
    """

    lat: np.ndarray | None
    lon: np.ndarray | None
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)


def read_region(dataset_directory: Path, lat: Sequence[float] | None, lon: Sequence[float] | None) -> Region:
    """Read the region of a data set.

    Arguments:
        dataset_directory: ``PreprocessedData/<data_name>``; its constants.nc is read where there is one.
        lat, lon: as in the data set's metadata; empty or None for data without a place.

    Raises:
        InputError: constants.nc is damaged, holds NaN, or lies on another grid.
    """
    if not lat or not lon:
        return Region(None, None)
    region = Region(np.asarray(lat, np.float64), np.asarray(lon, np.float64))
    path = constants_file(dataset_directory)
    if not path.exists():
        return region
    import netCDF4  # late: most data sets without constants need no NetCDF

    remedy = "run the step 'preprocess1' again"
    fields = {}
    try:
        with netCDF4.Dataset(path) as file:
            for name in CONSTANTS:
                if name in file.variables:
                    fields[name] = np.ma.filled(file[name][:].astype(np.float32), np.nan)
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"cannot be read ({error})", remedy) from error
    for name, values in fields.items():
        if values.shape != (len(lat), len(lon)):
            raise InputError(
                path, f"'{name}' has the shape {values.shape}, the data {len(lat), len(lon)}", remedy
            )
        if not np.isfinite(values).all():
            raise InputError(path, f"'{name}' holds missing values", remedy)
    return Region(region.lat, region.lon, fields)


def available(region: Region) -> tuple[str, ...]:
    """Return the names of the known channels that a region can have."""
    return (
        *(name for name in CONSTANTS if name in region.constants),
        *(CLOCKS if region.lon is not None else ()),
    )


def choose(names: Sequence[str], region: Region, where: str, whole_year: bool = True) -> tuple[str, ...]:
    """Return the channels that are asked for; ``["all"]`` asks for all that the data have.

    Arguments:
        where: who asks, for the error message.
        whole_year: False leaves the clock of the year out of "all": trained on one season, a model would take
            the day of the year for a mere number of the day, and be led astray by days that it has not seen.

    Raises:
        InputError: the data lack one of them, or one is named twice.
    """
    has = available(region)
    if list(names) == [ALL]:
        return has if whole_year else tuple(name for name in has if not name.endswith("_day_of_year"))
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(where, f"'{name}' is named twice", "name every channel once")
        if name not in has:
            have = f"they have {', '.join(has)}" if has else "they have none"
            source = "; constants come with the extraction" if name in CONSTANTS else ""
            raise InputError(
                where,
                f"the data lack the known channel '{name}' ({have}{source})",
                f"leave it out, or write {ALL} for all that the data have",
            )
    return tuple(names)


def clocks(times: np.ndarray) -> np.ndarray:
    """Return the time of day (UTC) and the time of year as shares of their cycles.

    Arguments:
        times: int64 [B, T], seconds since 1970-01-01T00:00Z.

    Returns:
        float32 [B, T, 2]: 0 at midnight and 0 on 1 January 00 UTC, below 1; a leap year is a cycle of 366
        days.
    """
    moment = np.asarray(times, np.int64).astype("datetime64[s]")
    year = moment.astype("datetime64[Y]")
    first, following = year.astype("datetime64[s]"), (year + 1).astype("datetime64[s]")
    of_day = (np.asarray(times, np.int64) % _SECONDS_PER_DAY) / _SECONDS_PER_DAY
    of_year = (moment - first) / (following - first)
    return np.stack([of_day, of_year], axis=-1).astype(np.float32)


def known_channels(names: Sequence[str], clock: Any, region: Region, height: int, width: int) -> Any:
    """Return the known channels of every frame (on the device, by broadcasting).

    The local solar time is that of the mean sun: UTC + lon / 15 degrees per hour, the same at all latitudes.

    Arguments:
        names: K channel names, in the order of the result.
        clock: float32 [B, T, 2], see `clocks`; array or tensor.
        region: of the data; must have the channels (see `choose`).
        height, width: H and W.

    Returns:
        float32 tensor [B, T, H, W, K].
    """
    from keras import ops  # late: the rest of this module serves programs before TensorFlow is imported

    clock = ops.convert_to_tensor(clock, "float32")
    batch, frames = ops.shape(clock)[:2]
    shape = (batch, frames, height, width)
    layers = []
    for name in names:
        if name in CONSTANTS:
            layer = ops.convert_to_tensor(
                np.asarray(region.constants[name] / CONSTANTS[name], np.float32)[None, None]
            )
        else:
            shape_of_wave, _, cycle = name.partition("_")
            if cycle == "solar_time":
                share = clock[..., 0, None, None] + (region.lon / 360.0).astype(np.float32)  # [B, T, 1, W]
            else:
                share = clock[..., 1, None, None]
            layer = {"sin": ops.sin, "cos": ops.cos}[shape_of_wave](2.0 * np.pi * share)
        layers.append(ops.broadcast_to(layer, shape))
    return ops.stack(layers, axis=-1) if layers else ops.zeros((*shape, 0), "float32")
