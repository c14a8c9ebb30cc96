"""Statistics of the training split: worked out month by month, added up, read back (statistics.json)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json, sha256, write_json
from video_prediction_tools.metadata.names import step_that_makes
from video_prediction_tools.metadata.record import Record

FILE_NAME = "statistics.json"
_HOURS_AT_ONCE = 64


@dataclass(frozen=True)
class VariableStatistics:
    """Statistics of one variable over all its values in the training split.

    Arguments:
        min, max, mean: in the variable's unit.
        std: standard deviation of the population (divided by n), in the variable's unit.
        n: number of values (hours x grid points).
    """

    min: float
    max: float
    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class Moments:
    """What statistics are made of, so that parts of the data can be worked out apart and added up.

    The squares are those of the deviations from the part's own mean, and parts are joined with the formula of
    Chan, Golub and LeVeque (1983, The American Statistician 37, 242-247, equation 2.1): sums of plain squares
    would lose the standard deviation of a variable such as msl (1e5 Pa, deviations of 1e2) to rounding.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    min: float = float("inf")
    max: float = float("-inf")

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Work out the moments of an array ``[T, ...]``, in double precision and with little memory."""
        total = cls()
        for start in range(0, len(values), _HOURS_AT_ONCE):
            part = values[start : start + _HOURS_AT_ONCE]
            deviations = part.astype(np.float64).ravel()
            mean = float(deviations.mean())
            deviations -= mean
            squares = float(np.einsum("i,i->", deviations, deviations))
            total = total.joined(cls(part.size, mean, squares, float(part.min()), float(part.max())))
        return total

    def joined(self, other: "Moments") -> "Moments":
        """Return the moments of both parts together."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        apart = other.mean - self.mean
        return Moments(
            n,
            self.mean + apart * other.n / n,
            self.squares + other.squares + apart * apart * self.n * other.n / n,
            min(self.min, other.min),
            max(self.max, other.max),
        )

    def statistics(self) -> VariableStatistics:
        """Return the statistics that these moments stand for."""
        return VariableStatistics(self.min, self.max, self.mean, (self.squares / self.n) ** 0.5, self.n)


def join(parts: Iterable[Moments]) -> Moments:
    """Join parts in the order given; the order decides the last digits, so keep it fixed."""
    total = Moments()
    for part in parts:
        total = total.joined(part)
    return total


def write_statistics(
    directory: Path, statistics: dict[str, VariableStatistics], train_ranges: list[list[str]]
) -> Path:
    """Write statistics.json.

    Arguments:
        directory: the data set.
        statistics: by short name of the variable.
        train_ranges: first and last hour of each gap-free run of the training split that they were made from.
    """
    path = Path(directory) / FILE_NAME
    write_json(
        path, {"variables": {name: asdict(one) for name, one in statistics.items()}, "ranges": train_ranges}
    )
    return path


def read_statistics(directory: Path, dataset: Record) -> dict[str, VariableStatistics]:
    """Read the statistics of a data set, by short name of the variable.

    Arguments:
        directory: the data set.
        dataset: its record (`metadata.record.require_done`), which knows the file's content.

    Raises:
        InputError: the file is missing, damaged, or that of another data set.
    """
    path = Path(directory) / FILE_NAME
    remedy = f"run the step '{step_that_makes(directory, 'preprocess1')}' again"
    content = read_json(path, remedy)
    if dataset.outputs.get(FILE_NAME, {}).get("sha256") != sha256(path):
        raise InputError(
            path, "is not the file that was written here (changed, or of another data set)", remedy
        )
    try:
        return {name: VariableStatistics(**entry) for name, entry in content["variables"].items()}
    except (KeyError, TypeError, AttributeError):
        raise InputError(path, "holds no statistics of variables", remedy) from None
