"""report.html: one file with everything in it (plots as data URIs), for a browser or a mail."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import xarray as xr

from video_prediction_tools.metadata.files import whole_file
from video_prediction_tools.metadata.record import Record
from video_prediction_tools.postprocess import style
from video_prediction_tools.postprocess.baselines import BASELINES
from video_prediction_tools.postprocess.forecasts import standard_names
from video_prediction_tools.postprocess.metrics import METRICS
from video_prediction_tools.postprocess.plan import Plan
from video_prediction_tools.postprocess.scoring import choose_cases

NAME = "report.html"
_TEMPLATE = Path(__file__).with_name("report.html.j2")
_PROGRAMS = "video_prediction_tools/main_scripts"


@dataclass(frozen=True)
class Verdict:
    """How the model does against one baseline, in words.

    Arguments:
        baseline: name; long_name: what it is.
        better: it is ahead at every lead hour, at some, or at none: "all", "some", "none".
        text: the sentence.
        gain: how much smaller its error is at the first and the last lead hour.
    """

    baseline: str
    long_name: str
    better: str
    text: str
    gain: str


def write_report(plan: Plan, scores: xr.Dataset, figures: Mapping[str, Path]) -> Path:
    """Write the report; return its path.

    Arguments:
        plan: what was judged.
        scores: of `scoring.score`.
        figures: plots by name without suffix.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html = environment.get_template(_TEMPLATE.name).render(content(plan, scores, figures))
    path = plan.directory / NAME
    with whole_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def content(plan: Plan, scores: xr.Dataset, figures: Mapping[str, Path]) -> dict[str, Any]:
    """Return all that the template shows."""
    images = {
        name: "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        for name, path in figures.items()
    }
    valid = plan.sequences.valid_times
    return {
        "model": plan.model,
        "data_name": plan.data.name,
        "source_data_name": plan.spec["data_name"],
        "synthetic": plan.data.synthetic or plan.spec.get("synthetic"),
        "split": plan.options.split,
        "n_init": len(plan.sequences),
        "lead_hours": [f"{hour:g}" for hour in scores["lead_time"].values],
        "first": style.utc(plan.sequences.init_times[0]),
        "last": style.utc(plan.sequences.init_times[-1]),
        "days": f"{(valid[-1, -1] - plan.sequences.init_times[0]) / 86400:.1f}",
        "variables": [_variable(plan, scores, name, images) for name in plan.grid.variables],
        "warnings": plan.warnings,
        "facts": _facts(plan),
        "splits": _splits(plan.data_record),
        "hparams": {key: _text(value) for key, value in sorted(plan.hparams.items())},
        "commands": _commands(plan),
        "interval": _interval(plan),
        "weighting": "all grid points the same" if plan.options.no_latitude_weights else "cos(latitude)",
        "climatology": plan.climatology.origin if plan.climatology else "",
        "metric_notes": [(metric.name, metric.long_name, f"{metric.best:g}") for metric in plan.metrics],
    }


def _variable(plan: Plan, scores: xr.Dataset, variable: str, images: Mapping[str, str]) -> dict[str, Any]:
    unit = scores["units"].sel(variable=variable).item()
    verdicts = [_verdict(scores, variable, product) for product in scores["baseline"].values.tolist()]
    names = [metric.name for metric in plan.metrics]
    names.sort(key=lambda name: name != _main_metric(scores))  # the one that the verdicts speak of first
    cases = [
        {
            "name": case,
            "rmse": f"{rmse:.3g} {style.pretty_unit(unit)}",
            "init_time": style.utc(scores["init_time"].values[place]),
            "image": images[f"map_{variable}_{case}"],
        }
        for case, (place, rmse) in choose_cases(scores, variable).items()
    ]
    return {
        "name": variable,
        "long_name": standard_names(variable)[1],
        "unit": style.pretty_unit(unit),
        "verdicts": verdicts,
        "headline": _headline(plan.model, scores, variable, verdicts),
        "cases": cases,
        "metrics": [_table(scores, variable, name, images) for name in names],
        "error_map": images[f"error_map_{variable}"],
    }


