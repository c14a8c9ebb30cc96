"""forecasts.nc: the model's forecasts beside the truth (CF-1.8), written and read in chunks of init_times.

Dimensions init_time, lead_time, [member,] lat, lon. ``<variable>_forecast`` and ``<variable>_truth`` are what
is compared; ``<variable>_init`` is the frame of init_time, so that persistence can be scored from this file
alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import netCDF4
import numpy as np

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.metadata.variables import variable
from video_prediction_tools.postprocess.sequences import HOUR, Batch, Sequences
from video_prediction_tools.progress import progress

EPOCH = "seconds since 1970-01-01 00:00:00"
_REMEDY = "delete it and run the step 'postprocess' again"


class Forecaster(Protocol):
    """A trained model, as `training.saved_model.load_forecaster` gives it."""

    stochastic: bool

    def forecast(self, frames: np.ndarray, times: np.ndarray, seed: int, region: Region) -> np.ndarray:
        """Forecast [B, Tl, H, W, C] from frames [B, Tc, H, W, C] (physical units) and times [B, Tc+Tl]."""


@dataclass(frozen=True)
class Grid:
    """What the fields are.

    Arguments:
        variables, units: of the C channels.
        lat, lon: degrees north [H] and east [W].
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    lat: np.ndarray
    lon: np.ndarray


def write_forecasts(
    path: Path,
    forecaster: Forecaster,
    sequences: Sequences,
    grid: Grid,
    *,
    region: Region,
    members: int | None,
    seed: int,
    batch_size: int,
    attributes: Mapping[str, Any],
) -> None:
    """Forecast every sequence and write forecasts.nc, whole or not at all.

    Arguments:
        path: the file.
        forecaster: the trained model.
        sequences: what to forecast.
        grid: of the data.
        region: of the data, with the constants that the model may need.
        members: ensemble members, or None for a deterministic model (then there is no such dimension).
        seed: of the members.
        batch_size: forecasts made at a time.
        attributes: global attributes.

    Raises:
        InputError: a forecast is not finite, or no space is left.
    """
    with (
        whole_file(path) as temporary,
        netcdf_errors_as_os_errors(temporary),
        netCDF4.Dataset(temporary, "w", format="NETCDF4") as file,
    ):
        _define(file, sequences, grid, members, attributes)
        start = 0
        with progress("forecasts", len(sequences)) as advance:
            for frames, times in sequences.batches(batch_size):
                context, truth = frames[:, : sequences.context_frames], frames[:, sequences.context_frames :]
                ensemble = [
                    forecaster.forecast(context, times, _seed(seed, member, times), region)
                    for member in range(members or 1)
                ]
                # [B, Tl, (M,) H, W, C]
                forecast = ensemble[0] if members is None else np.stack(ensemble, axis=2)
                _require_finite(forecast, times[:, sequences.context_frames - 1], path)
                rows = slice(start, start + len(frames))
                for channel, name in enumerate(grid.variables):
                    file[f"{name}_forecast"][rows] = forecast[..., channel]
                    file[f"{name}_truth"][rows] = truth[..., channel]
                    file[f"{name}_init"][rows] = context[:, -1, ..., channel]
                start += len(frames)
                advance(len(frames))


def _seed(seed: int, member: int, times: np.ndarray) -> int:
    """Draw a seed for each member of each batch, a function of nothing but `seed`, member and time."""
    state = np.random.SeedSequence([seed, member, int(times[0, 0]) % 2**63]).generate_state(1)[0]
    return int(state >> np.uint32(1))


def _require_finite(forecast: np.ndarray, init_times: np.ndarray, path: Path) -> None:
    bad = ~np.isfinite(forecast).all(axis=tuple(range(1, forecast.ndim)))
    if bad.any():
        when = np.datetime_as_string(init_times[bad][:1].astype("datetime64[s]"), unit="h")[0]
        raise InputError(
            path,
            f"the model forecasts values that are not finite (first at init_time {when})",
            "its training diverged; train it again with a lower learning rate",
        )


