"""Extract weather from Copernicus or an archive, or make it: monthly CF NetCDF files in ExtractedData."""

import argparse
import sys
from pathlib import Path

from video_prediction_tools.data_extraction.extraction import KIND, check_source, extract, make_plan
from video_prediction_tools.data_extraction.period import months_of
from video_prediction_tools.data_extraction.request import checked, open_source
from video_prediction_tools.main_scripts.program import Parser, run
from video_prediction_tools.metadata.record import running
from video_prediction_tools.progress import say


def build_parser() -> Parser:
    """Return the parser of this program's flags."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add(
        "--source",
        required=True,
        choices=["cds", "archive", "synthetic"],
        help="cds: Copernicus Climate Data Store (ERA5; needs a free key); archive: a tree of GRIB or NetCDF "
        "files or Zarr stores; synthetic: a made-up atmosphere for tests and demonstrations",
    )
    add("--source_dir", type=Path, help="archive: the directory (with all below it), or a file")
    add("--destination_dir", type=Path, required=True, help="directory to write, <base>/ExtractedData")
    add("--years", type=int, nargs="+", required=True, metavar="YYYY", help="years")
    add("--months", type=int, nargs="+", metavar="M", help="months of every year, 1 to 12 (default: all)")
    add(
        "--variables",
        nargs="+",
        required=True,
        metavar="NAME",
        help="short names as in metadata/variables.toml: 2t msl tcc 10u 10v 2d sp, and t or gph with a level "
        "in hPa (t850, gph500)",
    )
    add(
        "--area",
        type=float,
        nargs=4,
        metavar=("N", "W", "S", "E"),
        help="region in degrees, north and east positive; E less than W crosses the date line or Greenwich "
        "(default: archive: all that the data cover; synthetic: 54.9 0 38.4 27.3; cds: must be given)",
    )
    add(
        "--constants",
        nargs="+",
        choices=["lsm", "oro", "none"],
        help="fields that do not change in time, land-sea mask and orography (default: both; an archive "
        "gives those that it has)",
    )
    add(
        "--constants_source",
        type=Path,
        help="archive: file or directory to take the constants from, cut to the grid of the data",
    )
    add(
        "--source_names",
        nargs="+",
        default=[],
        metavar="VARIABLE=NAME",
        help="archive: variables that the files name otherwise, for example 2t=air",
    )
    add(
        "--step_hours",
        type=int,
        choices=[1, 3, 6],
        help="cds, synthetic: hours from field to field (default: 1)",
    )
    add(
        "--grid",
        type=float,
        help="cds, synthetic: distance of grid points in degrees (default: cds 0.25, synthetic 0.3)",
    )
    add("--seed", type=int, help="synthetic: which atmosphere (default: 1)")
    add(
        "--format",
        choices=["grib", "netcdf"],
        help="cds: what Copernicus is to send (default: grib, of which it allows more in a request)",
    )
    add("--retries", type=int, help="cds: how often to try again after a passing fault (default: 8)")
    add("--overwrite", action="store_true", help="fetch again and replace what is there")
    add("--dry-run", action="store_true", help="print what would be fetched, and write nothing")
    return parser


def main(options: argparse.Namespace) -> None:
    """Extract the months that are missing."""
    request = checked(options)
    months = months_of(options.years, options.months)
    plan = make_plan(request, months)
    if plan.whole:
        say(f"{len(plan.whole)} of {len(months)} months are there and whole (SHA-256 verified)")
    source = open_source(request, plan) if plan.tasks or plan.constants else None
    if source:
        check_source(request, plan, source)
    if request.dry_run:
        return say("\n".join(source.dry_run(plan)) if source else "nothing is to be fetched")
    with running(
        request.destination,
        kind=KIND,
        name="",
        program="main_data_extraction.py",
        arguments=request.arguments(),
    ) as opened:
        extract(source, plan, request, opened)
    say(f"extracted data: {request.destination}")


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
