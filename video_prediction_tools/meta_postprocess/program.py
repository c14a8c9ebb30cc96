"""The parts of a comparison, one after another."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from video_prediction_tools.errors import InputError
from video_prediction_tools.meta_postprocess.comparison import Comparison, compare
from video_prediction_tools.meta_postprocess.experiments import (
    Experiment,
    on_common_starts,
    read_experiments,
    require_comparable,
    require_same_starts,
)
from video_prediction_tools.metadata.record import arguments_of, is_there, running
from video_prediction_tools.progress import say

KIND = "comparison"
PROGRAM = "main_meta_postprocess.py"


def compare_results(options: Namespace) -> Path:
    """Check the inputs, compare, write tables, plots and report; return the directory.

    Raises:
        InputError: the results cannot be compared, or the directory holds something else.
    """
    if options.bootstrap_draws < 1:
        raise InputError("--bootstrap_draws", f"{options.bootstrap_draws} is below 1", "give 1 or more")
    experiments = read_experiments(options.results_dirs)
    require_comparable(experiments)
    if options.intersect:
        experiments = on_common_starts(experiments)
    else:
        require_same_starts(experiments)
    directory, recipe = Path(options.output_dir), _recipe(options, experiments)
    if is_there(directory, KIND, recipe, "--output_dir"):
        say("this comparison is there already, whole; nothing to do")
        return directory
    comparison = compare(experiments, options.metrics, options.baseline, options.bootstrap_draws)
    inputs = {str(one.directory): one.record.fingerprint() for one in experiments}
    arguments = arguments_of(vars(options))
    with running(
        directory,
        kind=KIND,
        name=directory.resolve().name,
        program=PROGRAM,
        arguments=arguments,
        inputs=inputs,
    ) as opened:
        opened.record.outputs.clear()
        opened.record.details = {"recipe": recipe, "products": [one.name for one in comparison.groups]}
        opened.save()
        for path in _write(comparison, directory, arguments):
            opened.add_output(path)
    return directory


def _write(comparison: Comparison, directory: Path, arguments: dict) -> list[Path]:
    # late: matplotlib takes a second
    from video_prediction_tools.meta_postprocess.figures import draw_figures
    from video_prediction_tools.meta_postprocess.report import sample, write_report
    from video_prediction_tools.meta_postprocess.tables import interval, write_tables

    experiments = [one for group in comparison.groups for one in group.experiments]
    notes = _notes(comparison, experiments)
    for note in notes:
        say(f"note: {note}")
    synthetic = any(int(one.scores.attrs.get("synthetic", 0)) for one in experiments)
    tables = write_tables(comparison, directory)
    say("drawing the plots")
    plots = directory / "plots"
    figures = draw_figures(comparison, plots, f"{sample(comparison)}; {interval(comparison)}", synthetic)
    report = write_report(comparison, figures, directory, notes, synthetic, arguments)
    return [*tables, *figures.values(), report]


def _notes(comparison: Comparison, experiments: Sequence[Experiment]) -> list[str]:
    """Say what was left out, and what weakens the comparison."""
    notes = []
    if comparison.left_out:
        notes.append(f"Left out, as not all results have it: {', '.join(comparison.left_out)}.")
    if all(len(group.experiments) == 1 for group in comparison.groups):
        notes.append("One seed of each model: how much another seed would change is not known.")
    said = [line for one in experiments for line in one.scores.attrs.get("warnings", "").split("\n") if line]
    return notes + list(dict.fromkeys(said))


def _recipe(options: Namespace, experiments: Sequence[Experiment]) -> dict[str, Any]:
    """Return all that decides about a comparison."""
    return {
        "results": [one.record.fingerprint() for one in experiments],
        "metrics": options.metrics,
        "baseline": options.baseline,
        "intersect": options.intersect,
        "bootstrap_draws": options.bootstrap_draws,
    }