def _define(
    file: netCDF4.Dataset,
    sequences: Sequences,
    grid: Grid,
    members: int | None,
    attributes: Mapping[str, Any],
) -> None:
    file.setncatts({"Conventions": "CF-1.8", **attributes})
    sizes = {
        "init_time": len(sequences),
        "lead_time": sequences.lead_frames,
        "lat": len(grid.lat),
        "lon": len(grid.lon),
    }
    if members is not None:
        sizes["member"] = members
    for name, size in sizes.items():
        file.createDimension(name, size)
    _coordinate(
        file,
        "init_time",
        "i8",
        ("init_time",),
        sequences.init_times,
        standard_name="forecast_reference_time",
        long_name="time of the last context frame",
        units=EPOCH,
        calendar="standard",
        axis="T",
    )
    _coordinate(
        file,
        "lead_time",
        "f8",
        ("lead_time",),
        sequences.lead_seconds / HOUR,
        standard_name="forecast_period",
        long_name="time since init_time",
        units="hours",
    )
    _coordinate(
        file,
        "valid_time",
        "i8",
        ("init_time", "lead_time"),
        sequences.valid_times,
        standard_name="time",
        long_name="time that the forecast is for",
        units=EPOCH,
        calendar="standard",
    )
    _coordinate(
        file,
        "lat",
        "f8",
        ("lat",),
        grid.lat,
        standard_name="latitude",
        long_name="latitude",
        units="degrees_north",
        axis="Y",
    )
    _coordinate(
        file,
        "lon",
        "f8",
        ("lon",),
        grid.lon,
        standard_name="longitude",
        long_name="longitude",
        units="degrees_east",
        axis="X",
    )
    if members is not None:
        _coordinate(
            file,
            "member",
            "i4",
            ("member",),
            np.arange(members),
            standard_name="realization",
            long_name="ensemble member",
            units="1",
        )
    space = ("lat", "lon")
    for name, unit in zip(grid.variables, grid.units, strict=True):
        names = standard_names(name)
        ensemble = ("member",) if members is not None else ()
        for kind, dims, what in (
            ("forecast", ("init_time", "lead_time", *ensemble, *space), "forecast"),
            ("truth", ("init_time", "lead_time", *space), "truth"),
            ("init", ("init_time", *space), "frame of init_time"),
        ):
            one = file.createVariable(
                f"{name}_{kind}",
                "f4",
                dims,
                zlib=True,
                complevel=1,
                shuffle=True,
                chunksizes=[1 if dim in ("init_time", "member") else sizes[dim] for dim in dims],
                fill_value=netCDF4.default_fillvals["f4"],
            )
            one.setncatts(
                {
                    **({"standard_name": names[0]} if names[0] else {}),
                    "long_name": f"{names[1]}, {what}",
                    "units": unit,
                    **({"coordinates": "valid_time"} if "lead_time" in dims else {}),
                }
            )


def _coordinate(
    file: netCDF4.Dataset, name: str, kind: str, dims: tuple[str, ...], values: np.ndarray, **attributes: str
) -> None:
    created = file.createVariable(name, kind, dims)
    created.setncatts(attributes)
    created[:] = values


def standard_names(name: str) -> tuple[str, str]:
    """Return the CF standard name ('' for none) and the long name of a variable."""
    try:
        known = variable(name)
    except InputError:  # data that are no weather have variables of their own
        return "", name
    return known.standard_name, known.long_name


class ForecastFile:
    """A forecasts.nc opened for reading; use it in a ``with`` statement.

    Attributes:
        grid: variables, units, coordinates.
        init_times: int64 [n], seconds since 1970.
        lead_hours: float64 [Tl].
        attributes: global attributes.

    Raises:
        InputError: it is missing, cannot be read or has another layout.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        try:
            self._file = netCDF4.Dataset(path)
        except FileNotFoundError:
            raise InputError(path, "does not exist", "run the step 'postprocess'") from None
        except OSError as error:
            raise InputError(path, f"cannot be read as NetCDF ({error})", _REMEDY) from error
        self._file.set_auto_mask(False)
        names = tuple(
            name.removesuffix("_forecast") for name in self._file.variables if name.endswith("_forecast")
        )
        missing = [
            name
            for name in (
                "init_time",
                "lead_time",
                "lat",
                "lon",
                *(f"{one}_truth" for one in names),
                *(f"{one}_init" for one in names),
            )
            if name not in self._file.variables
        ]
        if missing or not names:
            self._file.close()
            raise InputError(path, f"has no {', '.join(missing) or '<variable>_forecast'}", _REMEDY)
        self.grid = Grid(
            names,
            tuple(self._file[f"{name}_forecast"].units for name in names),
            self._file["lat"][:],
            self._file["lon"][:],
        )
        self.init_times, self.lead_hours = self._file["init_time"][:], self._file["lead_time"][:]
        self.attributes = {name: self._file.getncattr(name) for name in self._file.ncattrs()}

    def __enter__(self) -> "ForecastFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.init_times)

    @property
    def members(self) -> int | None:
        """Number of ensemble members, None for a deterministic model."""
        return len(self._file.dimensions["member"]) if "member" in self._file.dimensions else None

    def read(self, rows: slice | Sequence[int]) -> tuple[np.ndarray, np.ndarray, Batch]:
        """Read some init_times: forecast (or ensemble mean) and truth [B, Tl, H, W, C], and the `Batch`."""
        forecast = self._stack("forecast", rows)
        if self.members is not None:
            forecast = forecast.mean(axis=2)
        init_times = self.init_times[rows]
        valid_times = init_times[:, np.newaxis] + np.rint(self.lead_hours * HOUR).astype(np.int64)
        return forecast, self._stack("truth", rows), Batch(init_times, valid_times, self._stack("init", rows))

    def chunks(self, size: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray, Batch]]:
        """Yield all init_times in chunks: their rows, and what `read` gives."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, *self.read(rows)

    def _stack(self, kind: str, rows: slice | Sequence[int]) -> np.ndarray:
        try:
            return np.stack([self._file[f"{name}_{kind}"][rows] for name in self.grid.variables], axis=-1)
        except (OSError, RuntimeError) as error:
            raise InputError(self.path, f"is damaged ({error})", _REMEDY) from error
