"""The flags of the extraction, checked before anything heavy is imported or written, and the source that they
mean.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.record import arguments_of
from video_prediction_tools.metadata.variables import variables

if TYPE_CHECKING:
    from video_prediction_tools.data_extraction.extraction import Plan
    from video_prediction_tools.data_extraction.weather import Source

CONSTANTS = ("lsm", "oro")
SYNTHETIC_AREA = (54.9, 0.0, 38.4, 27.3)  # central Europe, 56 x 92 points at 0.3 degrees (Gong et al. 2022)
LARGEST_GRID = 2_000_000  # points; ERA5's globe has 1,038,240
_ONLY_FOR = {
    "source_dir": ("archive",),
    "constants_source": ("archive",),
    "source_names": ("archive",),
    "step_hours": ("cds", "synthetic"),
    "grid": ("cds", "synthetic"),
    "seed": ("synthetic",),
    "retries": ("cds",),
    "format": ("cds",),
}


@dataclass(frozen=True)
class Request:
    """What the user wants.

    Arguments:
        source: cds, archive or synthetic.
        destination: the directory to write.
        variables: short names, looked up and found.
        area: (N, W, S, E) in degrees, or None for all that there is.
        constants: fields that do not change in time; `constants_demanded`: the user named them, so they must
            be there.
        source_names: what the archive calls a variable, by short name.
        data_format: grib or netcdf, what the CDS is to send.
        overwrite: fetch again and replace what is there.
        dry_run: nothing is fetched or written.
        options: all flags, for metadata.json.
    """

    source: str
    source_dir: Path | None
    destination: Path
    variables: tuple[str, ...]
    area: tuple[float, float, float, float] | None
    grid: float | None
    step_hours: int | None
    seed: int | None
    constants: tuple[str, ...]
    constants_demanded: bool
    constants_source: Path | None
    source_names: dict[str, str]
    retries: int
    data_format: str
    overwrite: bool
    dry_run: bool
    options: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for all months of one directory."""
        whole = {
            "source": self.source,
            "source_dir": str(self.source_dir.resolve()) if self.source_dir else None,
            "area": list(self.area) if self.area else None,
            "grid": self.grid,
            "step_hours": self.step_hours,
            "seed": self.seed,
        }
        return {key: value for key, value in whole.items() if value is not None}

    def arguments(self) -> dict[str, Any]:
        """Return the flags as JSON."""
        return arguments_of(self.options)


def checked(options: argparse.Namespace) -> Request:
    """Check the flags.

    Raises:
        InputError: a flag is wrong, missing, or does not go with the source.
    """
    for name, sources in _ONLY_FOR.items():
        if getattr(options, name) not in (None, []) and options.source not in sources:
            raise InputError(
                f"--{name}",
                f"does not go with --source {options.source}",
                f"leave it out (it is for {' and '.join(sources)})",
            )
    for one in variables(options.variables):
        if one.level == "constant":
            raise InputError(
                "--variables",
                f"'{one.short_name}' does not change in time",
                f"ask for it with --constants {one.short_name}",
            )
    if options.source == "cds" and options.area is None:
        raise InputError(
            "--area", "is missing", "give N W S E in degrees; --source cds cuts the region at Copernicus"
        )
    return Request(
        source=options.source,
        source_dir=_source_dir(options),
        destination=options.destination_dir,
        variables=tuple(one.short_name for one in variables(options.variables)),
        area=_area(options),
        grid=_spacing(options),
        step_hours=None if options.source == "archive" else options.step_hours or 1,
        seed=_seed(options),
        constants=_constants(options),
        constants_demanded=options.constants is not None,
        constants_source=_existing("--constants_source", options.constants_source),
        source_names=_source_names(options),
        retries=_retries(options),
        data_format=options.format or "grib",
        overwrite=options.overwrite,
        dry_run=options.dry_run,
        options=vars(options),
    )