def _main_metric(scores: xr.Dataset) -> str:
    names = scores["metric"].values.tolist()
    return "rmse" if "rmse" in names else names[0]


def _verdict(scores: xr.Dataset, variable: str, baseline: str) -> Verdict:
    metric = _main_metric(scores)
    one = scores.sel(variable=variable, metric=metric)
    difference = one["difference"].sel(baseline=baseline).values
    high = one["difference_ci_high"].sel(baseline=baseline).values
    low = one["difference_ci_low"].sel(baseline=baseline).values
    hours = scores["lead_time"].values
    better, worse = difference < 0, difference > 0
    long_name = BASELINES[baseline].long_name
    if not np.isfinite(difference).any():
        return Verdict(
            baseline, long_name, "none", "cannot be compared: there is no init time that both forecast.", ""
        )
    if better.all():
        text = "better at every lead hour"
    elif better.any():
        text = f"better at {spans(hours, better)}, not at {spans(hours, ~better)}"
    else:
        text = "not better at any lead hour"
    if not np.isfinite(high).any():
        text += "; whether by more than chance cannot be said (intervals withheld)"
    else:
        beyond = (better & (high < 0)) | (worse & (low > 0))
        text += (
            "; the paired interval excludes zero at every lead hour"
            if beyond.all()
            else f"; the paired interval excludes zero at {spans(hours, beyond)}"
            if beyond.any()
            else "; the paired interval includes zero at every lead hour"
        )
    share = "all" if better.all() else "some" if better.any() else "none"
    return Verdict(baseline, long_name, share, text + ".", _gain(scores, variable, metric, baseline))


def _gain(scores: xr.Dataset, variable: str, metric: str, baseline: str) -> str:
    """Say by how much the error is smaller at the first and last lead hour, for metrics that are errors."""
    if METRICS[metric].best != 0.0 or metric == "bias":
        return ""
    one = scores.sel(variable=variable, metric=metric)
    theirs = one["value"].sel(product=baseline).values
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 100.0 * one["difference"].sel(baseline=baseline).values / theirs
    words = [
        f"{abs(change[i]):.0f} % {'lower' if change[i] < 0 else 'higher'} at "
        f"+{scores['lead_time'].values[i]:g} h"
        for i in sorted({0, len(change) - 1})
        if np.isfinite(change[i])
    ]
    return f"{metric} {', '.join(words)}" if words else ""


def _headline(model: str, scores: xr.Dataset, variable: str, verdicts: Sequence[Verdict]) -> str:
    """Say at which lead hours the model beats every baseline, and which cannot be compared at any of them."""
    one = scores["difference"].sel(variable=variable, metric=_main_metric(scores))
    defined = np.isfinite(one).any("lead_time").values
    undefined = one["baseline"].values[~defined].tolist()
    if not defined.any():
        return f"{model} cannot be compared with any baseline."
    left_out = f" (Left out, as it cannot be compared: {', '.join(undefined)}.)" if undefined else ""
    hours = scores["lead_time"].values
    ahead = (one.isel(baseline=defined) < 0).all("baseline").values
    if ahead.all():
        return f"{model} beats every baseline at every lead hour.{left_out}"
    if ahead.any():
        return f"{model} beats every baseline at {spans(hours, ahead)}, but not at {spans(hours, ~ahead)}.{left_out}"
    beaten = [verdict.baseline for verdict in verdicts if verdict.better == "all"]
    if beaten:
        return (
            f"{model} beats {' and '.join(beaten)} at every lead hour, but is at no lead hour ahead of all "
            f"baselines.{left_out}"
        )
    return f"{model} is at no lead hour ahead of all baselines.{left_out}"


