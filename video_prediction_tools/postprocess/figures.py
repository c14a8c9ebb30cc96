"""Which plots a result has, and from what they are drawn."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from video_prediction_tools.postprocess.conditional_quantiles import joint_histogram
from video_prediction_tools.postprocess.forecasts import ForecastFile
from video_prediction_tools.postprocess.plan import Plan
from video_prediction_tools.postprocess.plots import style
from video_prediction_tools.postprocess.plots.animation import write_animation
from video_prediction_tools.postprocess.plots.curves import draw_curves
from video_prediction_tools.postprocess.plots.map_animation import write_map_animation
from video_prediction_tools.postprocess.plots.maps import draw_case, draw_error_map
from video_prediction_tools.postprocess.plots.parts import draw_parts
from video_prediction_tools.postprocess.plots.profiles import (
    draw_rank_histogram,
    draw_reliability,
    draw_spectrum,
)
from video_prediction_tools.postprocess.plots.quantiles import draw_quantiles
from video_prediction_tools.postprocess.plots.scorecard import draw_scorecard
from video_prediction_tools.postprocess.plots.strips import draw_strip
from video_prediction_tools.postprocess.scoring import choose_cases
from video_prediction_tools.progress import progress

ANIMATED = ("best", "worst")


def draw_figures(plan: Plan, file: ForecastFile, scores: xr.Dataset) -> dict[str, Path]:
    """Draw all plots into the directory ``plots``; returns their paths by file name without suffix.

    ``<kind>_<variable>``, and with the metric or the case behind it.
    """
    plots, synthetic, protocol = plan.directory / "plots", plan.data.synthetic, plan.terms.protocol
    caption = f"{_sample(plan)}; {_bands(plan)}"
    paths = draw_curves(scores, plots, caption, synthetic, protocol)
    for variable in plan.terms.grid.variables:
        if scores.sizes["baseline"]:
            paths.append(plots / f"scorecard_{variable}.png")
            draw_scorecard(scores, variable, paths[-1], caption, synthetic, protocol)
        draw = _weather if file.grid.layout.has_times else _frames
        paths += list(draw(plan, file, scores, variable, plots))
    return {path.stem: path for path in paths}


def _weather(
    plan: Plan, file: ForecastFile, scores: xr.Dataset, variable: str, plots: Path
) -> Iterator[Path]:
    grid, synthetic, sample = plan.terms.grid, plan.data.synthetic, _sample(plan)
    unit = scores["units"].sel(variable=variable).item()
    leads = plan.terms.plot_leads
    cases = choose_cases(scores, variable)
    with progress(f"plots of {variable}", 9) as advance:
        for kind, draw, needed in (
            ("spectrum", draw_spectrum, "spectrum"),
            ("rank_histogram", draw_rank_histogram, "rank_histogram"),
            ("reliability", draw_reliability, "frost_probability"),
        ):
            path = plots / f"{kind}_{variable}.png"
            if needed in scores and np.isfinite(scores[needed].sel(variable=variable)).any():
                draw(scores, variable, leads, path, sample, synthetic)
                yield path
            advance()
        path = plots / f"parts_{variable}.png"
        if "rmse" in scores["parted_metric"].values:
            draw_parts(scores, variable, path, sample, synthetic)
            yield path
        advance()
        path = plots / f"quantiles_{variable}.png"
        numbers = plan.data.statistics[variable]
        histogram = joint_histogram(file, variable, leads, numbers["min"], numbers["max"])
        draw_quantiles(histogram, variable, unit, file.lead_hours[leads], path, sample, synthetic)
        yield path
        advance()
        for case, (place, rmse) in cases.items():
            path = plots / f"map_{variable}_{case}.png"
            title = (
                f"{case.capitalize()} forecast of {plan.model}{file.members_clause} "
                f"(rmse {rmse:.3g} {style.pretty_unit(unit)})"
            )
            draw_case(file, place, variable, leads, title, path, synthetic)
            yield path
            advance()
        path = plots / f"animation_{variable}.gif"
        write_map_animation(
            file, {case: cases[case][0] for case in ANIMATED}, variable, plan.model, path, synthetic
        )
        yield path
        path = plots / f"error_map_{variable}.png"
        draw_error_map(scores, grid, variable, path, sample, synthetic)
        yield path
        advance()


def _frames(plan: Plan, file: ForecastFile, scores: xr.Dataset, variable: str, plots: Path) -> Iterator[Path]:
    synthetic = plan.data.synthetic
    cases = choose_cases(scores, variable, plan.terms.protocol.case_metric)
    with progress("strips", 4) as advance:
        for case, (place, mse) in cases.items():
            path = plots / f"strip_{variable}_{case}.png"
            title = f"{case.capitalize()} forecast of {plan.model}{file.members_clause} (mse {mse:.3g})"
            draw_strip(file, place, variable, title, path, synthetic)
            yield path
            advance()
        path = plots / f"animation_{variable}.gif"
        places = {case: place for case, (place, _) in cases.items()}
        write_animation(file, places, variable, plan.model, path, synthetic)
        yield path
        advance()


def _sample(plan: Plan) -> str:
    """Say in a line what the scores are made of."""
    return style.sample(plan.options.split, plan.terms.sequences.init_times, plan.terms.protocol)


def _bands(plan: Plan) -> str:
    """Say what the bands of a score curve are."""
    blocks = plan.terms.blocks
    if blocks.enough(blocks.n):
        return f"bands: {100 * blocks.coverage:.0f} % interval, {plan.terms.short_block}"
    return "intervals withheld (fewer than two blocks)"
