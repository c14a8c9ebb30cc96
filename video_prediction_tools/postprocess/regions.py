"""Parts of the area that are scored by themselves: land, sea, and the sub-regions asked for."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from video_prediction_tools.datasets.channels import Region
from video_prediction_tools.errors import InputError

LAND = 0.5  # share of land from which on a grid point is land
_FLAG = "--subregion"


def regions(weights: xr.DataArray, region: Region, asked: Sequence[str] | None) -> xr.DataArray | None:
    """Return the weights of the parts, each summing to 1.

    Arguments:
        weights: of the whole area, [lat, lon].
        region: coordinates, and the land-sea mask where the data have one.
        asked: sub-regions as ``NAME=N,W,S,E`` in degrees, north and east positive.

    Returns:
        [region, lat, lon] with the coordinate `region`: ``land``, ``sea``, the names; None where there is none.

    Raises:
        InputError: a sub-region is not written like that, lies outside of the area, or its name is taken.
    """
    masks: dict[str, np.ndarray] = {}
    if "lsm" in region.constants:
        land = np.asarray(region.constants["lsm"]) >= LAND
        masks = {
            name: mask for name, mask in (("land", land), ("sea", ~land)) if mask.any() and not mask.all()
        }
    for text in asked or ():
        name, mask = _sub_region(text, region)
        if name in masks:
            raise InputError(f"{_FLAG} {text}", f"there is a part '{name}' already", "give another name")
        masks[name] = mask
    if not masks:
        return None
    parts = [weights.where(xr.DataArray(mask, dims=("lat", "lon")), 0.0) for mask in masks.values()]
    return xr.concat([part / part.sum() for part in parts], "region").assign_coords(region=list(masks))


def _sub_region(text: str, region: Region) -> tuple[str, np.ndarray]:
    name, _, corners = text.partition("=")
    try:
        north, west, south, east = (float(one) for one in corners.split(","))
    except ValueError:
        north = south = np.nan
    if not name.isidentifier() or not north > south:
        raise InputError(
            f"{_FLAG} {text}",
            "is not of the form NAME=N,W,S,E",
            "write for example alps=48,5,44,14 (degrees)",
        )
    lat, lon = region.lat, region.lon
    # longitudes may be counted from -180 or from 0
    inside = (
        ((lon - west) % 360.0 <= (east - west) % 360.0)
        & (lat[:, np.newaxis] <= north)
        & (lat[:, np.newaxis] >= south)
    )
    if not inside.any():
        raise InputError(
            f"{_FLAG} {text}",
            f"has no grid point of the data ({lat.min():g} to {lat.max():g} N, {lon.min():g} to {lon.max():g} E)",
            "give one within them",
        )
    return name, inside
