"""Weights of the grid points in a mean; they are passed to every statistic, never hidden inside one."""

import numpy as np
import xarray as xr


def latitude_weights(lat: np.ndarray, width: int) -> xr.DataArray:
    """Weights proportional to the area of a grid cell: w_y = cos(latitude), summing to 1 over the region.

    Arguments:
        lat: latitudes of the grid rows [H], degrees north.
        width: number of grid columns, W.

    Returns:
        [lat, lon].

    Source: WeatherBench 2 (Rasp et al. 2024, doi:10.1029/2023MS004019), where cells are as narrow as
        cos(latitude).
    """
    cosine = np.clip(np.cos(np.deg2rad(np.asarray(lat, dtype=np.float64))), 0.0, None)  # -6e-17 at the pole
    return _normalised(np.repeat(cosine[:, np.newaxis], width, axis=1))


def uniform_weights(height: int, width: int) -> xr.DataArray:
    """The same weight for every grid point, for ``--no_latitude_weights``.

    Returns:
        [lat, lon].
    """
    return _normalised(np.ones((height, width)))


def sum_weights(height: int, width: int) -> xr.DataArray:
    """Weight 1 for every pixel: what is a mean with other weights is then the sum over the frame.

    Returns:
        [lat, lon].
    """
    return xr.DataArray(np.ones((height, width)), dims=("lat", "lon"))


def _normalised(weights: np.ndarray) -> xr.DataArray:
    return xr.DataArray(weights / weights.sum(), dims=("lat", "lon"))
