"""How fast a year of forecasts is judged, and in how much memory, against the library `scores`.

    python benchmarks/scoring.py [--days 365] [--directory DIR]

Made-up hourly forecasts of 10 hours on 56 x 92 points are written as forecasts.nc (a year takes 4 GB). Then, each in a
process of its own so that its peak memory is known:

- all: every metric of single forecasts, for the model, persistence and climatology, with maps, spectra and 1,000
  bootstrap draws, of a month and of all days;
- shared: what `scores` has, too (mse, rmse, mae, bias, contingency table and Brier score of frost), by lead hour, of
  the model alone, from the same file, by us and by `scores` with dask, which uses all cores as we do. The values are
  compared.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

LAT, LON = np.linspace(58.75, 45.0, 56), np.linspace(-5.0, 17.75, 92)
LEADS, MONTH = 10, 30
SHARED = ("mse", "rmse", "mae", "bias")
FROST = {
    "frost_csi": "critical_success_index",
    "frost_pod": "probability_of_detection",
    "frost_far": "false_alarm_ratio",
    "frost_frequency_bias": "frequency_bias",
    "frost_ets": "equitable_threat_score",
}
DRAWS, BLOCK = 1000, 24


class MadeUpWeather:
    """Hourly temperatures with a daily and an annual cycle, as `write_forecasts` takes sequences; with forecasts.

    Arguments:
        hours: number of init_times, one an hour.
    """

    context_frames, lead_frames = 1, LEADS

    def __init__(self, hours: int):
        first = np.datetime64("2019-01-01", "s").astype(np.int64)
        self.init_times = first + 3600 * np.arange(hours)
        self.lead_seconds = 3600 * np.arange(1, LEADS + 1)
        self.valid_times = self.init_times[:, np.newaxis] + self.lead_seconds

    def __len__(self) -> int:
        return len(self.init_times)

    def batches(self, size: int):
        """Yield frames [B, 1 + Tl, H, W, 1] and their times."""
        pattern = 8.0 * np.sin(np.radians(9 * LAT))[:, np.newaxis] * np.cos(np.radians(7 * LON))
        for start in range(0, len(self), size):
            times = self.init_times[start : start + size, np.newaxis] + 3600 * np.arange(LEADS + 1)
            random = np.random.default_rng(start)
            cycle = 6 * np.cos(times / 86400 * 2 * np.pi) + 9 * np.cos(times / 31557600 * 2 * np.pi)
            frames = 283.0 + pattern + cycle[..., np.newaxis, np.newaxis]
            yield (frames + random.normal(size=frames.shape)).astype(np.float32)[..., np.newaxis], times

    def forecast(self, frames, times):
        """Return the last frame, drawn to the mean, for all lead hours."""
        share = 0.05 * np.arange(1, LEADS + 1, dtype=np.float32).reshape(1, -1, 1, 1, 1)
        return (1 - share) * frames[:, -1:] + share * np.float32(283.0)


def write(path: Path, hours: int) -> None:
    """Write forecasts.nc."""
    from video_prediction_tools.postprocess.forecasts import Grid, write_forecasts

    weather = MadeUpWeather(hours)
    grid, options = Grid(("2t",), ("K",), LAT, LON), {"members": None, "batch_size": 64, "attributes": {}}
    write_forecasts(path, weather.forecast, weather, grid, **options)


def score_all(path: Path) -> dict[str, float]:
    """Work out everything; returns seconds."""
    from video_prediction_tools.postprocess.baselines import BASELINES, Sources, make_baselines
    from video_prediction_tools.postprocess.bootstrap import MovingBlocks
    from video_prediction_tools.postprocess.climatology import Climatology
    from video_prediction_tools.postprocess.forecasts import ForecastFile
    from video_prediction_tools.postprocess.metrics.fields import Scale
    from video_prediction_tools.postprocess.metrics.metric import statistics_of
    from video_prediction_tools.postprocess.metrics.profiles import PROFILES
    from video_prediction_tools.postprocess.metrics.registry import METRICS
    from video_prediction_tools.postprocess.reduction import Reduction, reduce_forecasts
    from video_prediction_tools.postprocess.scoring import score
    from video_prediction_tools.postprocess.weights import latitude_weights

    metrics = [metric for metric in METRICS.values() if not metric.needs_members]
    means = np.full((12, 24, len(LAT), len(LON), 1), 283.0)
    climatology = Climatology(np.ones((12, 24), bool), lambda: means, "made up")
    chosen = {name: BASELINES[name] for name in ("persistence", "climatology")}
    baselines, _ = make_baselines(Sources(None, climatology), chosen)
    reduction = Reduction(
        statistics_of(metrics),
        latitude_weights(LAT, len(LON)),
        climatology,
        Scale([True], [40.0], LAT, LON),
        [profile for profile in PROFILES if not profile.needs_members],
    )
    begun = time.perf_counter()
    with ForecastFile(path) as file:
        reduced = reduce_forecasts(file, "model", baselines, reduction)
    read = time.perf_counter()
    score(reduced, metrics, MovingBlocks(reduced.sizes["init_time"], BLOCK, DRAWS), {"2t": "K"})
    return {"reduce": read - begun, "bootstrap": time.perf_counter() - read, "metrics": len(metrics)}


def score_shared(path: Path) -> dict[str, object]:
    """Work out what `scores` has, too."""
    from video_prediction_tools.postprocess.bootstrap import defined_means
    from video_prediction_tools.postprocess.forecasts import ForecastFile
    from video_prediction_tools.postprocess.metrics.fields import Scale
    from video_prediction_tools.postprocess.metrics.metric import statistics_of
    from video_prediction_tools.postprocess.metrics.registry import METRICS
    from video_prediction_tools.postprocess.reduction import Reduction, reduce_forecasts
    from video_prediction_tools.postprocess.weights import uniform_weights

    metrics = [METRICS[name] for name in (*SHARED, *FROST, "frost_brier")]
    kinds = statistics_of(metrics)
    begun = time.perf_counter()
    with ForecastFile(path) as file:
        weights = uniform_weights(len(LAT), len(LON))
        reduction = Reduction(kinds, weights, scale=Scale([True], [40.0], LAT, LON))
        reduced = reduce_forecasts(file, "model", [], reduction)
    table = reduced["grid_mean"].sel(product="model", variable="2t")
    means = defined_means({kind: table.sel(statistic=kind.__name__).values for kind in kinds})
    values = {metric.name: metric.value(means).tolist() for metric in metrics}
    return {"seconds": time.perf_counter() - begun, "values": values}


def score_with_scores(path: Path) -> dict[str, object]:
    """Work the same out with `scores`."""
    import dask
    import scores
    import xarray as xr

    begun, by_lead = time.perf_counter(), {"preserve_dims": "lead_time"}
    with xr.open_dataset(path, chunks={"init_time": 64}) as file:
        pair = file["2t_forecast"], file["2t_truth"]
        asked = {
            "mse": scores.continuous.mse(*pair, **by_lead),
            "rmse": scores.continuous.rmse(*pair, **by_lead),
            "mae": scores.continuous.mae(*pair, **by_lead),
            "bias": scores.continuous.additive_bias(*pair, **by_lead),
        }
        frost = [(one < 273.15).astype(float) for one in pair]
        table = scores.categorical.BinaryContingencyManager(*frost).transform(**by_lead)
        asked |= {name: getattr(table, theirs)() for name, theirs in FROST.items()}
        asked["frost_brier"] = scores.probability.brier_score(*frost, **by_lead)
        found = dict(zip(asked, dask.compute(*asked.values()), strict=True))
    values = {name: value.values.tolist() for name, value in found.items()}
    return {"seconds": time.perf_counter() - begun, "values": values}


PARTS = {"all": score_all, "shared": score_shared, "scores": score_with_scores}


def in_own_process(part: str, path: Path) -> SimpleNamespace:
    """Run a part in a process of its own; returns what it says, with its peak memory."""
    command = [sys.executable, __file__, "--part", part, "--file", str(path)]
    # what the program says of its progress is not wanted here
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return SimpleNamespace(**json.loads(said.stdout.splitlines()[-1]))


def main() -> None:
    """Write the forecasts, run all parts, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--directory", type=Path, help="where the forecasts go (default: a temporary one)")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        result = PARTS[options.part](options.file)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "peak_mb": peak}))
        return
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        month, year = Path(directory) / "month.nc", Path(directory) / "year.nc"
        for path, days in ((month, min(MONTH, options.days)), (year, options.days)):
            write(path, 24 * days)
        for path, days in ((month, min(MONTH, options.days)), (year, options.days)):
            found = in_own_process("all", path)
            print(
                f"{days} days, {found.metrics} metrics of 3 products: {found.reduce:.0f} s to read and reduce, "
                f"{found.bootstrap:.1f} s for {DRAWS} draws; peak memory {found.peak_mb:.0f} MB"
            )
        for _ in range(2):  # alternately, as the machine may have other work at times
            ours, theirs = in_own_process("shared", year), in_own_process("scores", year)
            worst = max(
                abs(np.array(ours.values[name]) / np.array(theirs.values[name]) - 1).max()
                for name in ours.values
            )
            print(
                f"{len(ours.values)} shared metrics: {ours.seconds:.1f} s ({ours.peak_mb:.0f} MB), scores "
                f"{theirs.seconds:.1f} s ({theirs.peak_mb:.0f} MB): {theirs.seconds / ours.seconds:.1f} times as fast; "
                f"values differ by {worst:.0e} at most (relative)"
            )


if __name__ == "__main__":
    main()
