"""One run of the extraction: what is there already, what is missing, and the months one after another.

A month is whole or absent: its SHA-256 is in metadata.json before the file gets its name, so that a run
that was killed at any moment is taken up from its last finished month.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools import __version__
from video_prediction_tools.data_extraction.period import Month, iso
from video_prediction_tools.data_extraction.request import Request
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import sha256, whole_file
from video_prediction_tools.metadata.names import constants_file, month_file
from video_prediction_tools.metadata.record import OpenRecord, Record, find_record
from video_prediction_tools.metadata.variables import Variable, variable
from video_prediction_tools.progress import progress, say

KIND = "extracted_data"
_CONSTANTS = "constants"
_ANOTHER_DIRECTORY = "give another --destination_dir, or --overwrite to replace what is there"


@dataclass(frozen=True)
class Task:
    """One month to fetch.

    Arguments:
        keep: variables of the whole file that is there, to carry over.
        fetch: variables to get from the source.
        again: the file is whole and lacks hours; it is replaced when the source has more of them now.
    """

    month: Month
    keep: tuple[str, ...]
    fetch: tuple[str, ...]
    again: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Arguments:
        asked: all months asked for.
        tasks: the months to fetch.
        whole: the months that are there, verified.
        constants: the constant fields to fetch; () when they are there.
        begin_anew: what the directory holds was made by another request and is to be replaced.
    """

    asked: tuple[Month, ...]
    tasks: tuple[Task, ...]
    whole: tuple[Month, ...]
    constants: tuple[str, ...]
    begin_anew: bool

    def there(self) -> list[Month]:
        """Return the months that an earlier run has fetched, also those to complete."""
        return [*self.whole, *(task.month for task in self.tasks if task.again or task.keep)]

    def variables(self) -> list[str]:
        """Return all variables that any month needs from the source."""
        return list(dict.fromkeys(name for task in self.tasks for name in task.fetch))


def make_plan(request: Request, months: Sequence[Month]) -> Plan:
    """Compare what is asked for with what the directory holds (verified by SHA-256).

    Raises:
        InputError: the directory was made by another request, or a file in the way is not of this program.
    """
    directory, record = request.destination, find_record(request.destination)
    # a run that ended before its first month binds nobody
    details = record.details if record and record.kind == KIND and record.outputs else {}
    begin_anew = bool(details) and details["request"] != request.identity()
    if begin_anew and not request.overwrite:
        difference = _difference(details["request"], request.identity())
        raise InputError(directory, f"was extracted by another request ({difference})", _ANOTHER_DIRECTORY)
    opened = OpenRecord(directory, record) if details and not begin_anew else None
    tasks, whole = [], []
    for month in months:
        path = month_file(directory, *month)
        noted = tuple(details["months"].get(str(month), {}).get("variables", [])) if opened else ()
        renew = request.overwrite and not (opened and _renewed(opened.record, request, str(month)))
        if path.exists() and not request.overwrite and not (opened and _is_noted(opened, path)):
            raise InputError(
                path,
                "is in the way and was not written by an earlier run of this program",
                f"move it away, or {_ANOTHER_DIRECTORY}",
            )
        if opened and not renew and opened.is_whole(path):
            missing = tuple(name for name in request.variables if name not in noted)
            if missing:
                tasks.append(Task(month, noted, missing))
            elif _may_have_more(request, month, details["months"][str(month)]):
                tasks.append(Task(month, (), noted, again=True))
            else:
                whole.append(month)
                _report_gaps(month, details["months"][str(month)])
            continue
        if path.exists() and not renew:
            say(f"{path} is damaged (its SHA-256 has changed): it is fetched again")
        # what an earlier run put into the month is fetched again with the rest, so that nothing is lost
        tasks.append(Task(month, (), tuple(dict.fromkeys([*noted, *request.variables]))))
    return Plan(tuple(months), tuple(tasks), tuple(whole), _constants_to_fetch(opened, request), begin_anew)


def _may_have_more(request: Request, month: Month, summary: dict[str, Any]) -> bool:
    """Say whether the source may have hours now that a month lacks: an archive grows, ERA5 does at its end."""
    if not summary["gaps"] or not set(summary["variables"]) <= set(request.variables):
        return False  # hours of variables that are not asked for now cannot be added
    last = month.end - 3600 * (request.step_hours or 1)
    return request.source == "archive" or summary["gaps"][-1][1] >= iso(last)


def _constants_to_fetch(opened: OpenRecord | None, request: Request) -> tuple[str, ...]:
    if not opened:
        return request.constants
    details = opened.record.details
    noted = tuple(dict.fromkeys([*details["constants"], *request.constants]))
    if request.overwrite and not _renewed(opened.record, request, _CONSTANTS):
        return noted
    there = details["constants"] if opened.is_whole(constants_file(opened.directory)) else []
    look_again = request.constants_demanded or request.constants_source is not None
    done = [*there, *([] if look_again else details["constants_left_out"])]
    return () if set(request.constants) <= set(done) else noted


