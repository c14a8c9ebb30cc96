"""forecasts.nc: the model's forecasts beside the truth (CF-1.8), written and read in chunks of init_times.

Dimensions init_time, lead_time, [member,] lat, lon. ``<variable>_forecast`` and ``<variable>_truth`` are what
is compared; ``<variable>_init`` is the frame of init_time, so that persistence can be scored from this file
alone. Separate sequences (Moving MNIST) have sequence, lead_frame, [member,] y, x, and ``<variable>_context``
with all context frames in place of ``<variable>_init``.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import netCDF4
import numpy as np

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import netcdf_errors_as_os_errors, whole_file
from video_prediction_tools.metadata.variables import variable
from video_prediction_tools.postprocess.layout import EPOCH, FRAMES, ON_EARTH, Axis, Layout
from video_prediction_tools.postprocess.sequences import HOUR, Batch, Sequences
from video_prediction_tools.progress import progress

_COMPRESSED_AT_MOST = 3.0  # times
_REMEDY = "delete it and run the step 'postprocess' again"
_VALID_TIME = Axis(
    "valid_time",
    "f8",
    {
        "standard_name": "time",
        "long_name": "time that the forecast is for",
        "units": EPOCH,
        "calendar": "standard",
    },
)
_MEMBER = Axis("member", "i4", {"standard_name": "realization", "long_name": "ensemble member", "units": "1"})


class Forecaster(Protocol):
    """A trained model, as `training.saved_model.load_forecaster` gives it."""

    stochastic: bool

    def forecast(
        self, frames: np.ndarray, times: np.ndarray, seeds: np.ndarray, region: Region
    ) -> np.ndarray:
        """Forecast [B, Tl, H, W, C] from frames [B, Tc, H, W, C] (physical units) and times [B, Tc+Tl]."""


@dataclass(frozen=True)
class Grid:
    """What the fields are.

    Arguments:
        variables, units: of the C channels.
        lat, lon: degrees north [H] and east [W]; of data without a place pixels from the top and the left.
        layout: what the axes are called in files.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    lat: np.ndarray
    lon: np.ndarray
    layout: Layout = ON_EARTH


# from context frames [B, Tc, H, W, C] (physical units) and times [B, Tc + Tl] to forecasts [B, Tl, (M,) H, W, C]
MakeForecasts = Callable[[np.ndarray, np.ndarray], np.ndarray]


def by_network(forecaster: Forecaster, region: Region, members: int | None, seed: int) -> MakeForecasts:
    """Return a function that makes forecasts by a trained network.

    Arguments:
        forecaster: the network.
        region: of the data, with the constants that it may need.
        members: ensemble members, or None for a deterministic model (then there is no such dimension).
        seed: of the members.
    """

    def make(context: np.ndarray, times: np.ndarray) -> np.ndarray:
        ensemble = [
            forecaster.forecast(context, times, _seeds(seed, member, times), region)
            for member in range(members or 1)
        ]
        return ensemble[0] if members is None else np.stack(ensemble, axis=2)

    return make


def write_forecasts(
    path: Path,
    make: MakeForecasts,
    sequences: Sequences,
    grid: Grid,
    *,
    members: int | None,
    batch_size: int,
    attributes: Mapping[str, Any],
) -> None:
    """Forecast every sequence and write forecasts.nc, whole or not at all.

    Arguments:
        path: the file.
        make: makes the forecasts.
        sequences: what to forecast.
        grid: of the data.
        members: of the forecasts, or None.
        batch_size: forecasts made at a time.
        attributes: global attributes.

    Raises:
        InputError: a forecast is not finite, or no space is left.
    """
    _require_room(path, sequences, grid, members)
    with (
        whole_file(path) as temporary,
        netcdf_errors_as_os_errors(temporary),
        netCDF4.Dataset(temporary, "w", format="NETCDF4") as file,
    ):
        _define(file, sequences, grid, members, attributes)
        start, labels = 0, start_labels(sequences, grid.layout)
        with progress("forecasts", len(sequences)) as advance:
            for frames, times in sequences.batches(batch_size):
                context, truth = frames[:, : sequences.context_frames], frames[:, sequences.context_frames :]
                forecast = make(context, times)
                rows = slice(start, start + len(frames))
                _require_finite(forecast, labels[rows], grid.layout, path)
                for channel, name in enumerate(grid.variables):
                    file[f"{name}_forecast"][rows] = forecast[..., channel]
                    file[f"{name}_truth"][rows] = truth[..., channel]
                    if grid.layout.context:
                        file[f"{name}_context"][rows] = context[..., channel]
                    else:
                        file[f"{name}_init"][rows] = context[:, -1, ..., channel]
                start += len(frames)
                advance(len(frames))


