"""One run of the extraction: what is there already, what is missing, and the months one after another.

A month is whole or absent: its SHA-256 is in metadata.json before the file gets its name, so that a run that was killed
at any moment is taken up from its last finished month.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools import __version__
from video_prediction_tools.data_extraction.period import Month, iso
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import sha256, whole_file
from video_prediction_tools.metadata.names import constants_file, month_file
from video_prediction_tools.metadata.record import OpenRecord, find_record
from video_prediction_tools.metadata.variables import Variable, variable
from video_prediction_tools.progress import progress, say

KIND = "extracted_data"
_ANOTHER_DIRECTORY = "give another --destination_dir, or --overwrite to replace what is there"


@dataclass(frozen=True)
class Task:
    """One month to fetch.

    Arguments:
        keep: variables of the whole file that is there, to carry over.
        fetch: variables to get from the source.
    """

    month: Month
    keep: tuple[str, ...]
    fetch: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Arguments:
        tasks: the months to fetch.
        whole: the months that are there, verified.
        constants: the constant fields to fetch; () when they are there.
        begin_anew: what the directory holds was made by another request and is to be replaced.
    """

    tasks: tuple[Task, ...]
    whole: tuple[Month, ...]
    constants: tuple[str, ...]
    begin_anew: bool

    def variables(self) -> list[str]:
        """Return all variables that any month needs from the source."""
        return list(dict.fromkeys(name for task in self.tasks for name in task.fetch))


def make_plan(destination: Path, request: dict[str, Any], months: Sequence[Month], names: Sequence[str],
              constants: Sequence[str], constants_demanded: bool, overwrite: bool) -> Plan:
    """Compare what is asked for with what the directory holds (verified by SHA-256).

    Arguments:
        request: what has to stay the same for all months of a directory (source, area, step, seed, ..).
        names, constants: short names.
        constants_demanded: look again for constants that an earlier run did not find.
        overwrite: fetch again what is there.

    Raises:
        InputError: the directory was made by another request, or a file in the way was not made by this program.
    """
    record = find_record(destination)
    # a run that ended before its first month binds nobody
    details = record.details if record and record.kind == KIND and record.outputs else {}
    begin_anew = bool(details) and details["request"] != request
    if begin_anew and not overwrite:
        raise InputError(destination, f"was extracted by another request ({_difference(details['request'], request)})",
                         _ANOTHER_DIRECTORY)
    opened = OpenRecord(destination, record) if details and not begin_anew else None
    tasks, whole = [], []
    for month in months:
        path = month_file(destination, *month)
        noted = details["months"].get(str(month), {}).get("variables", []) if opened else []
        if path.exists() and not overwrite and not (opened and _noted(opened, path)):
            raise InputError(path, "is in the way and was not written by an earlier run of this program",
                             "move it away, or " + _ANOTHER_DIRECTORY)
        if opened and not overwrite and opened.is_whole(path):
            missing = tuple(name for name in names if name not in noted)
            if missing:
                tasks.append(Task(month, tuple(noted), missing))
            else:
                whole.append(month)
            continue
        if path.exists() and not overwrite:
            say(f"{path} is damaged (its SHA-256 has changed): it is fetched again")
        # what an earlier run put into the month is fetched again with the rest, so that nothing is lost
        tasks.append(Task(month, (), tuple(dict.fromkeys([*noted, *names]))))
    return Plan(tuple(tasks), tuple(whole), _constants_to_fetch(destination, opened, constants, constants_demanded, overwrite),
                begin_anew)


def _constants_to_fetch(destination: Path, opened: OpenRecord | None, names: Sequence[str], demanded: bool,
                        overwrite: bool) -> tuple[str, ...]:
    if not opened or overwrite:
        return tuple(names)
    details, path = opened.record.details, constants_file(destination)
    noted = details["constants"]
    there = noted if opened.is_whole(path) else []
    done = [*there, *([] if demanded else details["constants_left_out"])]
    if set(names) <= set(done):
        return ()
    return tuple(dict.fromkeys([*noted, *names]))