def _renewed(record: Record, request: Request, name: str) -> bool:
    """Say whether the run with --overwrite that this one goes on from has renewed a month (or constants)."""
    goes_on = record.state != "done" and record.arguments == request.arguments()
    return goes_on and name not in record.details["to_renew"]


def check_source(request: Request, plan: Plan, source: Any) -> None:
    """Compare step and grid of the source with those of the months that are there.

    Raises:
        InputError: they are others.
    """
    record = find_record(request.destination)
    if record and record.outputs and not plan.begin_anew:
        _check_same(request.destination, record.details, source.step_hours, source.grid)


def extract(source: Any, plan: Plan, request: Request, opened: OpenRecord) -> None:
    """Fetch the months of a plan, and the constants; metadata.json is kept up to date month by month.

    Arguments:
        source: see `weather.Source`; None when nothing is to be fetched.
        plan: what to do.
        request: the checked flags.
        opened: the record of the destination directory.

    Raises:
        InputError: the data are wrong; months that were finished before stay.
    """
    details, available = _begin(source, plan, request, opened), set(source.months) if source else set()
    with progress("months", len(plan.tasks) + len(plan.whole), done=len(plan.whole)) as advance:
        for task in plan.tasks:
            if task.month in available:
                _fetch(source, task, opened, details)
            elif task.again:
                _report_gaps(task.month, details["months"][str(task.month)])
            elif opened.record.details is details:
                _forget(task.month, opened)
            advance(note=str(task.month))
    lacking = [str(month) for month in plan.asked if str(month) not in details["months"]]
    if lacking:
        say(f"{len(lacking)} months stay missing, the source has no data for them: {', '.join(lacking)}")
    details["missing_months"] = sorted({*details["missing_months"], *lacking} - set(details["months"]))
    if plan.constants:
        _fetch_constants(source, [variable(name) for name in plan.constants], request, opened)
    details["to_renew"] = []
    opened.save()


def _begin(source: Any, plan: Plan, request: Request, opened: OpenRecord) -> dict[str, Any]:
    """Return the details to fill: the record's own, or new ones that replace them with the first month."""
    record = opened.record
    details = record.details
    if plan.begin_anew or not record.outputs:
        details = {
            "request": request.identity(),
            "source": source.text,
            "synthetic": source.synthetic,
            "step_hours": source.step_hours,
            "variables": [],
            "months": {},
            "missing_months": [],
            "constants": [],
            "constants_left_out": [],
        }
    # months that --overwrite has still to replace: a run that is killed goes on with these
    details["to_renew"] = [str(task.month) for task in plan.tasks if request.overwrite]
    details["to_renew"] += [_CONSTANTS] if request.overwrite and plan.constants else []
    if not plan.begin_anew:
        record.details = details
        opened.save()
    return details


def _replace_earlier(opened: OpenRecord, details: dict[str, Any]) -> None:
    """Remove what the earlier request made, once the first month of the new one is ready to be named.

    The record changes after the files: a run that is killed in between finds the rest of them in it.
    """
    record = opened.record
    earlier = sorted(record.outputs)
    for name in earlier:  # only what this program noted as its own
        (opened.directory / name).unlink(missing_ok=True)
    record.outputs, record.details = {}, details
    say(f"{len(earlier)} files of the earlier request were removed (--overwrite)")


def _fetch(source: Any, task: Task, opened: OpenRecord, details: dict[str, Any]) -> None:
    # netCDF4 is imported late: the flags are checked without it
    from video_prediction_tools.data_extraction.monthly_files import read_times, write_month

    path = month_file(opened.directory, *task.month)
    variables = [variable(name) for name in task.fetch]
    with source.open_month(task.month, variables) as weather:
        if "lat" in details:
            _check_same(opened.directory, details, source.step_hours, weather.grid)
        if task.again and len(weather.times) <= details["months"][str(task.month)]["hours"]:
            return _report_gaps(task.month, details["months"][str(task.month)])
        details.update(area=weather.grid.area(), lat=weather.grid.lat.tolist(), lon=weather.grid.lon.tolist())
        if task.keep and list(read_times(path)) != list(weather.times):
            raise InputError(
                path,
                f"has other hours than {', '.join(task.fetch)} at the source now",
                "start again with --overwrite to fetch all variables anew",
            )
        kept = (path, [variable(name) for name in task.keep]) if task.keep else None
        with whole_file(path) as temporary:
            attributes = _attributes(source, details, f"weather of {task.month}")
            summary = write_month(temporary, weather, variables, attributes, kept)
            summary["gaps"] = _gaps(task.month, weather.times, source.step_hours)
            details["months"][str(task.month)] = summary
            details["variables"] = list(dict.fromkeys([*details["variables"], *summary["variables"]]))
            for names in (details["missing_months"], details["to_renew"]):
                names[:] = [name for name in names if name != str(task.month)]
            if opened.record.details is not details:
                _replace_earlier(opened, details)
            _note(opened, path, temporary)
    _report(task.month, summary)