def _require_room(path: Path, sequences: Sequences, grid: Grid, members: int | None) -> None:
    """Refuse what can never be written, before hours are spent on it."""
    fields = len(sequences) * sequences.lead_frames * (members or 1) * len(grid.variables)
    needed = 4 * fields * len(grid.lat) * len(grid.lon) / 1e9
    free = shutil.disk_usage(path.parent).free / 1e9
    if needed > _COMPRESSED_AT_MOST * free:
        raise InputError(
            path,
            f"{len(sequences)} forecasts of {members or 1} members are {needed:.3g} GB before compression, "
            f"{free:.3g} GB are free there",
            "ask for fewer members (--num_stochastic_samples) or start times (--stride), or free some space",
        )


def _seeds(seed: int, member: int, times: np.ndarray) -> np.ndarray:
    """Draw a seed for each sequence, a function of nothing but `seed`, member and time: int32 [B]."""
    states = [
        np.random.SeedSequence([seed, member, int(start) % 2**63]).generate_state(1)[0]
        for start in times[:, 0]
    ]
    return (np.array(states, np.uint32) >> np.uint32(1)).astype(np.int32)


def start_labels(sequences: Sequences, layout: Layout) -> np.ndarray:
    """Return what the forecasts are called in files, int64 [n]: their init_times, or numbers of sequences."""
    return sequences.init_times if layout.has_times else sequences.numbers


