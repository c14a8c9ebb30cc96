"""The comparison as files: CSV for programs, Markdown and LaTeX for papers."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from video_prediction_tools.meta_postprocess.comparison import Comparison
from video_prediction_tools.metadata.files import whole_file
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.scoring import OVER_LEADS

_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def write_tables(comparison: Comparison, directory: Path) -> list[Path]:
    """Write comparison.csv, comparison_pairs.csv, comparison.md and comparison.tex; return their paths."""
    paths = [
        directory / name
        for name in ("comparison.csv", "comparison_pairs.csv", "comparison.md", "comparison.tex")
    ]
    lead = comparison.protocol.words.column
    _write_csv(
        paths[0],
        (
            "variable",
            "product",
            "metric",
            lead,
            "value",
            "ci_low",
            "ci_high",
            "seeds",
            "seed_sd",
            "skill",
            "n_init",
        ),
        _score_rows(comparison),
    )
    _write_csv(
        paths[1],
        ("variable", "metric", "one", "other", "difference", "ci_low", "ci_high", "p_value"),
        _pair_rows(comparison),
    )
    for path, write in zip(paths[2:], (_markdown, _latex), strict=True):
        with whole_file(path) as temporary:
            temporary.write_text(write(comparison), encoding="utf-8")
    return paths


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[tuple]) -> None:
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _score_rows(comparison: Comparison) -> Iterable[tuple]:
    scores = comparison.scores
    seeds = {each.name: len(each.experiments) for each in comparison.groups}
    for variable in scores["variable"].values.tolist():
        for product in scores["product"].values.tolist():
            for metric in comparison.metrics:
                columns = _columns(comparison, variable, product, metric.name)
                leads = [f"{lead:g}" for lead in scores["lead_time"].values]
                if comparison.protocol.mean_over_leads:
                    leads.append(OVER_LEADS)
                for lead, *numbers, n_init in zip(leads, *columns, strict=True):
                    value, low, high, spread, skill = map(_cell, numbers)
                    yield (
                        variable, product, metric.name, lead,
                        value, low, high, seeds.get(product, ""), spread, skill, int(n_init),
                    )  # fmt: skip


def _columns(comparison: Comparison, variable: str, product: str, metric: str) -> list[np.ndarray]:
    """Return value, ci_low, ci_high, spread over seeds, skill and n_init by lead time, and of the mean over them."""
    at, scores = {"variable": variable, "product": product, "metric": metric}, comparison.scores
    names = ("value", "ci_low", "ci_high")
    columns = [*(scores[name] for name in names), comparison.seed_spread, comparison.skill, scores["n_init"]]
    columns = [one.sel(at).values for one in columns]
    if not comparison.protocol.mean_over_leads:
        return columns
    over_leads = [
        *(scores[f"mean_{name}"] for name in names),
        comparison.mean_seed_spread,
        comparison.mean_skill,
        scores["mean_n_init"],
    ]
    return [np.append(one, mean.sel(at).item()) for one, mean in zip(columns, over_leads, strict=True)]


def _pair_rows(comparison: Comparison) -> Iterable[tuple]:
    pairs = comparison.pairs
    products = pairs["one"].values.tolist()
    for variable in pairs["variable"].values.tolist():
        for metric in comparison.metrics:
            for row, one in enumerate(products):
                for other in products[:row]:
                    cell = pairs.sel(one=one, other=other, metric=metric.name, variable=variable)
                    numbers = (_cell(cell[name].item()) for name in ("difference", "low", "high", "p_value"))
                    yield (variable, metric.name, one, other, *numbers)


def _cell(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""


def table_of(comparison: Comparison, metric: Metric, variable: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of one metric: value with the half-width of its interval, and seeds' spread."""
    scores, words = comparison.scores, comparison.protocol.words
    head = ["", *(words.label(lead).strip() for lead in scores["lead_time"].values)]
    if comparison.protocol.mean_over_leads:
        head.append(OVER_LEADS)
    rows = []
    for product in scores["product"].values.tolist():
        value, low, high, spread, *_ = _columns(comparison, variable, product, metric.name)
        rows.append([product, *map(_written, value, low, high, spread)])
    return head, rows


def _written(value: float, low: float, high: float, spread: float) -> str:
    if not np.isfinite(value):
        return "\u2013"
    said = f"{value:.3g}"
    if np.isfinite(low) and np.isfinite(high):
        said += f" [{low:.3g}, {high:.3g}]"
    return said + (f" (seeds \u00b1 {spread:.2g})" if np.isfinite(spread) else "")


def _titles(comparison: Comparison) -> Iterable[tuple[Metric, str, str]]:
    for variable in comparison.scores["variable"].values.tolist():
        for metric in comparison.metrics:
            unit = comparison.scores["metric_units"].sel(metric=metric.name, variable=variable).item()
            if unit:
                yield metric, variable, f"{variable}: {metric.name}" + (f" [{unit}]" if unit != "1" else "")


def _markdown(comparison: Comparison) -> str:
    number, start = comparison.scores.sizes["init_time"], comparison.protocol.words.start
    parts = [f"{number} {start}s; in brackets the {interval(comparison)}."]
    for metric, variable, title in _titles(comparison):
        head, rows = table_of(comparison, metric, variable)
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _latex(comparison: Comparison) -> str:
    parts = ["% needs booktabs"]
    for metric, variable, title in _titles(comparison):
        head, rows = table_of(comparison, metric, variable)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
        ]
        lines += [_latex_row(head), r"\midrule", *map(_latex_row, rows), r"\bottomrule", r"\end{tabular}"]
        lines += [
            rf"\caption{{{title.translate(_LATEX)}; in brackets the {interval(comparison).translate(_LATEX)}.}}"
        ]
        parts.append("\n".join([*lines, r"\end{table}"]))
    return "\n\n".join(parts) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    written = (cell.translate(_LATEX).replace("\u00b1", r"$\pm$").replace("\u2013", "--") for cell in cells)
    return " & ".join(written) + r" \\"


def interval(comparison: Comparison) -> str:
    """Say what the intervals are."""
    blocks = comparison.blocks
    if not blocks.enough(blocks.n):
        return "intervals withheld (fewer than two blocks)"
    drawn = (
        f"blocks of {blocks.length}" if blocks.length > 1 else f"single {comparison.protocol.words.start}s"
    )
    return f"{100 * blocks.coverage:.0f} % interval, {blocks.draws} draws of {drawn}"