def spans(hours: np.ndarray, chosen: np.ndarray) -> str:
    """Write the chosen lead hours as ``+1 to +4 h and +9 h``."""
    parts, start = [], None
    for index in range(len(hours) + 1):
        inside = index < len(hours) and chosen[index]
        if inside and start is None:
            start = index
        elif not inside and start is not None:
            first, last = f"+{hours[start]:g}", f"+{hours[index - 1]:g}"
            parts.append(first if start == index - 1 else f"{first} to {last}")
            start = None
    return (
        (", ".join(parts[:-1]) + " and " if len(parts) > 1 else "") + (parts[-1] if parts else "none") + " h"
    )


def _table(scores: xr.Dataset, variable: str, metric: str, images: Mapping[str, str]) -> dict[str, Any]:
    one = scores.sel(variable=variable, metric=metric)
    value = one["value"].values  # [product, lead_time]
    distance = METRICS[metric].distance(value)
    best = distance == np.nanmin(np.where(np.isfinite(distance), distance, np.inf), axis=0)
    rows = [
        {
            "product": product,
            "n_init": int(one["n_init"].values[row].max()),
            "cells": [
                _cell(
                    value[row, lead],
                    one["ci_low"].values[row, lead],
                    one["ci_high"].values[row, lead],
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
        "long_name": METRICS[metric].long_name,
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
    blocks = plan.blocks
    if not blocks.enough(blocks.n):
        return f"withheld, because {blocks.n} init times are fewer than two blocks of {blocks.length}"
    return (
        f"{100 * blocks.coverage:.0f} %, from {blocks.draws} draws of moving blocks of "
        f"{blocks.length} init times "
        f"({plan.block_hours:g} h); the same draws for all products"
    )


def _facts(plan: Plan) -> dict[str, str]:
    """Return what was trained on what, as the metadata say."""
    record, details, data = plan.model_record, plan.model_record.details, plan.data_record.details
    facts = {
        "Model": f"{plan.model}, experiment {record.name}",
        "Trained on": plan.spec["data_name"],
        "Judged on": plan.data.name
        + (" (the same data set)" if plan.data.name == plan.spec["data_name"] else " (transfer learning)"),
        "Variables": ", ".join(
            f"{name} [{unit}]" for name, unit in zip(plan.grid.variables, plan.grid.units, strict=True)
        ),
        "Region": _region(plan),
        "Frames": f"{plan.spec['context_frames']} context, {plan.spec['lead_frames']} lead, "
        f"step {plan.data.index.step_hours} h",
        "Known channels": ", ".join(plan.spec["known"]) or "none",
        "Source of the data": _text(data.get("source", "")),
        "Best step": f"{_text(details.get('best_step', ''))} of {_text(details.get('last_step', ''))} "
        f"(validation loss {_text(details.get('best_val_loss', ''))}); used: {plan.options.checkpoint}",
        "Training time": _duration(details.get("seconds")),
        "Trained": f"{record.start} to {record.end} on {record.host}",
        "Git commit": record.git_commit or "not known",
        "Versions": ", ".join(f"{name} {version}" for name, version in record.package_versions.items()),
        "Fingerprints": f"model {record.fingerprint()[:12]}, data {plan.data.fingerprint[:12]}, "
        f"scores {plan.score_key[:12]}",
    }
    return {name: text for name, text in facts.items() if text}


def _region(plan: Plan) -> str:
    if plan.data.region.lat is None:
        return f"{plan.data.index.height} x {plan.data.index.width} pixels"
    lat, lon = plan.grid.lat, plan.grid.lon
    return (
        f"{lat[-1]:g} to {lat[0]:g} \u00b0N, {lon[0]:g} to {lon[-1]:g} \u00b0E; "
        f"{len(lat)} x {len(lon)} points (lat x lon)"
    )


def _splits(record: Record) -> list[tuple[str, str, str, str]]:
    """Return name, first hour, last hour and number of time steps of each split."""
    return [
        (name, _text(entry.get("first", "")), _text(entry.get("last", "")), _text(entry.get("hours", "")))
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
