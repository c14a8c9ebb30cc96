"""Preprocess 1 and 2 against xarray and CDO: hours per second and memory, all measured in the same run.

    python benchmarks/preprocess.py                # one year for the speed, and three for the memory
    python benchmarks/preprocess.py --years 1      # the speed only

The input (hourly, 3 variables, 60 x 100 points, of which 56 x 92 are cut out) is made once in a cache
directory, as extraction writes it. The other side does the smaller part of the work: it cuts the region, puts
the months together and writes them as uncompressed NetCDF; preprocess 1 also splits, checks, works out
statistics and check sums and waits until the disk has it all, and preprocess 2 writes it once more. Each
command is run twice and its better time counts.
"""

import argparse
import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROGRAMS = REPOSITORY / "video_prediction_tools" / "main_scripts"
SPLITS = ("train", "val", "test")
YEARS = (2017, 2018, 2019)
VARIABLES = {"2t": ("K", 280.0, 10.0), "msl": ("Pa", 101325.0, 1500.0), "gph500": ("m", 5500.0, 150.0)}
NY, NX = 56, 92
ALL_NY, ALL_NX = 60, 100
SOUTH, WEST, SPACING = 38.4, 0.0, 0.3


def main() -> None:
    """Make the input, measure all sides, print the ratios."""
    if sys.argv[1:2] == ["--as-rank"]:
        return run_as_rank(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    if sys.argv[1:2] == ["--xarray"]:
        return cut_with_xarray(Path(sys.argv[2]), Path(sys.argv[3]), [int(year) for year in sys.argv[4:]])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--years", type=int, choices=[1, 3], default=3, help="3: measure the memory with three years too"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "ambs_benchmark_preprocess",
        help="where the input is kept, and the output written while it runs",
    )
    options = parser.parse_args()
    extracted = make_input(options.cache, YEARS[: options.years])
    one_year, all_years = YEARS[:1], YEARS[: options.years]
    results = best_of_two(sides(options.cache, extracted, one_year))
    hours = 8760
    print(
        f"\none year ({hours} hours, {NX}x{NY} points, {len(VARIABLES)} variables), better of two runs, "
        f"imports included"
    )
    for name, (seconds, peak, cpu) in results.items():
        print(
            f"{name:24s} {seconds:7.2f} s ({cpu:5.1f} s of processor)  {hours / seconds:6.0f} hours/s  "
            f"peak {peak:4.0f} MB a process"
        )
    for other in ("xarray", "CDO"):
        if other in results:
            for name in ("preprocess 1, 1 rank", "preprocess 1, 2 ranks"):
                print(f"{name}: {results[other][0] / results[name][0]:.2f} x the speed of {other}")
            both = min(
                results[f"preprocess 1, {n}"][0] + results[f"preprocess 2, {n}"][0]
                for n in ("1 rank", "2 ranks")
            )
            print(f"preprocess 1 and 2 together: {results[other][0] / both:.2f} x the speed of {other}")
    if len(all_years) > 1:
        print(f"\nmemory of {len(all_years)} years over that of one year")
        for name, run in sides(options.cache, extracted, all_years).items():
            if name == "xarray" or name.endswith("2 ranks"):
                peak = run()[1]
                print(
                    f"{name:28s} {peak:5.0f} MB / {results[name][1]:5.0f} MB = {peak / results[name][1]:.2f}"
                )
    shutil.rmtree(options.cache / "out", ignore_errors=True)


def sides(cache: Path, extracted: Path, years: tuple[int, ...]) -> dict:
    """Return what is measured, by name: functions that run it and return what `timed` does."""
    out = cache / "out"
    split = cache / "split.json"
    months = (
        {"train": range(1, 10), "val": [10], "test": [11, 12]}
        if len(years) == 1
        else dict.fromkeys(SPLITS, range(1, 13))
    )
    of_years = years * 3 if len(years) == 1 else years
    split.write_text(
        json.dumps(
            {name: {str(year): list(months[name])} for name, year in zip(SPLITS, of_years, strict=True)}
        )
    )

    def first(ranks: int):
        shutil.rmtree(out, ignore_errors=True)
        return measure(
            cache,
            "main_preprocess_data_step1.py",
            ranks,
            [
                "--source_dir",
                extracted,
                "--destination_dir",
                out,
                "--years",
                *years,
                "--variables",
                *VARIABLES,
                "--sw_corner",
                SOUTH + 2 * SPACING,
                WEST + 4 * SPACING,
                "--nyx",
                NY,
                NX,
                "--data_split",
                split,
            ],
        )

    def second(ranks: int):
        data = next(out.iterdir())
        shutil.rmtree(data / "tfrecords", ignore_errors=True)
        return measure(
            cache, "main_preprocess_data_step2.py", ranks, ["--source_dir", data, "--sequence_length", 20]
        )

    found = {}
    for ranks, name in ((1, "1 rank"), (2, "2 ranks")):
        found[f"preprocess 1, {name}"] = lambda ranks=ranks: first(ranks)
        found[f"preprocess 2, {name}"] = lambda ranks=ranks: second(ranks)
    found["xarray"] = lambda: timed(
        [sys.executable, __file__, "--xarray", extracted, cache / "xarray.nc", *years], cache / "xarray.nc"
    )
    if shutil.which("cdo"):
        inputs = [path for year in years for path in sorted((extracted / str(year)).rglob("*.nc"))]
        west_east = f"{WEST + 4 * SPACING},{WEST + (3 + NX) * SPACING}"
        box = f"-sellonlatbox,{west_east},{SOUTH + 2 * SPACING},{SOUTH + (1 + NY) * SPACING}"
        found["CDO"] = lambda: timed(
            ["cdo", "-s", "-f", "nc4", box, "-mergetime", *inputs, cache / "cdo.nc"], cache / "cdo.nc"
        )
    return found