def check_source(destination: Path, plan: Plan, source: Any) -> None:
    """Compare step and grid of the source with those of the months that are there.

    Raises:
        InputError: they are others.
    """
    record = find_record(destination)
    if record and record.outputs and not plan.begin_anew:
        _check_same(destination, record.details, source.step_hours, source.grid)


def extract(source: Any, plan: Plan, request: dict[str, Any], asked: Sequence[Month], opened: OpenRecord) -> None:
    """Fetch the months of a plan, and the constants; metadata.json is kept up to date month by month.

    Arguments:
        source: see `weather.Source`; not used when nothing is to be fetched.
        plan: what to do.
        request: see `make_plan`.
        asked: all months asked for.
        opened: the record of the destination directory.

    Raises:
        InputError: the data are wrong; months that were finished before stay.
    """
    _begin(source, plan, request, opened)
    details, available = opened.record.details, set(source.months) if source else set()
    with progress("months", len(plan.tasks) + len(plan.whole), done=len(plan.whole)) as advance:
        for task in plan.tasks:
            if task.month in available:
                _fetch(source, task, opened)
            advance(note=str(task.month))
    lacking = [str(month) for month in asked if str(month) not in details["months"]]
    if lacking:
        say(f"{len(lacking)} months stay missing, the source has no data for them: {', '.join(lacking)}")
    details["missing_months"] = sorted({*details.get("missing_months", []), *lacking} - set(details["months"]))
    opened.save()
    if plan.constants:
        _fetch_constants(source, [variable(name) for name in plan.constants], opened)


def _begin(source: Any, plan: Plan, request: dict[str, Any], opened: OpenRecord) -> None:
    record = opened.record
    if plan.begin_anew:
        earlier = sorted(record.outputs)
        record.outputs, record.details = {}, {}
        opened.save()
        for name in earlier:  # only what this program noted as its own
            (opened.directory / name).unlink(missing_ok=True)
        say(f"{len(earlier)} files of the earlier request were removed (--overwrite)")
    if not record.outputs:
        record.details = {"request": request, "source": source.text, "synthetic": source.synthetic,
                          "step_hours": source.step_hours, "variables": [], "months": {}, "missing_months": [],
                          "constants": [], "constants_left_out": []}
    opened.save()


def _fetch(source: Any, task: Task, opened: OpenRecord) -> None:
    # netCDF4 is imported late: the flags are checked without it
    from video_prediction_tools.data_extraction.monthly_files import read_times, write_month

    details, path = opened.record.details, month_file(opened.directory, *task.month)
    variables = [variable(name) for name in task.fetch]
    with source.open_month(task.month, variables) as weather:
        if "lat" in details:
            _check_same(opened.directory, details, source.step_hours, weather.grid)
        details.update(area=weather.grid.area(), lat=weather.grid.lat.tolist(), lon=weather.grid.lon.tolist())
        if task.keep and list(read_times(path)) != list(weather.times):
            raise InputError(path, f"has other hours than {', '.join(task.fetch)} at the source now",
                             "start again with --overwrite to fetch all variables anew")
        kept = (path, [variable(name) for name in task.keep]) if task.keep else None
        with whole_file(path) as temporary:
            summary = write_month(temporary, weather, variables, _attributes(source, f"weather of {task.month}"), kept)
            summary["gaps"] = _gaps(task.month, weather.times, source.step_hours)
            details["months"][str(task.month)] = summary
            details["variables"] = list(dict.fromkeys([*details["variables"], *summary["variables"]]))
            details["missing_months"] = [month for month in details["missing_months"] if month != str(task.month)]
            _note(opened, path, temporary)
    _report(task.month, summary)


