"""The parts of an evaluation, one after another; what is whole is noted, so that a killed run goes on."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools import __version__
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.record import OpenRecord, running
from video_prediction_tools.postprocess import imported
from video_prediction_tools.postprocess.breakdown import breakdown
from video_prediction_tools.postprocess.forecasts import Forecaster, ForecastFile, by_network, write_forecasts
from video_prediction_tools.postprocess.imported import ImportedForecasts
from video_prediction_tools.postprocess.metrics.errors import SquaredError
from video_prediction_tools.postprocess.metrics.metric import Metric, statistics_of
from video_prediction_tools.postprocess.metrics.registry import METRICS_VERSION
from video_prediction_tools.postprocess.plan import KIND, Plan
from video_prediction_tools.postprocess.reduction import Reduction, reduce_forecasts
from video_prediction_tools.postprocess.scoring import score, write_scores
from video_prediction_tools.progress import say
from video_prediction_tools.ranks import Ranks

PROGRAM = "main_visualize_postprocess.py"
FORECASTS = "forecasts.nc"
DEFAULT_SAMPLES = 10  # members of a stochastic model when none are asked for


def evaluate(plan: Plan, ranks: Ranks) -> None:
    """Forecast, score, draw and report; results of another model, data set or way of scoring are removed.

    The scores are worked out by all ranks, the rest by the first.
    """
    model_dir, data_dir = Path(plan.options.model_dir), plan.data.directory
    inputs = {
        str(model_dir): plan.model_record.fingerprint(),
        str(data_dir): plan.data.fingerprint,
        str(plan.data.index.directory): plan.data.index.fingerprint,
    }
    with ExitStack() as stack:
        opened = ranks.first_does(
            lambda: stack.enter_context(
                running(
                    plan.directory,
                    kind=KIND,
                    name=plan.model_record.name,
                    program=PROGRAM,
                    arguments=plan.arguments,
                    inputs=inputs,
                )
            )
        )
        ranks.first_does(lambda: _forecast(plan, opened))
        with ForecastFile(plan.directory / FORECASTS) as file:
            metrics = ranks.first_tells(lambda: _metrics_for(plan, file))
            reduced = reduce_forecasts(
                file, plan.model, plan.terms.baselines, _reduction(plan, file, metrics), ranks=ranks
            )
            ranks.first_does(lambda: _score_and_show(plan, opened, file, reduced, metrics))


def _forecast(plan: Plan, opened: OpenRecord) -> None:
    """Make the forecasts where they are not there."""
    _remove_stale(plan, opened)
    path = plan.directory / FORECASTS
    if not opened.is_whole(path):
        _make_forecasts(plan, path)
        _note(opened, [path])


def _score_and_show(
    plan: Plan, opened: OpenRecord, file: ForecastFile, reduced: xr.Dataset, metrics: list[Metric]
) -> None:
    """Make the scores, plots and report of what the forecasts were reduced to."""
    from video_prediction_tools.postprocess.report import write_report  # late, as the plots

    terms = plan.terms
    units = dict(zip(terms.grid.variables, terms.grid.units, strict=True))
    scores = score(reduced, metrics, terms.blocks, units, terms.protocol.mean_over_leads)
    if terms.grid.layout.has_times:
        scores = scores.assign(breakdown(reduced, terms.blocks))
    _note(opened, write_scores(plan.directory, scores, _attributes(plan), terms.protocol))
    figures = _draw(plan, file, scores)
    _note(opened, figures.values())
    _note(opened, [write_report(plan, scores, figures, file.members)])
    opened.record.details |= {
        "score_key": plan.score_key,
        "warnings": plan.warnings,
        "model": plan.model,
        "seed": plan.model_record.details.get("seed"),
        "training_key": plan.training_key(),
    }


def _remove_stale(plan: Plan, opened: OpenRecord) -> None:
    """Leave nothing in the directory that does not belong to this evaluation."""
    outputs, details = opened.record.outputs, opened.record.details
    if outputs and details.get("forecast_key") != plan.forecast_key:
        say(
            "the model, the data or the way of forecasting has changed since the last run: "
            "everything is made anew"
        )
        stale = list(outputs)
    else:
        stale = [name for name in outputs if name != FORECASTS]
        if FORECASTS in outputs:
            path = plan.directory / FORECASTS
            if opened.is_whole(path):
                say("the forecasts are there already; scores, plots and report are made")
            else:
                why = "is not as it was written (size or checksum differ)" if path.exists() else "is gone"
                say(f"{path} {why}: the forecasts are made again")
    details.pop("score_key", None)
    for name in stale:
        del outputs[name]
    details.update(forecast_key=plan.forecast_key, split=plan.options.split)
    opened.save()  # first, so that a run killed here is not mistaken for a whole one
    for name in stale:
        (plan.directory / name).unlink(missing_ok=True)


def _note(opened: OpenRecord, paths: Iterable[Path]) -> None:
    for path in paths:
        opened.add_output(path)
    opened.save()


def _attributes(plan: Plan) -> dict[str, str | int]:
    """Return the global attributes that say where the numbers come from."""
    blocks = plan.terms.blocks
    return {
        "title": f"{plan.model} forecasts of {plan.data.name}, split {plan.options.split}",
        "source": f"AMBS {__version__}, {plan.model}, experiment {plan.model_record.name}",
        "history": f"made by {PROGRAM} from the model {plan.model_record.name} and the data {plan.data.name}",
        "model": plan.model,
        "exp_id": plan.model_record.name,
        "data_name": plan.data.name,
        "split": plan.options.split,
        "synthetic": int(plan.data.synthetic),
        "latitude_weights": int(plan.terms.grid.layout.has_times and not plan.options.no_latitude_weights),
        "metrics_version": METRICS_VERSION,
        "bootstrap": f"{plan.terms.block}, {blocks.draws} draws, {100 * blocks.coverage:.0f} % interval, "
        f"seed {blocks.seed}",
        "bootstrap_block_length": blocks.length,
        "bootstrap_draws": blocks.draws,
        "data_fingerprint": plan.data.fingerprint,
        "climatology": plan.terms.climatology.origin if plan.terms.climatology else "",
        "warnings": "\n".join(plan.warnings),
    }


def _make_forecasts(plan: Plan, path: Path) -> None:
    number = f"{len(plan.terms.sequences)} {plan.terms.protocol.words.start}s"
    with ExitStack() as stack:
        if plan.is_imported:
            say(f"taking the forecasts of {number} from the imported file")
            file = stack.enter_context(
                ImportedForecasts(Path(plan.options.model_dir) / imported.NAME, plan.data)
            )
            members = file.members

            def make(context: np.ndarray, times: np.ndarray) -> np.ndarray:
                return file.forecast(times[:, context.shape[1] - 1])

        else:
            say(f"loading {plan.model} ({plan.options.checkpoint} checkpoint) and forecasting {number}")
            forecaster = _load(plan)
            samples = plan.options.num_stochastic_samples
            if not forecaster.stochastic and (samples or 1) > 1:
                say(f"{plan.model} is not stochastic: one forecast is made, not {samples}")
            members = (samples or DEFAULT_SAMPLES) if forecaster.stochastic else None
            make = by_network(forecaster, plan.data.region, members, plan.options.seed)
        write_forecasts(
            path,
            make,
            plan.terms.sequences,
            plan.terms.grid,
            members=members,
            batch_size=plan.options.batch_size,
            attributes=_attributes(plan),
        )


def _load(plan: Plan) -> Forecaster:
    from video_prediction_tools.training.saved_model import load_forecaster  # late: imports TensorFlow

    index = plan.data.index
    return load_forecaster(Path(plan.options.model_dir), plan.options.checkpoint, (index.height, index.width))


def _reduction(plan: Plan, file: ForecastFile, metrics: list[Metric]) -> Reduction:
    terms = plan.terms
    return Reduction(
        # the cases are chosen by the squared error, whatever the metrics are
        list(dict.fromkeys([SquaredError, *statistics_of(metrics)])),
        terms.weights,
        terms.climatology,
        terms.scale,
        [one for one in terms.profiles if _is_ensemble(file) or not one.needs_members],
        terms.regions,
    )


def _is_ensemble(file: ForecastFile) -> bool:
    return (file.members or 1) > 1


def _metrics_for(plan: Plan, file: ForecastFile) -> list[Metric]:
    """Return the metrics that these forecasts can have.

    Raises:
        InputError: one that was asked for by name needs an ensemble.
    """
    if _is_ensemble(file):
        return plan.terms.metrics
    if not plan.options.eval_metrics:
        return [metric for metric in plan.terms.metrics if metric.by_default != "ensemble"]
    for metric in plan.terms.metrics:
        if metric.needs_members:
            raise InputError(
                f"--eval_metrics {metric.name}",
                f"judges ensembles, and {plan.model} has one forecast of each {plan.terms.protocol.words.start}",
                "leave it out, or ask for more members of a stochastic model (--num_stochastic_samples)",
            )
    return plan.terms.metrics


def _draw(plan: Plan, file: ForecastFile, scores: xr.Dataset) -> dict[str, Path]:
    from video_prediction_tools.postprocess.figures import (
        draw_figures,
    )  # late: matplotlib and cartopy take seconds

    return draw_figures(plan, file, scores)
