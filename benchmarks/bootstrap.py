"""How fast the bootstrap draws, and whether its intervals hold what they should.

    python benchmarks/bootstrap.py

- draws a second of the mean of a year of hourly forecasts (8,760 x 10 lead hours), ours against the same done with
  xarray: blocks concatenated draw by draw, then the mean, as the original does;
- coverage: autoregressive series x_t = 0.7 x_t-1 + noise of 600 values with the automatic block length; how many of
  1,000 intervals of 90 % hold the true mean.
"""

import time

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.bootstrap import MovingBlocks, automatic_block_length
from video_prediction_tools.postprocess.metrics.errors import SquaredError

NUMBER, LEADS, BLOCK = 8760, 10, 168
OURS, THEIRS = 1000, 20
SERIES, LENGTH, MEMORY = 1000, 600, 0.7


def speed() -> None:
    """Print draws a second."""
    values = np.random.default_rng(0).normal(size=(NUMBER, LEADS)) ** 2
    for _ in range(2):  # alternately, as the machine may have other work at times
        begun = time.perf_counter()
        MovingBlocks(NUMBER, BLOCK, draws=OURS).means({SquaredError: values})
        ours = OURS / (time.perf_counter() - begun)
        data = xr.DataArray(values, dims=("init_time", "lead_time"))
        random, begun = np.random.default_rng(1), time.perf_counter()
        for _ in range(THEIRS):
            starts = random.integers(0, NUMBER - BLOCK + 1, size=NUMBER // BLOCK)
            blocks = [data.isel(init_time=slice(start, start + BLOCK)) for start in starts]
            xr.concat(blocks, "init_time").mean("init_time")
        theirs = THEIRS / (time.perf_counter() - begun)
        print(f"draws a second: ours {ours:.0f}, xarray {theirs:.0f}: {ours / theirs:.0f} times as fast")


def coverage() -> None:
    """Print the share of intervals that hold the true mean."""
    random, inside, lengths = np.random.default_rng(7), 0, []
    for number in range(SERIES):
        noise = random.normal(size=LENGTH + 100)
        series = np.zeros(LENGTH + 100)
        for place in range(1, LENGTH + 100):
            series[place] = MEMORY * series[place - 1] + noise[place]
        series = series[100:]
        lengths.append(max(round(automatic_block_length(series)), 1))
        blocks = MovingBlocks(LENGTH, lengths[-1], draws=500, seed=number)
        draws = blocks.means({SquaredError: series[:, np.newaxis]})[SquaredError]
        low, high = blocks.interval(draws)
        inside += bool(low[0] <= 0.0 <= high[0])
    error = np.sqrt(0.9 * 0.1 / SERIES)
    print(
        f"coverage of the 90 % interval: {inside / SERIES:.3f} (+- {error:.3f}) of {SERIES} series; block lengths "
        f"{np.median(lengths):.0f} (median), {min(lengths)} to {max(lengths)}"
    )


if __name__ == "__main__":
    speed()
    coverage()
