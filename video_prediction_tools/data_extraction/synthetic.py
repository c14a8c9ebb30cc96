"""A synthetic atmosphere: no real weather, but a plausible region for demonstrations and tests.

What it has: land and sea with a smooth coast, orography, a diurnal cycle in local solar time that is strong
    over land,
weak over sea and damped by clouds, seasons and a meridional gradient, travelling waves that msl, gph, t, tcc,
2t and the
winds share, and red noise. The waves are a sum of Fourier modes that travel with nearly constant speed, hence
predictable
for hours; their phase leans westward with height and warm air lies ahead of the trough, as in a growing mid-
latitude wave
(Holton and Hakim 2013, An Introduction to Dynamic Meteorology, chapter 6).

Every field is a function of absolute time, place and seed alone: how the period is cut into months and runs
    changes
nothing, and any grid samples the same atmosphere.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from video_prediction_tools.data_extraction.grids import Grid
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.data_extraction.weather import ConstantField, WeatherMonth
from video_prediction_tools.metadata.variables import Variable

if TYPE_CHECKING:
    from video_prediction_tools.data_extraction.extraction import Plan

EARTH_RADIUS = 6.371e6  # m
GRAVITY = 9.80665  # m s-2
GAS_CONSTANT = 287.05  # J kg-1 K-1, dry air
LAPSE_RATE = 6.5e-3  # K m-1, standard atmosphere
ROTATION = 7.292e-5  # s-1
DENSITY = 1.2  # kg m-3
NOISE_HOURS = 36  # length of the noise's memory that is summed up; what lies before weighs less than 1 %
NOISE_DECAY = np.exp(-1 / 8)  # red noise: correlation of one hour with the next
_MODES, _NOISE_MODES = 24, 32


class SyntheticSource:
    """The synthetic atmosphere as a source; see `weather.Source`.

    Arguments:
        months: the period.
        grid: the points.
        step_hours: 1, 3 or 6.
        seed: another seed gives another coast and other weather.
    """

    synthetic = True

    def __init__(self, months: Sequence[Month], grid: Grid, step_hours: int, seed: int):
        self.months, self.grid, self.step_hours = list(months), grid, step_hours
        self.text = f"synthetic atmosphere of AMBS (seed {seed}); not real weather"
        self.attributes: dict[str, Any] = {}
        self._atmosphere = Atmosphere(grid, seed)

    @contextmanager
    def open_month(self, month: Month, variables: Sequence[Variable]) -> Iterator[WeatherMonth]:
        """Deliver one month."""
        times = np.arange(month.start, month.end, 3600 * self.step_hours, dtype=np.int64)
        by_name = {variable.short_name: variable for variable in variables}
        yield WeatherMonth(
            month,
            times,
            self.grid,
            read=lambda name, start, stop: self._atmosphere.field(by_name[name], times[start:stop]),
            origin=lambda name, index: self.text,
        )

    def constants(self, variables: Sequence[Variable], grid: Grid) -> dict[str, ConstantField]:
        """Deliver lsm and oro."""
        fields = {"lsm": self._atmosphere.land, "oro": self._atmosphere.orography}
        return {
            variable.short_name: ConstantField(fields[variable.short_name], self.text)
            for variable in variables
        }

    def dry_run(self, plan: "Plan") -> list[str]:
        """Say what would be made."""
        return [f"would make {task.month}: {', '.join(task.fetch)}" for task in plan.tasks] + [
            f"on {self.grid}, every {self.step_hours} h; constants: {', '.join(plan.constants) or 'none'}"
        ]


class _Modes:
    """Travelling waves cos(m lon + n lat - w t + phase), m a whole number so that the globe closes.

    Fields are [T, H, W] with mean 0 and standard deviation near 1.
    """

    def __init__(
        self, grid: Grid, rng: np.random.Generator, waves: tuple[int, int], speed: tuple[float, float]
    ):
        self.m = rng.integers(*waves, size=_MODES)
        self.n = rng.uniform(-0.8, 0.8, _MODES) * self.m
        mid_latitude = EARTH_RADIUS * np.cos(np.deg2rad(50.0))
        self.frequency = self.m * rng.uniform(*speed, _MODES) / mid_latitude  # rad s-1
        self.phase = rng.uniform(0, 2 * np.pi, _MODES)
        self.amplitude = rng.uniform(0.5, 1.0, _MODES) * (self.m / waves[0]) ** -1.0
        self.amplitude *= np.sqrt(2.0 / np.sum(self.amplitude**2))
        self._lat, self._lon = np.deg2rad(grid.lat)[:, None], np.deg2rad(grid.lon)[None, :]

    def field(self, times: np.ndarray, lead: float = 0.0, along: str | None = None) -> np.ndarray:
        """Return the waves [T, H, W], moved westward by `lead` of a quarter wave length.

        Arguments:
            along: ``"lon"`` or ``"lat"`` for the derivative per metre to the east or the north.
        """
        space = [self._pattern(index, lead, along) for index in range(_MODES)]
        basis = np.stack([*(part.real for part in space), *(part.imag for part in space)]).reshape(
            2 * _MODES, -1
        )
        angle = self.frequency[None, :] * times[:, None].astype(np.float64)
        clock = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        return (clock @ basis).reshape(len(times), *space[0].shape)

    def _pattern(self, index: int, lead: float, along: str | None) -> np.ndarray:
        m, n = self.m[index], self.n[index]
        wave = self.amplitude[index] * np.exp(
            1j * (m * self._lon + n * self._lat + self.phase[index] + lead * np.pi / 2)
        )
        if along == "lon":
            wave = wave * 1j * m / (EARTH_RADIUS * np.cos(np.clip(self._lat, -1.48, 1.48)))
        elif along == "lat":
            wave = wave * 1j * n / EARTH_RADIUS
        return wave


class Atmosphere:
    """Fields of the synthetic atmosphere on one grid.

    Arguments:
        grid: the points, H x W.
        seed: of coast, waves and noise.
    """

    def __init__(self, grid: Grid, seed: int):
        self.grid, self.seed = grid, seed
        self._lat, self._lon = np.deg2rad(grid.lat)[:, None], np.deg2rad(grid.lon)[None, :]
        self._waves = _Modes(grid, self._rng(1), waves=(5, 16), speed=(7.0, 14.0))
        self._clouds = _Modes(grid, self._rng(2), waves=(18, 48), speed=(8.0, 14.0))

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, part])

    def _smooth(self, part: int, scale_km: float, modes: int = 48) -> np.ndarray:
        """Return a random field [H, W] with mean 0, standard deviation near 1 and the given length scale.

        Plane waves through the ball of the Earth: no seam at the date line, none at the poles.
        """
        rng = self._rng(part)
        direction = rng.normal(size=(3, modes)) * EARTH_RADIUS / (scale_km * 1e3)
        phase = rng.uniform(0, 2 * np.pi, modes)
        x, y, z = (
            np.cos(self._lat) * np.cos(self._lon),
            np.cos(self._lat) * np.sin(self._lon),
            np.sin(self._lat),
        )
        total = np.zeros(self.grid.shape)
        for kx, ky, kz, shift in zip(*direction, phase, strict=True):
            total += np.cos(kx * x + ky * y + kz * z + shift)
        return total * np.sqrt(2.0 / modes)

    @cached_property
    def land(self) -> np.ndarray:
        """Land share of each point, 0..1, [H, W]."""
        height = 0.5 + self._smooth(10, 380.0) + 0.35 * self._smooth(11, 120.0)  # about as much land as sea
        return 1.0 / (1.0 + np.exp(-height / 0.06))

    @cached_property
    def orography(self) -> np.ndarray:
        """Height of the surface [m], 0 over sea, [H, W]."""
        ridges = np.clip(self._smooth(12, 250.0) + 0.4 * self._smooth(13, 80.0) + 0.2, 0.0, None)
        return self.land * (60.0 * self.land + 380.0 * ridges**2)

    def field(self, variable: Variable, times: np.ndarray) -> np.ndarray:
        """Return one variable at `times` (seconds since 1970), [T, H, W] float32 in its unit."""
        makers = {
            "2t": self._t2m,
            "2d": self._d2m,
            "msl": self._msl,
            "sp": self._sp,
            "tcc": self._tcc,
            "10u": self._u10,
            "10v": self._v10,
        }
        if variable.pressure is None:
            values = makers[variable.short_name](times)
        elif variable.standard_name == "geopotential_height":
            values = self._height(times, variable.pressure)
        else:
            values = self._temperature(times, variable.pressure)
        return values.astype(np.float32)

    def _season(self, times: np.ndarray) -> np.ndarray:
        """Return [T, 1, 1]: 1 in the northern high summer (20 July), -1 half a year later."""
        return np.cos(2 * np.pi * (times / 86400.0 - 200.0) / 365.25)[:, None, None]

    def _noise(self, times: np.ndarray, part: int, scale_km: float) -> np.ndarray:
        """Return red noise [T, H, W] with standard deviation near 1.

        The coefficient of each pattern is a first-order autoregressive series, summed over a fixed length of
        past
        hours; each hour's numbers come from a generator of its own, hence the same in every run.
        """
        hours = times // 3600
        first, last = int(hours[0]) - NOISE_HOURS + 1, int(hours[-1])
        drawn = np.stack(
            [
                np.random.Generator(np.random.Philox(key=[self.seed, (part << 32) + hour])).standard_normal(
                    _NOISE_MODES
                )
                for hour in range(first, last + 1)
            ]
        )
        weights = NOISE_DECAY ** np.arange(NOISE_HOURS) * np.sqrt(1 - NOISE_DECAY**2)
        series = np.zeros((len(drawn) - NOISE_HOURS + 1, _NOISE_MODES))
        for lag, weight in enumerate(weights):
            series += weight * drawn[NOISE_HOURS - 1 - lag : len(drawn) - lag]
        patterns = np.stack(
            [self._smooth(100 * part + index, scale_km, modes=6) for index in range(_NOISE_MODES)]
        )
        chosen = series[hours - hours[0]] / np.sqrt(_NOISE_MODES)
        return (chosen @ patterns.reshape(_NOISE_MODES, -1)).reshape(len(times), *self.grid.shape)

    @property
    def _storm_track(self) -> np.ndarray:
        """Return the strength of the waves by latitude, [H, 1]: largest at 50 degrees, weak in the tropics."""
        return 0.25 + 0.75 * np.exp(-(((np.abs(self._lat) - np.deg2rad(50.0)) / np.deg2rad(22.0)) ** 2))

    def _msl(self, times: np.ndarray) -> np.ndarray:
        waves = 950.0 * self._storm_track * self._waves.field(times)
        return 101325.0 + 250.0 * np.cos(4 * self._lat) + waves + 60.0 * self._noise(times, 20, 400.0)

    def _sp(self, times: np.ndarray) -> np.ndarray:
        return self._msl(times) * np.exp(-GRAVITY * self.orography / (GAS_CONSTANT * 280.0))

    def _tcc(self, times: np.ndarray) -> np.ndarray:
        ahead_of_trough = -self._waves.field(times, lead=-0.7)
        cells = self._clouds.field(times) + 0.4 * self._noise(times, 21, 250.0)
        return 1.0 / (1.0 + np.exp(-2.2 * (0.9 * ahead_of_trough + 0.8 * cells + 0.2)))

    def _mean_air(self, times: np.ndarray, continental: np.ndarray | float) -> np.ndarray:
        """Return the mean temperature at sea level by season and latitude [K], [T, H, W].

        Arguments:
            continental: 1 where the seasons are those of a continent, 0 where those of the sea.
        """
        amplitude = np.sin(self._lat) * (5.0 + 9.0 * continental)
        return 301.0 - 42.0 * np.sin(self._lat) ** 2 + amplitude * self._season(times)

    def _daylight(self, times: np.ndarray) -> np.ndarray:
        """Return the diurnal cycle [T, H, W], -1..1, largest at 15 h local solar time, weak where the sun
        stays low.
        """
        declination = np.deg2rad(23.4) * self._season(times)
        height_of_noon = np.clip(np.cos(self._lat[None] - declination), 0.12, None)
        solar_hour = (times / 3600.0)[:, None, None] + np.rad2deg(self._lon)[None] / 15.0
        angle = 2 * np.pi * (solar_hour - 15.0) / 24.0
        return height_of_noon * (np.cos(angle) + 0.2 * np.cos(2 * angle))

    def _t2m(self, times: np.ndarray) -> np.ndarray:
        cloud = self._tcc(times)
        diurnal = (0.6 + 7.0 * self.land) * (1.0 - 0.6 * cloud) * self._daylight(times)
        waves = 3.2 * (0.6 + 0.4 * self.land) * self._storm_track * self._waves.field(times, lead=-1.0)
        noise = (0.15 + 0.25 * self.land) * self._noise(times, 22, 200.0)
        return self._mean_air(times, self.land) - LAPSE_RATE * self.orography + diurnal - waves + noise

    def _d2m(self, times: np.ndarray) -> np.ndarray:
        t2m, cloud = self._t2m(times), self._tcc(times)
        drying = np.clip(self._daylight(times), 0.0, None) * self.land
        return t2m - (1.0 + 7.0 * (1.0 - cloud) * (0.4 + 0.6 * self.land) + 3.0 * drying)

    def _wind(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the geostrophic wind of the waves of msl, weakened and turned by friction [m s-1]."""
        sine = np.sin(self._lat)
        coriolis = (
            2 * ROTATION * np.where(sine < 0, -1.0, 1.0) * np.sqrt(sine**2 + np.sin(np.deg2rad(15.0)) ** 2)
        )
        scale = 950.0 * self._storm_track / (DENSITY * coriolis)
        u = -scale * self._waves.field(times, along="lat") + 4.0 * np.exp(
            -(((np.abs(self._lat) - 0.87) / 0.35) ** 2)
        )
        v = scale * self._waves.field(times, along="lon")
        friction = 0.6 - 0.25 * self.land
        turn = np.deg2rad(12.0 + 16.0 * self.land) * np.where(
            self._lat < 0, -1.0, 1.0
        )  # towards low pressure
        return (
            friction * (np.cos(turn) * u - np.sin(turn) * v),
            friction * (np.sin(turn) * u + np.cos(turn) * v),
        )

    def _u10(self, times: np.ndarray) -> np.ndarray:
        return self._wind(times)[0] + 0.5 * self._noise(times, 23, 250.0)

    def _v10(self, times: np.ndarray) -> np.ndarray:
        return self._wind(times)[1] + 0.5 * self._noise(times, 24, 250.0)

    @staticmethod
    def _standard_height(pressure: float) -> float:
        """Return the height of a pressure level in the standard atmosphere [m] (ISO 2533, isothermal above
        226.3 hPa).
        """
        if pressure > 226.32:
            return 288.15 / LAPSE_RATE * (1.0 - (pressure / 1013.25) ** (GAS_CONSTANT * LAPSE_RATE / GRAVITY))
        return 11000.0 + GAS_CONSTANT * 216.65 / GRAVITY * np.log(226.32 / pressure)

    def _lean(self, pressure: float) -> float:
        """Return by how many quarter waves the wave at a level lies west of that at the surface."""
        return 0.8 * np.clip((1000.0 - pressure) / 500.0, 0.0, 1.2)

    def _height(self, times: np.ndarray, pressure: float) -> np.ndarray:
        share = min((1000.0 - pressure) / 500.0, 1.6)
        warmth = self._mean_air(times, 0.5) - 285.0  # thickness follows the mean temperature of the layer
        wave = (75.0 + 45.0 * share) * self._storm_track * self._waves.field(times, lead=self._lean(pressure))
        return (
            self._standard_height(pressure)
            + 15.0 * share * warmth
            + wave
            + 4.0 * self._noise(times, 25, 600.0)
        )

    def _temperature(self, times: np.ndarray, pressure: float) -> np.ndarray:
        standard = max(216.65, 288.15 - LAPSE_RATE * self._standard_height(pressure))
        warmth = 0.8 * (self._mean_air(times, 0.5) - 288.0)
        wave = 4.0 * self._storm_track * self._waves.field(times, lead=self._lean(pressure) - 1.0)
        return standard + warmth - wave + 0.3 * self._noise(times, 26, 300.0)