def _fetch_constants(source: Any, variables: Sequence[Variable], opened: OpenRecord) -> None:
    import numpy as np

    from video_prediction_tools.data_extraction.grids import Grid
    from video_prediction_tools.data_extraction.monthly_files import write_constants

    details, path = opened.record.details, constants_file(opened.directory)
    grid = Grid(np.array(details["lat"]), np.array(details["lon"]))
    fields = source.constants(variables, grid)
    found = [one for one in variables if one.short_name in fields]
    for one in variables:
        if one.short_name not in fields:
            say(f"constants.nc: {one.short_name} ({one.long_name}) is not there and is left out")
    details["constants_left_out"] = [one.short_name for one in variables if one not in found]
    if not found:
        return
    with whole_file(path) as temporary:
        write_constants(temporary, grid, fields, found, _attributes(source, "fields that do not change in time"))
        details["constants"] = [one.short_name for one in found]
        _note(opened, path, temporary)
    say(f"constants.nc: {', '.join(f'{name} from {field.origin}' for name, field in fields.items())}")


def _note(opened: OpenRecord, path: Path, temporary: Path) -> None:
    """Write the digest of a finished temporary file to metadata.json before the file gets its name."""
    entry = {"bytes": temporary.stat().st_size, "sha256": sha256(temporary)}
    opened.record.outputs[path.relative_to(opened.directory).as_posix()] = entry
    opened.save()


def _noted(opened: OpenRecord, path: Path) -> bool:
    return path.relative_to(opened.directory).as_posix() in opened.record.outputs


def _attributes(source: Any, content: str) -> dict[str, Any]:
    """Return the global attributes; without the time of day, so that the same request gives the same bytes."""
    title = f"AMBS: {content}" if not source.synthetic else f"AMBS: SYNTHETIC {content} (not real weather)"
    return {"title": title, "source": source.text, "history": f"AMBS {__version__} main_data_extraction.py",
            "synthetic": int(source.synthetic), "step_hours": int(source.step_hours), **source.attributes}


def _check_same(destination: Path, details: dict[str, Any], step_hours: int, grid: Any) -> None:
    import numpy as np

    from video_prediction_tools.data_extraction.grids import Grid

    if details["step_hours"] != step_hours:
        raise InputError(destination, f"holds {details['step_hours']}-hourly data, the source is {step_hours}-hourly",
                         _ANOTHER_DIRECTORY)
    if grid is not None and "lat" in details:
        there = Grid(np.array(details["lat"]), np.array(details["lon"]))
        if not there.same_as(grid):
            raise InputError(destination, f"holds data on another grid ({there}), the source has {grid}",
                             _ANOTHER_DIRECTORY)


def _difference(earlier: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
    return "; ".join(f"{key}: {earlier.get(key)} there, {now.get(key)} now" for key in keys)


def _gaps(month: Month, times: Any, step_hours: int) -> list[list[Any]]:
    """Return the missing stretches of a month: first and last missing time, and how many steps."""
    step = 3600 * step_hours
    first = month.start + (int(times[0]) - month.start) % step
    expected = range(first, month.end, step)
    edges = [first - step, *map(int, times), expected[-1] + step]
    return [[iso(before + step), iso(after - step), (after - before) // step - 1]
            for before, after in zip(edges, edges[1:], strict=False) if after - before > step]


def _report(month: Month, summary: dict[str, Any]) -> None:
    gaps = summary["gaps"]
    if gaps:
        shown = ", ".join(f"{first} to {last}" for first, last, _ in gaps[:3])
        more = f" and {len(gaps) - 3} more stretches" if len(gaps) > 3 else ""
        say(f"{month}: {sum(steps for _, _, steps in gaps)} time steps are missing: {shown}{more}")
    for name, found in summary["nan"].items():
        say(f"{month}: {name}: {100 * found['share']:.3g} % of the values are missing (NaN), the first at "
            f"{found['first']}; they stay NaN here, preprocess1 asks how to fill them")
