"""One variable of one file of an archive: what its header says, and how to read it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video_prediction_tools.data_extraction.grids import Window
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import Variable

NO_TIME = np.iinfo(np.int64).min  # time of a field that has none


@dataclass(frozen=True)
class Series:
    """A variable of a file, [T, H, W]; nothing but the header is in memory.

    Arguments:
        name: short name of the variable that it is.
        path: the file.
        field: what the file calls it.
        lat, lon: the stored coordinates, in the stored order.
        times: [T] int64, seconds since 1970-01-01T00:00Z, as stored; `NO_TIME` for a field without time.
        expver: [T] ERA5's experiment version, '0001' final, '0005' preliminary (ERA5T), '' unknown.
        read: ``read(indices, window)`` -> [len(indices), H, W] in the unit of variables.toml, NaN where
            missing.
        precision: ``precision(index)`` -> largest error that packing made, in that unit.
    """

    name: str
    path: Path
    field: str
    lat: np.ndarray
    lon: np.ndarray
    times: np.ndarray
    expver: np.ndarray
    read: Callable[[np.ndarray, Window], np.ndarray]
    precision: Callable[[int], float]


@dataclass(frozen=True)
class Contents:
    """What a file holds of the wanted variables, and what else is worth a word when something is missing.

    Arguments:
        series: the wanted variables.
        others: names of other fields.
        notes: for fields that bear a wanted name and cannot be used: short name, and why.
    """

    series: tuple[Series, ...]
    others: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wanted:
    """The variables to look for.

    Arguments:
        variables: as in the table.
        source_names: what the archive calls some of them, by short name.
    """

    variables: Sequence[Variable]
    source_names: Mapping[str, str]

    def bearing(self, names: Sequence[str]) -> list[tuple[Variable, bool]]:
        """Return the variables that a field with these names (or GRIB ids as text) may be.

        Returns:
            pairs of a variable and whether the field is the other quantity that it is converted from.
        """
        found = []
        for one in self.variables:
            if one.short_name in self.source_names:
                if self.source_names[one.short_name] in names:
                    found.append((one, False))
                continue
            own = {*one.names, *map(str, one.grib_ids)}
            other = {*one.convert.names, *map(str, one.convert.grib_ids)} if one.convert else set()
            if own & set(names):
                found.append((one, False))
            elif other & set(names):
                found.append((one, True))
        return found


def damaged(path: Path, what: str) -> InputError:
    """Return the error for a file that cannot be read."""
    return InputError(
        path, f"is damaged or truncated ({' '.join(what.split())})", "get the file again, or remove it"
    )
