"""docs/benchmarks.md from benchmarks/results: what equal_time.py has found, beside published figures.

python benchmarks/tables.py
"""

import csv
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pages import table, write

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = "benchmarks.md"
UK_HOURS = ("1", "2", "3", "4", "6", "8", "10")

BASELINES = ("persistence", "persistence_24h", "climatology", "linear_regression", "mean_frame")


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


def mean_and_spread(values: Iterable[float]) -> str:
    """Write the mean over seeds, and half their difference where there are two or more."""
    values = list(values)
    said = f"{statistics.mean(values):.3g}"
    return f"{said} \u00b1 {(max(values) - min(values)) / 2:.2g}" if len(values) > 1 else said


def weather_rows(runs: Mapping[str, list[Run]], metric: str) -> list[tuple[str, ...]]:
    """Return the rows of a metric: the models, then the baselines."""
    rows = [("model", "seeds", *(f"+{hour} h" for hour in UK_HOURS))]
    for model, seeds in runs.items():
        found = [
            [
                seed.scores[product_of(seed), metric, hour][0]
                for seed in seeds
                if (product_of(seed), metric, hour) in seed.scores
            ]
            for hour in UK_HOURS
        ]
        if all(found):
            rows.append((model, str(len(seeds)), *map(mean_and_spread, found)))
    first = next(iter(runs.values()))[0]
    for product in dict.fromkeys(product for product, _, _ in first.scores if product in BASELINES):
        values = [first.scores.get((product, metric, hour), (float("nan"),))[0] for hour in UK_HOURS]
        if values[0] == values[0]:
            rows.append((f"*{product}*", "", *(f"{value:.3g}" for value in values)))
    return rows


def training_rows(runs: Mapping[str, list[Run]]) -> list[tuple[str, ...]]:
    """Return what each model was given."""
    rows = [("model", "weights", "steps", "sequences a step", "best step")]
    for model, seeds in runs.items():
        one = seeds[0].summary
        best = ", ".join(str(seed.summary["best step"]) for seed in seeds)
        rows.append((model, f"{one['weights']:,}", str(one["steps"]), str(one["sequences a step"]), best))
    return rows


def weather(directory: Path) -> str:
    """Return the chapter of a weather experiment."""
    runs = runs_of(directory)
    parts = [f"### {title}\n\n{table(weather_rows(runs, metric))}" for metric, title in (
        ("mse", "mse [K\u00b2]; of ensembles that of the mean of their members"),
        ("acc", "acc"),
        ("crps", "crps [K]; only of models with members (their baselines' is their mae)"),
        ("spectral_ratio", "spectral_ratio (1: all small scales are there)"),
    )]  # fmt: skip
    return "\n\n".join([f"### What each was given\n\n{table(training_rows(runs))}", *parts])


def main() -> None:
    """Write the chapters whose results there are."""
    for directory in sorted(RESULTS.iterdir()):
        if directory.name.startswith("Y2019"):
            write(PAGE, "UK, March 2019", weather(directory))


if __name__ == "__main__":
    main()
