"""What `status` shows: every experiment with its steps, where the logs are, and what to do next."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import settings, status
from video_prediction_tools.config_runscripts.found import Found, models, results
from video_prediction_tools.config_runscripts.rendering import GENERATOR
from video_prediction_tools.config_runscripts.status import StepStatus, Unit
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata import chains
from video_prediction_tools.metadata.chains import Chain
from video_prediction_tools.metadata.names import Layout

_LISTED = 3  # experiments of a sweep that are told one by one; more are counted
_NOT_WELL = (status.FAILED, status.STOPPED, status.CANCELLED, status.NOT_STARTED)


@dataclass
class Overview:
    """One experiment or data set that was submitted.

    Arguments:
        chain: what was submitted.
        steps: how far each step has got.
    """

    chain: Chain
    steps: list[StepStatus]

    @property
    def state(self) -> str:
        """The chain as a whole: what is live goes before what ended badly, and that before done."""
        states = [one.state for one in self.steps]
        order = (
            status.FAILED,
            *status.LIVE,
            status.STOPPED,
            status.CANCELLED,
            status.NOT_STARTED,
            status.UNKNOWN,
            status.DONE,
        )
        return next(state for state in order if state in states)


def find_chain(layout: Layout, name: str) -> Path:
    """Return the directory of a chain by its name, or by a part of it that no other has.

    Raises:
        InputError: there is none, or several.
    """
    known = {path.name: path for path in chains.find(layout.jobs)}
    fitting = [name] if name in known else [one for one in known if name in one]
    if len(fitting) > 1:
        raise InputError(name, f"fits {', '.join(fitting)}", "give one of them")
    if not fitting:
        remedy = did_you_mean(name, known) if known else "submit something first (--submit)"
        raise InputError(name, f"nothing of this name was submitted (looked in {layout.jobs})", remedy)
    return known[fitting[0]]


def overviews(layout: Layout, name: str | None) -> list[Overview]:
    """Return all chains, or the named one, with their states.

    Raises:
        InputError: there is none of this name.
    """
    directories = chains.find(layout.jobs) if name is None else [find_chain(layout, name)]
    found = []
    for directory in directories:
        try:
            chain = chains.read(directory)
        except InputError as error:
            if name is not None:
                raise
            print(f"left out: {error}", file=sys.stderr)
            continue
        found.append(Overview(chain, status.of_chain(chain)))
    return found


def by_hand(layout: Layout, shown: Iterable[Overview]) -> list[tuple[Found, Found | None]]:
    """Return the trained experiments that were not submitted by the generator, each with its results."""
    targets = {target for one in shown for step in one.chain.steps for target in step.targets}
    evaluated = {one.name: one for one in results(layout)}
    return [(one, evaluated.get(one.name)) for one in models(layout) if str(one.path) not in targets]


def show(layout: Layout, name: str | None) -> None:
    """Print the state of one chain, or of all and of what was run by hand."""
    found = overviews(layout, name)
    for one in found:
        print("\n".join(lines(one, layout)), end="\n\n")
    others = by_hand(layout, found) if name is None else []
    if others:
        print("run by hand (not submitted by the generator):")
        for model, result in others:
            print(f"  {model.name}")
            print(_by_hand_line("train", model))
            print(_by_hand_line("postprocess", result))
    if not found and not others:
        print(f"nothing was submitted or trained below {layout.base}")


def _by_hand_line(step: str, made: Found | None) -> str:
    if made is None:
        return f"    {step:<22}{status.NOT_STARTED}"
    runs = f"{made.attempts} run{'s' * (made.attempts > 1)}"
    return f"    {step:<22}{made.state:<12} {_job(made.job):<10} {runs}"


def as_json(layout: Layout, name: str | None) -> list[dict[str, Any]]:
    """Return the same for programs: a list of chains with their steps."""
    return [
        {
            "name": one.chain.name,
            "machine": one.chain.machine,
            "state": one.state,
            "next": next_action(one, layout),
            "steps": [
                {"step": step.step.step, "state": step.state, "units": [_unit_json(u) for u in step.units]}
                for step in one.steps
            ],
        }
        for one in overviews(layout, name)
    ]


def _unit_json(unit: Unit) -> dict[str, Any]:
    return {**vars(unit), "log": unit.log and str(unit.log)}


def lines(overview: Overview, layout: Layout) -> list[str]:
    """Return the lines that tell of one chain."""
    chain = overview.chain
    text = [f"{chain.name}  {overview.state}  ({chain.machine}, submitted by {chain.user})"]
    for one in overview.steps:
        text += _step_lines(one)
    return [*text, f"  next: {next_action(overview, layout)}"]


def _step_lines(one: StepStatus) -> list[str]:
    width = 24
    if len(one.units) == 1:
        return _unit_lines(f"  {one.step.step:<{width}}", one.units[0])
    counts = {
        state: sum(unit.state == state for unit in one.units) for state in (unit.state for unit in one.units)
    }
    jobs = ", ".join(dict.fromkeys(unit.job.partition("_")[0] for unit in one.units if unit.job))
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    text = [
        f"  {one.step.step:<{width}}{one.state:<12} {_job(jobs):<10} {len(one.units)} experiments: {told}"
    ]
    trouble = [unit for unit in one.units if unit.state in _NOT_WELL]
    for unit in trouble[:_LISTED]:
        text += _unit_lines(f"    {f'experiment {unit.element}':<{width - 2}}", unit)
    if len(trouble) > _LISTED:
        text.append(f"    and {len(trouble) - _LISTED} more that are not done")
    return text


def _unit_lines(label: str, unit: Unit) -> list[str]:
    why = f" ({unit.why})" if unit.why else ""
    text = [f"{label}{unit.state + why:<12} {_job(unit.job):<10} {_runs(unit)}".rstrip()]
    if unit.state not in (status.DONE, status.NOT_STARTED) and unit.log and unit.log.exists():
        text.append(f"      log: {unit.log}")
    text += [f"      | {line}" for line in unit.tail]
    return text


def _job(job: str) -> str:
    return f"job {job}" if job else ""


def _runs(unit: Unit) -> str:
    if not unit.runs:
        return ""
    ended = ((unit.stopped, "stopped after saving"), (unit.failed, "failed"), (unit.killed, "killed"))
    told = ", ".join(f"{count} {word}" for count, word in ended if count)
    return f"{unit.runs} run{'s' * (unit.runs > 1)}" + (f" ({told})" if told else "")


def next_action(overview: Overview, layout: Layout) -> str:
    """Say what the user can do now."""
    states = [one.state for one in overview.steps]
    if status.UNKNOWN in states:
        cluster = overview.chain.cluster
        return "ask on a login node of " + (f"the cluster '{cluster}'" if cluster else "its cluster")
    if any(unit.why == status.BEING_CANCELLED for one in overview.steps for unit in one.units):
        return "nothing: it is being cancelled"
    troubled = next((one for one in overview.steps if one.state in _NOT_WELL), None)
    if troubled is None and all(state == status.DONE for state in states):
        reports = [Path(t) / "report.html" for one in overview.steps for t in one.step.targets]
        made = [str(path) for path in reports if path.exists()]
        return f"look at {made[0]}" + (f" and {len(made) - 1} more" * (len(made) > 1)) if made else "nothing"
    if troubled is None:
        return "nothing: it goes on by itself"
    mend = {
        status.FAILED: f"mend what stopped '{troubled.step.step}' (see its log; if an answer is wrong, write the "
        "step again with --submit), then: ",
        status.STOPPED: "go on with: ",
    }.get(troubled.state, "start what is missing with: ")
    return mend + command("resume", overview.chain.name, layout)


def command(word: str, name: str, layout: Layout) -> str:
    """Return the line by which the generator is asked about a chain."""
    words = ["python", str(GENERATOR), word, name]
    if settings.base_dir() != str(layout.base):
        words += ["--base_dir", str(layout.base)]
    return shlex.join(words)
