"""docs/benchmarks.md from benchmarks/results: what equal_time.py has found, beside published figures.

python benchmarks/tables.py
"""

import csv
import itertools
import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import costs
from pages import table, write
from published import MOVING_MNIST

from video_prediction_tools.metadata.names import dataset_of

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = "benchmarks.md"
UK_HOURS = ("1", "2", "3", "4", "6", "8", "10")
FRAMES = ("1", "2", "4", "6", "8", "10", "mean")
DIGIT_METRICS = ("mse", "mae", "ssim", "ssim_range2", "psnr")

BASELINES = (
    "persistence",
    "persistence_24h",
    "climatology",
    "linear_regression",
    "mean_frame",
    "black_frame",
)


@dataclass(frozen=True)
class Run:
    """One evaluated training.

    Arguments:
        summary: of the training, as equal_time.py keeps it.
        scores: value and interval by product, metric and lead step.
    """

    summary: Mapping[str, object]
    scores: Mapping[tuple[str, str, str], tuple[float, float, float]]


def read(directory: Path) -> Run:
    """Read one kept result."""
    summary = json.loads((directory / "summary.json").read_text())
    scores = {}
    with open(directory / "evaluation_metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            step = row.get("lead_hour") or row["lead_frame"]
            cells = (row[name] for name in ("value", "ci_low", "ci_high"))
            scores[row["product"], row["metric"], step] = tuple(
                float(cell) if cell else float("nan") for cell in cells
            )
    return Run(summary, scores)


def runs_of(directory: Path) -> dict[str, list[Run]]:
    """Return all runs by model, in the order of their names."""
    found: dict[str, list[Run]] = {}
    for path in sorted(directory.glob("*/seed*/summary.json")):
        one = read(path.parent)
        found.setdefault(str(one.summary["model"]), []).append(one)
    return found


def product_of(run: Run) -> str:
    """Return the product that is the model: the one that is no baseline, or first of all."""
    return next(iter(run.scores))[0]


def mean_and_spread(values: Iterable[float], digits: int = 3) -> str:
    """Write the mean over seeds, and half their difference where there are two or more."""
    values = list(values)
    said = f"{statistics.mean(values):.{digits}g}"
    return f"{said} \u00b1 {(max(values) - min(values)) / 2:.2g}" if len(values) > 1 else said


def baselines_of(runs: Mapping[str, list[Run]]) -> dict[str, Run]:
    """Return each baseline with the first evaluation that has it; all have the same scores of it."""
    found: dict[str, Run] = {}
    for run in itertools.chain.from_iterable(runs.values()):
        for product, _, _ in run.scores:
            if product in BASELINES and product != product_of(run):
                found.setdefault(product, run)
    return {name: found[name] for name in BASELINES if name in found}


def lead_rows(runs: Mapping[str, list[Run]], metric: str, steps: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the rows of a metric by lead step (`steps`: as it is called here): the models, then the baselines."""
    rows = [("model", "seeds", *steps.values())]
    for model, seeds in runs.items():
        found = [
            [
                seed.scores[product_of(seed), metric, step][0]
                for seed in seeds
                if (product_of(seed), metric, step) in seed.scores
            ]
            for step in steps
        ]
        if all(found):
            rows.append((model, str(len(seeds)), *map(mean_and_spread, found)))
    for product, run in baselines_of(runs).items():
        values = [run.scores.get((product, metric, step), (float("nan"),))[0] for step in steps]
        if values[0] == values[0]:
            rows.append((f"*{product}*", "", *(f"{value:.3g}" for value in values)))
    return rows


def training_rows(directory: Path, runs: Mapping[str, list[Run]]) -> list[tuple[str, ...]]:
    """Return what each model was given; stops where that was not the same computing time."""
    seconds = costs.known(directory)
    for run in itertools.chain.from_iterable(runs.values()):
        one = run.summary
        model, minutes = one["model"], one["minutes of computing time"]
        if model in seconds and one["steps"] != costs.steps(minutes, seconds[model]):
            sys.exit(
                f"{directory / model}: seed {one['seed']} had {one['steps']} steps, {minutes} minutes pay for "
                f"{costs.steps(minutes, seconds[model])} by {costs.FILE}; train it anew with benchmarks/equal_time.py"
            )
    rows = [("model", "weights", "steps", "sequences a step", "sequences a second", "best step")]
    for model, seeds in runs.items():
        one = seeds[0].summary
        # of two cores; a model that is exact after one pass has no cost
        speed = f"{2 * one['sequences a step'] / seconds[model]:.3g}" if model in seconds else ""
        best = ", ".join(str(seed.summary["best step"]) for seed in seeds)
        rows.append(
            (model, f"{one['weights']:,}", str(one["steps"]), str(one["sequences a step"]), speed, best)
        )
    return rows


def given(directory: Path, runs: Mapping[str, list[Run]]) -> str:
    """Return the section that says what each model was given."""
    said = f"Steps were timed on two cores of: {costs.measured_on(directory)}."
    return f"### What each was given\n\n{said}\n\n{table(training_rows(directory, runs))}"


def sequences_seen(run: Run) -> int:
    """Return how many sequences a training has seen."""
    return run.summary["steps"] * run.summary["sequences a step"]


def weather(directory: Path) -> str:
    """Return the chapter of a weather experiment."""
    runs, hours = runs_of(directory), {hour: f"+{hour} h" for hour in UK_HOURS}
    parts = [f"### {title}\n\n{table(lead_rows(runs, metric, hours))}" for metric, title in (
        ("mse", "mse [K\u00b2]; of ensembles that of the mean of their members"),
        ("acc", "acc"),
        ("crps", "crps [K]; only of models with members (their baselines' is their mae)"),
        ("spread_skill", "spread_skill (1: the members' spread is that of their mean's errors; below 1: too narrow)"),
        ("spectral_ratio", "spectral_ratio (1: all small scales are there)"),
    )]  # fmt: skip
    return "\n\n".join([given(directory, runs), *parts])


def digit_rows(runs: Mapping[str, list[Run]]) -> list[tuple[str, ...]]:
    """Return the scores over all lead frames: ours with intervals, the baselines, the published ones."""
    rows = [("model", "by", "weights [10^6]", "sequences seen", *DIGIT_METRICS)]
    for model, seeds in runs.items():
        one = seeds[0]
        said = [interval(seeds, product_of(one), metric) for metric in DIGIT_METRICS]
        weights = f"{one.summary['weights'] / 1e6:.3g}"
        rows.append((f"**{model}**", "ours", weights, f"{sequences_seen(one):,}", *said))
    for product, run in baselines_of(runs).items():
        said = [interval([run], product, metric) for metric in DIGIT_METRICS]
        rows.append((f"*{product}*", "ours", "", "", *said))
    for row in MOVING_MNIST:
        seen = f"{row.sequences:,}" if row.sequences else "?"
        weights = f"{row.weights:.1f}" if row.weights else "?"
        # the published ssim has data range 2: what is known of it stands in that column
        scores = (row.mse, row.mae, None, row.ssim, row.psnr)
        rows.append((row.model, row.source, weights, seen, *(f"{one:g}" if one else "" for one in scores)))
    return rows


def interval(seeds: Iterable[Run], product: str, metric: str) -> str:
    """Write the mean over seeds of the score over all lead frames, with the (mean) interval of the sequences."""
    found = [seed.scores[product, metric, "mean"] for seed in seeds]
    low, high = (statistics.mean(one[bound] for one in found) for bound in (1, 2))
    return f"{mean_and_spread((value for value, *_ in found), 4)} ({low:.4g}, {high:.4g})"


def digits(directory: Path) -> str:
    """Return the chapter of Moving MNIST."""
    runs, frames = runs_of(directory), {frame: frame for frame in FRAMES}
    parts = [
        f"### {metric} by lead frame\n\n{table(lead_rows(runs, metric, frames))}"
        for metric in ("mse", "ssim")
    ]
    return "\n\n".join([
        given(directory, runs),
        f"### All lead frames, beside published figures\n\n{table(digit_rows(runs))}",
        *parts,
    ])  # fmt: skip


def main() -> None:
    """Write the chapters whose results there are."""
    for directory in sorted(RESULTS.iterdir()):
        if dataset_of(directory.name) == "moving_mnist":
            write(PAGE, "Moving MNIST", digits(directory))
        else:
            write(PAGE, "UK, March 2019", weather(directory))


if __name__ == "__main__":
    main()