def _require_finite(forecast: np.ndarray, labels: np.ndarray, layout: Layout, path: Path) -> None:
    bad = ~np.isfinite(forecast).all(axis=tuple(range(1, forecast.ndim)))
    if bad.any():
        raise InputError(
            path,
            "the model forecasts values that are not finite (first at "
            f"{layout.describe_start(labels[bad][0])})",
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
    layout = grid.layout
    start, lead, rows, columns = layout.start, layout.lead, layout.rows, layout.columns
    sizes = {
        start.name: len(sequences),
        lead.name: sequences.lead_frames,
        rows.name: len(grid.lat),
        columns.name: len(grid.lon),
    }
    if layout.context:
        sizes[layout.context.name] = sequences.context_frames
    if members is not None:
        sizes["member"] = members
    for name, size in sizes.items():
        file.createDimension(name, size)
    _coordinate(file, start, (start.name,), start_labels(sequences, layout))
    if layout.has_times:
        _coordinate(file, lead, (lead.name,), sequences.lead_seconds / HOUR)
        _coordinate(file, _VALID_TIME, (start.name, lead.name), sequences.valid_times)
    else:
        _coordinate(file, lead, (lead.name,), np.arange(1, sequences.lead_frames + 1))
    if layout.context:
        numbers = np.arange(1 - sequences.context_frames, 1)
        _coordinate(file, layout.context, (layout.context.name,), numbers)
    _coordinate(file, rows, (rows.name,), grid.lat)
    _coordinate(file, columns, (columns.name,), grid.lon)
    if members is not None:
        _coordinate(file, _MEMBER, ("member",), np.arange(members))
    space = (rows.name, columns.name)
    kept = (
        ("context", (start.name, layout.context.name, *space), "context frames")
        if layout.context
        else ("init", (start.name, *space), "frame of init_time")
    )
    for name, unit in zip(grid.variables, grid.units, strict=True):
        names = standard_names(name)
        ensemble = ("member",) if members is not None else ()
        for kind, dims, what in (
            ("forecast", (start.name, lead.name, *ensemble, *space), "forecast"),
            ("truth", (start.name, lead.name, *space), "truth"),
            kept,
        ):
            one = file.createVariable(
                f"{name}_{kind}",
                "f4",
                dims,
                zlib=True,
                complevel=1,
                shuffle=True,
                chunksizes=[1 if dim in (start.name, "member") else sizes[dim] for dim in dims],
                fill_value=netCDF4.default_fillvals["f4"],
            )
            one.setncatts(
                {
                    **({"standard_name": names[0]} if names[0] else {}),
                    "long_name": f"{names[1]}, {what}",
                    "units": unit,
                    **({"coordinates": "valid_time"} if layout.has_times and lead.name in dims else {}),
                }
            )


def _coordinate(file: netCDF4.Dataset, axis: Axis, dims: tuple[str, ...], values: np.ndarray) -> None:
    created = file.createVariable(axis.name, axis.kind, dims)
    created.setncatts(axis.attributes)
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
        grid: variables, units, coordinates, layout.
        init_times: int64 [n], seconds since 1970; of data without times the numbers of the sequences.
        lead_hours: float64 [Tl]; of data without times the numbers of the lead frames.
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
        layout = FRAMES if FRAMES.start.name in self._file.variables else ON_EARTH
        self._kept = "context" if layout.context else "init"
        needed = (
            *layout.file_names.values(),
            *(f"{name}_{kind}" for kind in ("truth", self._kept) for name in names),
        )
        missing = [name for name in needed if name not in self._file.variables]
        if missing or not names:
            self._file.close()
            raise InputError(path, f"has no {', '.join(missing) or '<variable>_forecast'}", _REMEDY)
        self.grid = Grid(
            names,
            tuple(self._file[f"{name}_forecast"].units for name in names),
            self._file[layout.rows.name][:].astype(np.float64),
            self._file[layout.columns.name][:].astype(np.float64),
            layout,
        )
        self.init_times = np.rint(self._file[layout.start.name][:]).astype(np.int64)
        self.lead_hours = self._file[layout.lead.name][:].astype(np.float64)
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

    @property
    def members_clause(self) -> str:
        """What `read` gives of an ensemble, to be put behind other words; empty for a deterministic model."""
        return "" if self.members is None else f", mean of {self.members} members"

    def read(self, rows: slice | Sequence[int]) -> tuple[np.ndarray, np.ndarray, Batch]:
        """Read some init_times: forecast (or ensemble mean) and truth [B, Tl, H, W, C], and the `Batch`."""
        forecast, truth, batch = self.read_members(rows)
        return forecast if self.members is None else forecast.mean(axis=2), truth, batch

    def read_members(self, rows: slice | Sequence[int]) -> tuple[np.ndarray, np.ndarray, Batch]:
        """Read the same, with all members of an ensemble: [B, Tl, M, H, W, C]."""
        forecast = self._stack("forecast", rows)
        kept, init_times = self._stack(self._kept, rows), self.init_times[rows]
        if self.grid.layout.has_times:
            valid_times = init_times[:, np.newaxis] + np.rint(self.lead_hours * HOUR).astype(np.int64)
            batch = Batch(init_times, valid_times, kept)
        else:
            valid_times = np.tile(self.lead_hours.astype(np.int64), (len(init_times), 1))
            batch = Batch(init_times, valid_times, kept[:, -1], kept)
        return forecast, self._stack("truth", rows), batch

    def chunks(self, size: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray, Batch]]:
        """Yield all init_times in chunks: their rows, and what `read_members` gives."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, *self.read_members(rows)

    def _stack(self, kind: str, rows: slice | Sequence[int]) -> np.ndarray:
        try:
            return np.stack([self._file[f"{name}_{kind}"][rows] for name in self.grid.variables], axis=-1)
        except (OSError, RuntimeError) as error:
            raise InputError(self.path, f"is damaged ({error})", _REMEDY) from error