def _forget(month: Month, opened: OpenRecord) -> None:
    """Take a month out of the record that is gone and that the source does not have any more.

    Raises:
        InputError: it is there and damaged.
    """
    path = month_file(opened.directory, *month)
    if path.exists():
        raise InputError(
            path,
            "is to be fetched again, and the source has no data for it",
            "give the source that it came from, or remove it",
        )
    opened.record.details["months"].pop(str(month), None)
    opened.record.outputs.pop(path.relative_to(opened.directory).as_posix(), None)
    opened.save()


def _fetch_constants(
    source: Any, variables: Sequence[Variable], request: Request, opened: OpenRecord
) -> None:
    import numpy as np

    from video_prediction_tools.data_extraction.grids import Grid
    from video_prediction_tools.data_extraction.monthly_files import write_constants

    details, path = opened.record.details, constants_file(opened.directory)
    grid = Grid(np.array(details["lat"]), np.array(details["lon"]))
    fields = source.constants(variables, grid)
    found = [one for one in variables if one.short_name in fields]
    left_out = [one for one in variables if one not in found]
    for one in left_out:
        if request.constants_demanded and one.short_name in request.constants:
            raise InputError(
                "--constants",
                f"'{one.short_name}' is not there on the data's grid, {grid}",
                "name the file that has it with --constants_source, or leave it out",
            )
        say(f"constants.nc: {one.short_name} ({one.long_name}) is not there and is left out")
    details["constants_left_out"] = [one.short_name for one in left_out]
    if not found:
        return
    with whole_file(path) as temporary:
        attributes = _attributes(source, details, "fields that do not change in time")
        write_constants(temporary, grid, fields, found, attributes)
        details["constants"] = [one.short_name for one in found]
        details["to_renew"] = [name for name in details["to_renew"] if name != _CONSTANTS]
        _note(opened, path, temporary)
    say(f"constants.nc: {', '.join(f'{name} from {field.origin}' for name, field in fields.items())}")


def _note(opened: OpenRecord, path: Path, temporary: Path) -> None:
    """Write the digest of a finished temporary file to metadata.json before the file gets its name."""
    entry = {"bytes": temporary.stat().st_size, "sha256": sha256(temporary)}
    opened.record.outputs[path.relative_to(opened.directory).as_posix()] = entry
    opened.save()


def _is_noted(opened: OpenRecord, path: Path) -> bool:
    return path.relative_to(opened.directory).as_posix() in opened.record.outputs


def _attributes(source: Any, details: dict[str, Any], content: str) -> dict[str, Any]:
    """Return the global attributes; without the time of day: equal requests give equal bytes."""
    title = f"AMBS: SYNTHETIC {content} (not real weather)" if source.synthetic else f"AMBS: {content}"
    return {
        "title": title,
        "source": source.text,
        "history": f"AMBS {__version__} main_data_extraction.py",
        "synthetic": int(source.synthetic),
        "step_hours": details["step_hours"],
        **source.attributes,
    }


def _check_same(destination: Path, details: dict[str, Any], step_hours: int | None, grid: Any) -> None:
    import numpy as np

    from video_prediction_tools.data_extraction.grids import Grid

    if step_hours is not None and details["step_hours"] != step_hours:
        there = details["step_hours"]
        raise InputError(
            destination, f"holds {there}-hourly data, the source is {step_hours}-hourly", _ANOTHER_DIRECTORY
        )
    if grid is not None and "lat" in details:
        there = Grid(np.array(details["lat"]), np.array(details["lon"]))
        if not there.same_as(grid):
            raise InputError(
                destination,
                f"holds data on another grid ({there}), the source has {grid}",
                _ANOTHER_DIRECTORY,
            )


def _difference(earlier: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
    return "; ".join(f"{key}: {earlier.get(key)} there, {now.get(key)} now" for key in keys)


def _gaps(month: Month, times: Any, step_hours: int) -> list[list[Any]]:
    """Return the missing stretches of a month: first and last missing time, and how many steps."""
    step = 3600 * step_hours
    first = month.start + (int(times[0]) - month.start) % step
    expected = range(first, month.end, step)
    edges = [first - step, *map(int, times), expected[-1] + step]
    return [
        [iso(before + step), iso(after - step), (after - before) // step - 1]
        for before, after in zip(edges, edges[1:], strict=False)
        if after - before > step
    ]


def _report_gaps(month: Month, summary: dict[str, Any]) -> None:
    gaps = summary["gaps"]
    if gaps:
        shown = ", ".join(f"{first} to {last}" for first, last, _ in gaps[:3])
        more = f" and {len(gaps) - 3} more stretches" if len(gaps) > 3 else ""
        say(f"{month}: {sum(steps for _, _, steps in gaps)} time steps are missing: {shown}{more}")


def _report(month: Month, summary: dict[str, Any]) -> None:
    _report_gaps(month, summary)
    for name, found in summary["nan"].items():
        say(
            f"{month}: {name}: {100 * found['share']:.3g} % of the values are missing (NaN), the first at "
            f"{found['first']}; they stay NaN here, preprocess1 asks how to fill them"
        )
