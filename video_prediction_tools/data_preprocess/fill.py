"""Missing values: refused, or filled in the way that the user says."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from video_prediction_tools.datasets import times as time
from video_prediction_tools.errors import InputError

METHODS = ("mean", "nearest")
_REMEDY = (
    "say how to fill missing values with --fill mean, --fill nearest or --fill and one number for each "
    "variable, "
    "or leave the variable out"
)


@dataclass(frozen=True)
class Fill:
    """How to fill missing values.

    Arguments:
        method: '' (refuse them), 'mean' (the mean of the region's other values of the same hour), 'nearest'
            (the nearest grid point that has a value in the same hour) or 'values'.
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
            raise InputError(
                "--fill",
                f"'{' '.join(words)}' is no way to fill missing values",
                "write mean, nearest, or one number for each variable",
            ) from None
        if len(values) != len(variables) or not np.isfinite(values).all():
            raise InputError(
                "--fill",
                f"{len(values)} numbers for {len(variables)} variables"
                if np.isfinite(values).all()
                else "the numbers must be finite",
                f"give one number for each of {' '.join(variables)}",
            )
        return cls("values", values)

    def apply(
        self,
        fields: np.ndarray,
        channel: int,
        variable: str,
        times: np.ndarray,
        path: object,
        lat: np.ndarray,
    ) -> int:
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
            InputError: an hour has no value at all to fill from.
        """
        missing = ~np.isfinite(fields)
        if self.method == "values":
            fields[missing] = self.values[channel]
            return int(missing.sum())
        for hour in np.flatnonzero(missing.any(axis=(1, 2))):
            if missing[hour].all():
                raise InputError(
                    path,
                    f"{variable} has no value at all at {time.text(times[hour])}, so that --fill "
                    f"{self.method} has nothing to fill from",
                    "fill with a number, or extract without this hour",
                )
            if self.method == "mean":
                fields[hour][missing[hour]] = fields[hour][~missing[hour]].mean(dtype=np.float64)
            else:
                _fill_nearest(fields[hour], missing[hour], lat)
        return int(missing.sum())


def has_missing(fields: np.ndarray) -> bool:
    """Say whether a value is missing (not finite): one sum tells nearly always, and it is quick."""
    with np.errstate(invalid="ignore"):  # inf - inf
        total = fields.sum(dtype=np.float64)
    return not np.isfinite(total) and not np.isfinite(fields).all()


def refuse(path: object, variable: str, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise the error about missing values.

    Arguments:
        path: the file.
        variable: short name.
        parts: all times (int64 ``[T]``) and fields (float32 ``[T, H, W]``) of the file, in order.

    Raises:
        InputError: always; it says which share is missing and when first.
    """
    missing, number, first = 0, 0, None
    for times, fields in parts:
        bad = ~np.isfinite(fields)
        missing, number = missing + int(bad.sum()), number + bad.size
        if first is None and bad.any():
            first = times[bad.any(axis=(1, 2)).argmax()]
    share = max(100 * missing / number, 0.001)
    raise InputError(
        path,
        f"{variable} has missing values (NaN): {share:.3g} % of the values, first at {time.text(first)}",
        _REMEDY,
    )


def _fill_nearest(field: np.ndarray, missing: np.ndarray, lat: np.ndarray) -> None:
    """Fill a field ``[H, W]`` in place from the nearest grid points, distances as at its latitude."""
    from scipy.ndimage import distance_transform_edt  # takes a second, and is rarely needed

    squeeze = max(0.05, float(np.cos(np.deg2rad(np.mean(lat)))))
    rows, columns = distance_transform_edt(
        missing, sampling=(1.0, squeeze), return_distances=False, return_indices=True
    )
    field[missing] = field[rows[missing], columns[missing]]
