"""Scaling of the forecast variables to numbers near one and back, from the statistics of the training split.

It belongs to a model: files hold physical units, and a model takes its own normalisation to any data that it
forecasts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

METHODS = ("zscore", "minmax")


@dataclass(frozen=True)
class Normalisation:
    """Linear scaling per variable: normalised = (physical - offset) / scale.

    Arguments:
        method: ``zscore``: offset mean, scale standard deviation; ``minmax``: offset minimum, scale maximum -
            minimum (the scaling of the original AMBS, to 0..1). A variable that does not vary has the scale
            1.
        variables: short names of the C channels, in their order.
        statistics: min, max, mean and std of each variable in physical units, of the training split.

    Raises:
        ValueError: unknown method, or statistics that are missing or not finite.
    """

    method: str
    variables: tuple[str, ...]
    statistics: Mapping[str, Mapping[str, float]]

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"unknown normalisation '{self.method}'; known are: {', '.join(METHODS)}")
        for name in self.variables:
            values = [
                self.statistics.get(name, {}).get(key, math.nan) for key in ("min", "max", "mean", "std")
            ]
            if not all(map(math.isfinite, values)):
                raise ValueError(f"the statistics of '{name}' are missing or not finite")

    @property
    def offset(self) -> np.ndarray:
        """[C] float32, physical units."""
        key = "mean" if self.method == "zscore" else "min"
        return self._per_variable([self.statistics[name][key] for name in self.variables])

    @property
    def scale(self) -> np.ndarray:
        """[C] float32, physical units, never 0."""
        each = [self.statistics[name] for name in self.variables]
        spread = [one["std"] if self.method == "zscore" else one["max"] - one["min"] for one in each]
        # a spread of rounding errors only would blow them up to the size of a signal
        floor = [1e-6 * max(abs(one["min"]), abs(one["max"])) for one in each]
        return self._per_variable(
            [width if width > least else 1.0 for width, least in zip(spread, floor, strict=True)]
        )

    def normalise(self, physical: Any) -> Any:
        """Scale an array or tensor [..., C] from physical units."""
        return (physical - self.offset) / self.scale

    def denormalise(self, normalised: Any) -> Any:
        """Scale an array or tensor [..., C] back to physical units."""
        return normalised * self.scale + self.offset

    def to_json(self) -> dict[str, Any]:
        """Return the entry `normalisation` of data_spec.json."""
        used = {
            name: {key: self.statistics[name][key] for key in ("min", "max", "mean", "std")}
            for name in self.variables
        }
        return {"method": self.method, "statistics": used}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], variables: Sequence[str]) -> "Normalisation":
        """Read what `to_json` returned."""
        return cls(content["method"], tuple(variables), content["statistics"])

    @staticmethod
    def _per_variable(values: list[float]) -> np.ndarray:
        return np.asarray(values, np.float32)
