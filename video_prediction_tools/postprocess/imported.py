"""Forecasts from elsewhere: another program's forecasts.nc takes the place of a trained model.

They are judged on our truth, by the same code, on the same init_times as a model's. What the file must hold stands in
docs/metrics.md, "Forecasts from elsewhere".
"""

from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.datasets import times as time
from video_prediction_tools.datasets.prepared import PreparedData
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import Record
from video_prediction_tools.postprocess.grid_points import positions

NAME = "forecasts.nc"
_DIMS = ("init_time", "lead_time", "member", "lat", "lon")
_LAYOUT = (
    "<variable>_forecast [init_time, lead_time, (member,) lat, lon] with 'units', and lead_time in hours"
)


def is_imported(model: Record) -> bool:
    """Say of the record of a model directory whether it holds imported forecasts in place of a network."""
    return bool(model.details.get("imported"))


class ImportedForecasts:
    """A file of forecasts, checked against a data set; use it in a ``with`` statement.

    Arguments:
        path: the file.
        data: the data set that the forecasts are for.

    Attributes:
        init_times: int64 [n], seconds since 1970, ascending.
        lead_frames: number of lead times.
        members: of the ensemble, or None.

    Raises:
        InputError: it has another layout, grid, unit or step, lacks a variable or a lead time, or a time twice.
    """

    def __init__(self, path: Path, data: PreparedData):
        self.path, self._variables = Path(path), data.index.variables
        try:
            self._file = xr.open_dataset(path, engine="netcdf4", decode_timedelta=False)
        except FileNotFoundError:
            raise InputError(path, "does not exist", "give an existing file") from None
        except (OSError, ValueError) as error:
            raise InputError(path, f"cannot be read as NetCDF ({error})", "give another file") from error
        try:
            self._check_variables(data)
            self.lead_frames = self._check_lead_times(data.index.step_hours)
            self._order, self.init_times = self._read_init_times()
            self._rows = positions(self._file, "lat", data.region.lat, path)
            self._columns = positions(self._file, "lon", data.region.lon, path)
        except InputError:
            self._file.close()
            raise
        self.members = self._file.sizes.get("member")

    def __enter__(self) -> "ImportedForecasts":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def forecast(self, init_times: np.ndarray) -> np.ndarray:
        """Return the forecasts of some init_times [B], all of them in the file: float32 [B, Tl, (M,) H, W, C].

        Raises:
            InputError: the file is damaged, or a value is missing.
        """
        rows = self._order[np.searchsorted(self.init_times, init_times)]
        fields = []
        for name in self._variables:
            one = self._file[f"{name}_forecast"].isel(init_time=rows, lat=self._rows, lon=self._columns)
            try:
                fields.append(one.transpose(*(dim for dim in _DIMS if dim in one.dims)).values)
            except (OSError, RuntimeError) as error:
                raise InputError(self.path, f"is damaged ({error})", "give another file") from error
        found = np.stack(fields, axis=-1).astype(np.float32)
        bad = ~np.isfinite(found).all(axis=tuple(range(1, found.ndim)))
        if bad.any():
            raise InputError(
                self.path,
                f"has missing values in the forecast of init_time {time.text(init_times[bad][0])}",
                "leave this init_time out of the file",
            )
        return found

    def _check_variables(self, data: PreparedData) -> None:
        for name, unit in zip(data.index.variables, data.units, strict=True):
            full = f"{name}_forecast"
            if full not in self._file:
                raise InputError(self.path, f"holds no variable '{full}'", f"it must hold {_LAYOUT}")
            dims = set(self._file[full].dims)
            if dims - {"member"} != set(_DIMS) - {"member"}:
                raise InputError(
                    self.path, f"'{full}' has the dimensions {', '.join(dims)}", f"it must hold {_LAYOUT}"
                )
            found = self._file[full].attrs.get("units")
            if found != unit:
                raise InputError(
                    self.path,
                    f"'{full}' has the unit {found!r}, the data set has {unit!r}",
                    "convert it, and set the attribute 'units'",
                )

    def _check_lead_times(self, step: int) -> int:
        unit = self._file["lead_time"].attrs.get("units", "") if "lead_time" in self._file.coords else ""
        if unit not in ("hours", "hour", "h"):
            raise InputError(
                self.path, f"its lead_time has the unit {unit!r}, not 'hours'", f"it must hold {_LAYOUT}"
            )
        found = self._file["lead_time"].values.astype(np.float64)
        wanted = step * np.arange(1, len(found) + 1)
        missing = [hour for hour in wanted if not np.isclose(found, hour).any()]
        if missing:
            raise InputError(
                self.path,
                f"lacks the lead hour {missing[0]:g} (it has {', '.join(f'{hour:g}' for hour in found)})",
                f"it must hold every lead hour from {step} on, {step} apart",
            )
        if not np.allclose(found, wanted):
            raise InputError(self.path, "its lead times are not in order", "sort them")
        return len(found)

    def _read_init_times(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of the file's init_times, and these in it."""
        values = self._file["init_time"].values if "init_time" in self._file.coords else np.array([])
        if not np.issubdtype(values.dtype, np.datetime64):
            raise InputError(
                self.path, "its init_time cannot be read as times", "give it CF units, 'hours since ..'"
            )
        seconds = values.astype("datetime64[s]").astype(np.int64)
        order = np.argsort(seconds, kind="stable")
        twice = np.flatnonzero(np.diff(seconds[order]) == 0)
        if len(twice):
            raise InputError(
                self.path, f"holds init_time {time.text(seconds[order][twice[0]])} twice", "keep one of them"
            )
        return order, seconds[order]