def open_source(request: Request, plan: "Plan") -> "Source":
    """Return the source; the archive is searched here, Copernicus is not asked yet.

    Arguments:
        request: the checked flags.
        plan: what is to be fetched.

    Raises:
        InputError: it does not have what is asked for.
    """
    months = [task.month for task in plan.tasks]
    if request.source == "synthetic":
        from video_prediction_tools.data_extraction.grids import Area, regular_grid
        from video_prediction_tools.data_extraction.synthetic import SyntheticSource

        return SyntheticSource(
            months, regular_grid(Area(*request.area), request.grid), request.step_hours, request.seed
        )
    if request.source == "archive":
        from video_prediction_tools.data_extraction.archive import open_archive

        return open_archive(
            request, months, variables(plan.variables()), variables(plan.constants), plan.there()
        )
    from video_prediction_tools.data_extraction.copernicus import CopernicusSource

    return CopernicusSource(request, months, plan.there())


def _source_dir(options: argparse.Namespace) -> Path | None:
    if options.source == "archive" and options.source_dir is None:
        raise InputError("--source_dir", "is missing", "give the directory of the archive")
    return _existing("--source_dir", options.source_dir)


def _existing(flag: str, path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise InputError(flag, f"{path} does not exist", "correct the path")
    return path


def _area(options: argparse.Namespace) -> tuple[float, float, float, float] | None:
    area = options.area or (SYNTHETIC_AREA if options.source == "synthetic" else None)
    if area is None:
        return None
    north, west, south, east = area
    if not -90 <= south < north <= 90:
        raise InputError(
            "--area",
            f"north {north:g} and south {south:g} do not fit",
            "give N W S E with 90 >= N > S >= -90",
        )
    if not (-180 <= west <= 360 and -180 <= east <= 360 and west != east):
        raise InputError(
            "--area",
            f"west {west:g} and east {east:g} do not fit",
            "give N W S E with W and E between -180 and 360, and not the same",
        )
    return north, west, south, east


def _spacing(options: argparse.Namespace) -> float | None:
    if options.source == "archive":
        return None
    degrees = options.grid if options.grid is not None else {"synthetic": 0.3, "cds": 0.25}[options.source]
    if not 0.01 <= degrees <= 30:
        raise InputError(
            "--grid", f"{degrees:g} is not a distance of grid points", "give degrees from 0.01 to 30"
        )
    north, west, south, east = _area(options)
    ny, nx = int((north - south) / degrees + 1e-6) + 1, int(((east - west) % 360 or 360) / degrees + 1e-6) + 1
    if min(ny, nx) < 2 or ny * nx > LARGEST_GRID:
        raise InputError(
            "--grid",
            f"{degrees:g} gives {ny} x {nx} points in the area",
            f"at least 2 x 2 and at most {LARGEST_GRID} in all are possible",
        )
    return degrees


def _seed(options: argparse.Namespace) -> int | None:
    if options.source != "synthetic":
        return None
    seed = 1 if options.seed is None else options.seed
    if not 0 <= seed < 2**32:
        raise InputError("--seed", f"{seed} is not possible", "give a number from 0 to 4294967295")
    return seed


def _constants(options: argparse.Namespace) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(options.constants or CONSTANTS))
    if "none" in asked:
        if len(asked) > 1:
            raise InputError("--constants", "names 'none' and fields", "name one or the other")
        return ()
    return asked


def _source_names(options: argparse.Namespace) -> dict[str, str]:
    names = {}
    found = variables(options.variables)
    spelled = {given: one.short_name for given, one in zip(options.variables, found, strict=True)}
    for pair in options.source_names:
        short_name, equals, name = pair.partition("=")
        known: Sequence[str] = [*spelled, *CONSTANTS]
        if not equals or not name:
            raise InputError(
                "--source_names", f"'{pair}' is not of the form VARIABLE=NAME", "write for example 2t=air"
            )
        if short_name not in known:
            raise InputError(
                "--source_names", f"'{short_name}' is not asked for", did_you_mean(short_name, known)
            )
        names[spelled.get(short_name, short_name)] = name
    return names


def _retries(options: argparse.Namespace) -> int:
    retries = 8 if options.retries is None else options.retries
    if not 0 <= retries <= 100:
        raise InputError("--retries", f"{retries} is not possible", "give a number from 0 to 100")
    return retries
