"""Missing values: refused, or filled in the way that the user says."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from video_prediction_tools.datasets import times as time
from video_prediction_tools.errors import InputError

METHODS = ("mean", "nearest")
_REMEDY = ("say how to fill missing values with --fill mean, --fill nearest or --fill and one number for each variable, "
           "or leave the variable out")


@dataclass(frozen=True)
class Fill:
    """How to fill missing values.

    Arguments:
        method: '' (refuse them), 'mean' (the mean of the region's other values of the same hour), 'nearest' (the
            nearest grid point that has a value in the same hour) or 'values'.
        values: with 'values', one number for each variable, in its unit.
    """

    method: str = ""
    values: tuple[float, ...] = ()

    def __str__(self) -> str:
        return " ".join(f"{value:g}" for value in self.values) if self.method == "values" else self.method

    @classmethod
    def parse(cls, words: list[str] | None, variables: tuple[str, ...]) -> "Fill":
        """Read the flag --fill.

        Raises:
            InputError: neither a known method nor one number for each variable.
        """
        if not words:
            return cls()
        if len(words) == 1 and words[0] in METHODS:
            return cls(words[0])
        try:
            values = tuple(float(word) for word in words)
        except ValueError:
            raise InputError("--fill", f"'{' '.join(words)}' is no way to fill missing values",
                             "write mean, nearest, or one number for each variable") from None
        if len(values) != len(variables) or not np.isfinite(values).all():
            raise InputError("--fill", f"{len(values)} numbers for {len(variables)} variables" if np.isfinite(values).all()
                             else "the numbers must be finite", f"give one number for each of {' '.join(variables)}")
        return cls("values", values)

    def apply(self, fields: np.ndarray, channel: int, variable: str, times: np.ndarray, path: object,
              lat: np.ndarray) -> int:
        """Fill the missing values of one variable in place.

        Arguments:
            fields: float32 ``[T, H, W]``; what is not finite is missing.
            channel: number of the variable.
            variable: its short name.
            times: int64 ``[T]``.
            path: the file, for error messages.
            lat: degrees north ``[H]``.

        Returns:
            The number of values filled.

        Raises:
            InputError: there are some and none may be filled, or an hour has no value at all to fill from.
        """
        # one sum tells: anything that is not finite makes it so (or it overflows, and the slow way finds out)
        if np.isfinite(fields.sum(dtype=np.float64)):
            return 0
        missing = ~np.isfinite(fields)
        number = int(missing.sum())
        hours = np.flatnonzero(missing.any(axis=(1, 2)))
        if not number:
            return 0
        if not self.method:
            share = 100 * number / missing.size
            raise InputError(path, f"{variable} has missing values (NaN): {max(share, 0.001):.3g} % of this month's values, "
                             f"first at {time.text(times[hours[0]])}", _REMEDY)
        if self.method == "values":
            fields[missing] = self.values[channel]
            return number
        for hour in hours:
            if missing[hour].all():
                raise InputError(path, f"{variable} has no value at all at {time.text(times[hour])}, so that --fill "
                                 f"{self.method} has nothing to fill from",
                                 "fill with a number, or extract without this hour")
            if self.method == "mean":
                fields[hour][missing[hour]] = fields[hour][~missing[hour]].mean(dtype=np.float64)
            else:
                _fill_nearest(fields[hour], missing[hour], lat)
        return number


def _fill_nearest(field: np.ndarray, missing: np.ndarray, lat: np.ndarray) -> None:
    """Fill a field ``[H, W]`` in place from the nearest grid points; a degree of longitude shrinks with latitude."""
    squeeze = max(0.05, float(np.cos(np.deg2rad(np.mean(lat)))))
    rows, columns = distance_transform_edt(missing, sampling=(1.0, squeeze), return_distances=False, return_indices=True)
    field[missing] = field[rows[missing], columns[missing]]