def best_of_two(runs: dict) -> dict[str, tuple[float, float, float]]:
    """Run all sides in turn, twice; return the shorter times and the larger memory of each."""
    rounds = [{name: run() for name, run in runs.items()} for _ in range(2)]
    return {
        name: tuple(best(one[name][part] for one in rounds) for part, best in enumerate((min, max, min)))
        for name in runs
    }


def measure(cache: Path, program: str, ranks: int, arguments: list) -> tuple[float, float, float]:
    """Run a program; return seconds, largest peak memory of a rank [MB], processor seconds of all ranks."""
    peaks = cache / "peaks"
    shutil.rmtree(peaks, ignore_errors=True)
    peaks.mkdir()
    launcher = ["mpirun", "-n", ranks] if ranks > 1 else []
    seconds, _, _ = timed(
        [*launcher, sys.executable, __file__, "--as-rank", peaks, PROGRAMS / program, *arguments]
    )
    ranks_used = [[float(word) for word in path.read_text().split()] for path in peaks.iterdir()]
    return seconds, max(peak for peak, _ in ranks_used), sum(cpu for _, cpu in ranks_used)


def timed(command: list, output: Path | None = None) -> tuple[float, float, float]:
    """Run a command; return seconds, the peak memory of its process [MB] and its processor seconds.

    Its output file is removed.
    """
    environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **os.environ}
    with tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"failed: {' '.join(map(str, command))}\n{log.read()}")
    if output:
        output.unlink()
    return seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def run_as_rank(peaks: Path, program: Path, arguments: list[str]) -> None:
    """Run a program in this process; note peak memory [MB] and processor seconds of this rank at its end."""
    sys.argv = [str(program), *arguments]
    try:
        runpy.run_path(str(program), run_name="__main__")
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        (peaks / str(os.getpid())).write_text(f"{used.ru_maxrss / 1024} {used.ru_utime + used.ru_stime}")


def cut_with_xarray(extracted: Path, output: Path, years: list[int]) -> None:
    """The same cut and concatenation as most users write it."""
    import xarray

    files = [path for year in years for path in sorted((extracted / str(year)).rglob("*.nc"))]
    with xarray.open_mfdataset(files) as opened:
        region = opened.isel(latitude=slice(ALL_NY - 2 - NY, ALL_NY - 2), longitude=slice(4, 4 + NX))
        region.drop_encoding().to_netcdf(output)


def make_input(cache: Path, years: tuple[int, ...]) -> Path:
    """Write the missing years as extraction would (same chunks and compression); return their directory."""
    import netCDF4
    import numpy as np

    from video_prediction_tools.data_extraction.monthly_files import CHUNK_BYTES, COMPRESSION
    from video_prediction_tools.metadata.names import month_file
    from video_prediction_tools.metadata.record import running

    extracted = cache / "ExtractedData"
    lat = np.round(SOUTH + SPACING * np.arange(ALL_NY)[::-1], 6)
    lon = np.round(WEST + SPACING * np.arange(ALL_NX), 6)
    with running(extracted, kind="extracted_data", name="", program="benchmark", arguments={}) as opened:
        opened.record.details = {"source": "benchmark", "synthetic": True}
        for year in years:
            for month in range(1, 13):
                path = month_file(extracted, year, month)
                if path.relative_to(extracted).as_posix() in opened.record.outputs:
                    continue
                start = np.datetime64(f"{year}-{month:02d}", "M")
                hours = (
                    np.arange(start.astype("M8[h]"), (start + 1).astype("M8[h]"))
                    .astype("M8[s]")
                    .astype(np.int64)
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                with netCDF4.Dataset(path, "w") as file:
                    for name, values in (("time", hours), ("latitude", lat), ("longitude", lon)):
                        file.createDimension(name, len(values))
                        file.createVariable(name, values.dtype, (name,))[:] = values
                    file["time"].units = "seconds since 1970-01-01"
                    for number, (name, (units, mean, spread)) in enumerate(VARIABLES.items()):
                        chunks = (min(len(hours), CHUNK_BYTES // (4 * ALL_NY * ALL_NX)), ALL_NY, ALL_NX)
                        stored = file.createVariable(
                            name,
                            "f4",
                            ("time", "latitude", "longitude"),
                            chunksizes=chunks,
                            fill_value=np.float32(np.nan),
                            **COMPRESSION,
                        )
                        stored.units = units
                        stored[:] = fields(
                            hours, lat, lon, mean, spread, seed=100 * year + 10 * month + number
                        )
                opened.add_output(path)
                opened.save()
                print(f"made {path}", flush=True)
    return extracted


def fields(hours, lat, lon, mean: float, spread: float, seed: int):
    """Waves and noise, as coarse as GRIB packs them (16 bits of the range), to compress as ERA5 does."""
    import numpy as np

    rng = np.random.default_rng(seed)
    waves = np.zeros((len(hours), len(lat), len(lon)), np.float32)
    for _ in range(4):
        phase = rng.uniform(0, 2 * np.pi) + rng.uniform(0.02, 0.3) * hours[:, None, None] / 3600
        waves += np.sin(phase + rng.uniform(0.1, 0.5) * lat[:, None] + rng.uniform(0.1, 0.5) * lon).astype(
            np.float32
        )
    waves += 0.02 * rng.standard_normal(waves.shape, np.float32)
    step = 10 * spread / 2**16
    return np.round((mean + spread * waves / 2) / step) * step


if __name__ == "__main__":
    main()
