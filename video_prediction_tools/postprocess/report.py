"""report.html: one file with everything in it (plots as data URIs), for a browser or a mail."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from video_prediction_tools.metadata.record import Record
from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.page import picture, write_page
from video_prediction_tools.postprocess.plan import Plan
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.protocol import WEATHER, Protocol, Words
from video_prediction_tools.postprocess.scoring import OVER_LEADS, choose_cases

NAME = "report.html"
_TEMPLATE = Path(__file__).with_name("report.html.j2")
_PROGRAMS = "video_prediction_tools/main_scripts"
# the plots that say more than a score, in their order
_CLOSER = {
    "quantiles": "Conditional quantiles: what happens when the model says so, and what it says when it happens",
    "spectrum": "Spectrum: which scales the model keeps, and which it smooths away",
    "rank_histogram": "Rank histogram: does the ensemble spread as far as the truth strays?",
    "reliability": "Reliability: does an event come as often as its probability says?",
    "parts": "Error by hour of the day and by region",
}


@dataclass(frozen=True)
class Verdict:
    """How the model does against one baseline, in words.

    Arguments:
        baseline: name; long_name: what it is.
        better: it is ahead at every lead step, at some, or at none: "all", "some", "none".
        text: the sentence.
        gain: how much smaller its error is at the first and the last lead step.
    """

    baseline: str
    long_name: str
    better: str
    text: str
    gain: str


def write_report(plan: Plan, scores: xr.Dataset, figures: Mapping[str, Path], members: int | None) -> Path:
    """Write the report; return its path.

    Arguments:
        plan: what was judged.
        scores: of `scoring.score`.
        figures: plots by name without suffix.
        members: of each forecast; None: it is a single one.
    """
    return write_page(_TEMPLATE, content(plan, scores, figures, members), plan.directory / NAME)


def content(
    plan: Plan, scores: xr.Dataset, figures: Mapping[str, Path], members: int | None
) -> dict[str, Any]:
    """Return all that the template shows."""
    images = {name: picture(path) for name, path in figures.items()}
    terms = plan.terms
    words = terms.protocol.words
    labels = [words.label(lead) for lead in scores["lead_time"].values]
    return {
        "model": plan.model,
        "data_name": plan.data.name,
        "source_data_name": plan.spec["data_name"],
        "synthetic": plan.data.synthetic or plan.spec.get("synthetic"),
        "words": words,
        "sample": _sample(plan),
        "members": members,
        "lead_span": f"{words.lead}s {labels[0]} to {labels[-1]}",
        "lead_labels": labels + ([OVER_LEADS] if terms.protocol.mean_over_leads else []),
        "variables": [_variable(plan, scores, name, images) for name in terms.grid.variables],
        "case_metric": terms.protocol.case_metric.long_name,
        "warnings": plan.warnings,
        "facts": _facts(plan),
        "splits": _splits(plan.data_record, terms.grid.layout.has_times),
        "hparams": {key: _text(value) for key, value in sorted(plan.hparams.items())},
        "commands": _commands(plan),
        "interval": _interval(plan),
        "weighting": terms.weighting,
        "climatology": terms.climatology.origin if terms.climatology else "",
    }


def _sample(plan: Plan) -> str:
    sequences = plan.terms.sequences
    said = f"{plan.options.split} split, {len(sequences)} forecasts"
    if not plan.terms.grid.layout.has_times:
        return f"{said}, one for each sequence"
    days = (sequences.valid_times[-1, -1] - sequences.init_times[0]) / 86400
    first, last = (style.utc(sequences.init_times[place]) for place in (0, -1))
    return f"{said} started from {first} to {last} ({days:.1f} days)"


def _variable(plan: Plan, scores: xr.Dataset, variable: str, images: Mapping[str, str]) -> dict[str, Any]:
    unit = scores["units"].sel(variable=variable).item()
    protocol = plan.terms.protocol
    verdicts = [
        _verdict(scores, variable, product, protocol) for product in scores["baseline"].values.tolist()
    ]
    defined = (scores["metric_units"].sel(variable=variable) != "").values
    names = scores["metric"].values[defined].tolist()
    # the one that the verdicts speak of first
    names.sort(key=lambda name: name != _main_metric(scores, protocol))
    chosen_by, kind = protocol.case_metric, "map" if plan.terms.grid.layout.has_times else "strip"
    cases = [
        {
            "name": case,
            "score": f"{chosen_by.name} {score:.3g} {style.pretty_unit(chosen_by.units(unit))}".strip(),
            "start": _start(plan, scores["init_time"].values[place]),
            "image": images[f"{kind}_{variable}_{case}"],
        }
        for case, (place, score) in choose_cases(scores, variable, chosen_by).items()
    ]
    return {
        "name": variable,
        "long_name": standard_names(variable)[1],
        "unit": style.pretty_unit(unit),
        "verdicts": verdicts,
        "headline": _headline(plan.model, scores, variable, verdicts, protocol),
        "cases": cases,
        "metrics": [_table(scores, variable, name, images, protocol) for name in names],
        "animation": images.get(f"animation_{variable}", ""),
        "scorecard": images.get(f"scorecard_{variable}", ""),
        "closer": [
            {"about": about, "image": images[f"{kind}_{variable}"]}
            for kind, about in _CLOSER.items()
            if f"{kind}_{variable}" in images
        ],
        "error_map": images.get(f"error_map_{variable}", ""),
    }


def _start(plan: Plan, start: int) -> str:
    written = style.utc(start) if plan.terms.grid.layout.has_times else str(int(start))
    return f"{plan.terms.protocol.words.start} {written}"


def _main_metric(scores: xr.Dataset, protocol: Protocol) -> str:
    names = scores["metric"].values.tolist()
    return protocol.main_metric if protocol.main_metric in names else names[0]


def _verdict(scores: xr.Dataset, variable: str, baseline: str, protocol: Protocol = WEATHER) -> Verdict:
    metric, words = _main_metric(scores, protocol), protocol.words
    one = scores.sel(variable=variable, metric=metric)
    difference = one["difference"].sel(baseline=baseline).values
    high = one["difference_ci_high"].sel(baseline=baseline).values
    low = one["difference_ci_low"].sel(baseline=baseline).values
    hours = scores["lead_time"].values
    better, worse = difference < 0, difference > 0
    long_name = protocol.baselines[baseline].long_name
    if not np.isfinite(difference).any():
        return Verdict(
            baseline,
            long_name,
            "none",
            f"cannot be compared: there is no {words.start} that both forecast.",
            "",
        )
    if better.all():
        text = f"better at every {words.lead}"
    elif better.any():
        text = f"better at {spans(hours, better, words)}, not at {spans(hours, ~better, words)}"
    else:
        text = f"not better at any {words.lead}"
    if not np.isfinite(high).any():
        text += "; whether by more than chance cannot be said (intervals withheld)"
    else:
        beyond = (better & (high < 0)) | (worse & (low > 0))
        text += (
            f"; the paired interval excludes zero at every {words.lead}"
            if beyond.all()
            else f"; the paired interval excludes zero at {spans(hours, beyond, words)}"
            if beyond.any()
            else f"; the paired interval includes zero at every {words.lead}"
        )
    share = "all" if better.all() else "some" if better.any() else "none"
    return Verdict(
        baseline, long_name, share, text + ".", _gain(scores, variable, metric, baseline, protocol)
    )


def _gain(scores: xr.Dataset, variable: str, metric: str, baseline: str, protocol: Protocol) -> str:
    """Say by how much the error is smaller at the first and last lead step, for metrics that are errors."""
    if protocol.metrics[metric].best != 0.0 or protocol.metrics[metric].two_sided:
        return ""
    one = scores.sel(variable=variable, metric=metric)
    differences = one["difference"].sel(baseline=baseline).values.tolist()
    theirs = one["value"].sel(product=baseline).values.tolist()
    where = [
        f"at {spans(one['lead_time'].values[i : i + 1], [True], protocol.words)}" for i in range(len(theirs))
    ]
    chosen = sorted({0, len(theirs) - 1})
    if protocol.mean_over_leads:
        differences.append(one["mean_difference"].sel(baseline=baseline).item())
        theirs.append(one["mean_value"].sel(product=baseline).item())
        where.append(f"in the mean over {protocol.words.lead}s")
        chosen.append(len(theirs) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 100.0 * np.divide(differences, theirs)
    said = [f"{_percent(change[i])} {where[i]}" for i in chosen if np.isfinite(change[i])]
    return f"{metric} {', '.join(said)}" if said else ""


def _percent(change: float) -> str:
    size = abs(change)
    if size < 0.05:
        return "the same"
    return f"{size:.{0 if size >= 10 else 1}f} % {'lower' if change < 0 else 'higher'}"


def _headline(
    model: str,
    scores: xr.Dataset,
    variable: str,
    verdicts: Sequence[Verdict],
    protocol: Protocol = WEATHER,
) -> str:
    """Say at which lead steps the model beats every baseline, and which cannot be compared at any of them."""
    words = protocol.words
    one = scores["difference"].sel(variable=variable, metric=_main_metric(scores, protocol))
    defined = np.isfinite(one).any("lead_time").values
    undefined = one["baseline"].values[~defined].tolist()
    if not defined.any():
        return f"{model} cannot be compared with any baseline."
    left_out = f" (Left out, as it cannot be compared: {', '.join(undefined)}.)" if undefined else ""
    hours = scores["lead_time"].values
    ahead = (one.isel(baseline=defined) < 0).all("baseline").values
    if ahead.all():
        return f"{model} beats every baseline at every {words.lead}.{left_out}"
    if ahead.any():
        return (
            f"{model} beats every baseline at {spans(hours, ahead, words)}, "
            f"but not at {spans(hours, ~ahead, words)}.{left_out}"
        )
    beaten = [verdict.baseline for verdict in verdicts if verdict.better == "all"]
    if beaten:
        return (
            f"{model} beats {' and '.join(beaten)} at every {words.lead}, but is at no {words.lead} ahead of all "
            f"baselines.{left_out}"
        )
    return f"{model} is at no {words.lead} ahead of all baselines.{left_out}"


def spans(leads: np.ndarray, chosen: Sequence[bool], words: Words = WEATHER.words) -> str:
    """Write the chosen lead steps as ``+1 to +4 and +9 h`` or ``lead frames 1 to 4 and 9``."""
    parts, start = [], None
    for index in range(len(leads) + 1):
        inside = index < len(leads) and chosen[index]
        if inside and start is None:
            start = index
        elif not inside and start is not None:
            first, last = f"{words.sign}{leads[start]:g}", f"{words.sign}{leads[index - 1]:g}"
            parts.append(first if start == index - 1 else f"{first} to {last}")
            start = None
    return words.at(parts)


def _table(
    scores: xr.Dataset, variable: str, metric: str, images: Mapping[str, str], protocol: Protocol
) -> dict[str, Any]:
    one, about = scores.sel(variable=variable, metric=metric), protocol.metrics[metric]
    columns = {name: one[name].values for name in ("value", "ci_low", "ci_high")}  # [product, lead_time]
    if protocol.mean_over_leads:
        columns = {
            name: np.column_stack([values, one[f"mean_{name}"].values]) for name, values in columns.items()
        }
    value = columns["value"]
    distance = about.distance(value)
    best = distance == np.nanmin(np.where(np.isfinite(distance), distance, np.inf), axis=0)
    rows = [
        {
            "product": product,
            "n_init": int(one["n_init"].values[row].max()),
            "cells": [
                _cell(
                    value[row, lead],
                    columns["ci_low"][row, lead],
                    columns["ci_high"][row, lead],
                    bool(best[row, lead]),
                )
                for lead in range(value.shape[1])
            ],
        }
        for row, product in enumerate(scores["product"].values.tolist())
    ]
    unit = style.pretty_unit(one["metric_units"].item())
    return {
        "name": metric,
        "long_name": about.long_name,
        "unit": unit,
        "rows": rows,
        "image": images[f"score_{variable}_{metric}"],
    }


def _cell(value: float, low: float, high: float, best: bool) -> dict[str, Any]:
    if not np.isfinite(value):
        return {"value": "\u2013", "interval": "", "best": False}
    interval = f"{_number(low)} \u2026 {_number(high)}" if np.isfinite(low) and np.isfinite(high) else ""
    return {"value": _number(value), "interval": interval, "best": best}


def _number(value: float) -> str:
    """Write a number with three digits, without an exponent where it can be read."""
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}".replace("-", "\u2212")
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 2
    return f"{value:.{digits}f}".replace("-", "\u2212")


def _interval(plan: Plan) -> str:
    blocks, start = plan.terms.blocks, plan.terms.protocol.words.start
    if not blocks.enough(blocks.n):
        return f"withheld, because {blocks.n} {start}s are fewer than two blocks of {blocks.length}"
    return (
        f"{100 * blocks.coverage:.0f} %, from {blocks.draws} draws of {plan.terms.block}; "
        "the same draws for all products"
    )


def _facts(plan: Plan) -> dict[str, str]:
    """Return what was trained on what, as the metadata say."""
    record, details, data = plan.model_record, plan.model_record.details, plan.data_record.details
    judged = {
        "Model": f"{plan.model}, experiment {record.name}",
        "Judged on": plan.data.name
        + (" (the same data set)" if plan.data.name == plan.spec["data_name"] else " (transfer learning)"),
        "Variables": ", ".join(
            f"{name} [{unit}]"
            for name, unit in zip(plan.terms.grid.variables, plan.terms.grid.units, strict=True)
        ),
        "Region" if plan.terms.grid.layout.has_times else "Size of a frame": _region(plan),
        "Frames": f"{plan.spec['context_frames']} context, {plan.spec['lead_frames']} lead"
        + (f", step {plan.data.index.step_hours} h" if plan.terms.grid.layout.has_times else ""),
        "Source of the data": _text(data.get("source", "")),
    }
    if plan.is_imported:
        made = {
            "Forecasts": f"made elsewhere, imported from {record.arguments.get('forecasts_file', '')}",
            "Imported": f"{record.end} on {record.host}",
        }
    else:
        made = {
            "Trained on": plan.spec["data_name"],
            "Known channels": ", ".join(plan.spec["known"]) or "none",
            "Best step": f"{_text(details.get('best_step', ''))} of {_text(details.get('last_step', ''))} "
            f"(validation loss {_text(details.get('best_val_loss', ''))}); used: {plan.options.checkpoint}",
            "Training time": _duration(details.get("seconds")),
            "Trained": f"{record.start} to {record.end} on {record.host}",
        }
    facts = {
        **judged,
        **made,
        "Git commit": record.git_commit or "not known",
        "Versions": ", ".join(f"{name} {version}" for name, version in record.package_versions.items()),
        "Fingerprints": f"model {record.fingerprint()[:12]}, data {plan.data.fingerprint[:12]}, "
        f"scores {plan.score_key[:12]}",
    }
    return {name: text for name, text in facts.items() if text}


def _region(plan: Plan) -> str:
    lat, lon = plan.terms.grid.lat, plan.terms.grid.lon
    if not plan.terms.grid.layout.has_times:
        return f"{len(lat)} x {len(lon)} pixels"
    return (
        f"{lat[-1]:g} to {lat[0]:g} \u00b0N, {lon[0]:g} to {lon[-1]:g} \u00b0E; "
        f"{len(lat)} x {len(lon)} points (lat x lon)"
    )


def _splits(record: Record, has_times: bool) -> list[list[str]]:
    """Return the table of the splits: its head, and a row for each."""
    columns = (
        {"first hour (UTC)": "first", "last hour (UTC)": "last", "time steps": "hours"}
        if has_times
        else {"sequences": "sequences", "different digits to draw from": "digits"}
    )
    return [["split", *columns]] + [
        [name, *(_text(entry.get(key, "")) for key in columns.values())]
        for name, entry in record.details.get("splits", {}).items()
    ]


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return str(value)


def _commands(plan: Plan) -> list[str]:
    """Return the commands of training and postprocessing."""
    return [
        command(plan.model_record.program, plan.model_record.arguments),
        command("main_visualize_postprocess.py", plan.arguments),
    ]


def command(program: str, arguments: Mapping[str, Any]) -> str:
    """Write a program's flags as the command line that gives them."""
    words = ["python", f"{_PROGRAMS}/{program}"]
    for name, value in arguments.items():
        if value in (None, False, [], "") or name == "debug":
            continue
        words.append(f"--{name}")
        if isinstance(value, list | tuple):
            words += [str(one) for one in value]
        elif value is not True:
            words.append(str(value))
    return shlex.join(words)
