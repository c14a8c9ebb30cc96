"""Going on where an earlier run stopped: what of its files is whole, and whether it wanted the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import TEMPORARY_SUFFIX
from video_prediction_tools.metadata.record import OpenRecord, Record, find_record
from video_prediction_tools.ranks import Ranks


def earlier_run(
    directory: Path, kind: str, recipe: dict[str, Any], names: dict[str, str], remedy: str
) -> Record | None:
    """Return the record of an earlier run that wanted the same, or None.

    Arguments:
        directory: what is to be made.
        kind: its kind in metadata.json.
        recipe: all that decides about the content.
        names: what each entry of the recipe is called in the error message.
        remedy: what to do when the directory was finished from another recipe.

    Raises:
        InputError: the directory was finished, but from another recipe. (An unfinished one is of no use to
            anybody and is begun anew.)
    """
    record = find_record(directory)
    if record is None:
        return None
    if record.kind != kind:
        raise InputError(
            directory, f"holds data of the kind '{record.kind}', not '{kind}'", "give another directory"
        )
    recipe, made_with = json.loads(json.dumps(recipe)), record.details.get("recipe", {})
    if made_with == recipe:
        return record
    if "done" in (record.state, *(attempt.get("state") for attempt in record.attempts)):
        other = [names[key] for key in recipe if made_with.get(key) != recipe[key]]
        raise InputError(
            directory,
            f"is there already, made with {' and '.join(f'another {name}' for name in other)}",
            remedy,
        )
    return None


def whole_outputs(directory: Path, record: Record, ranks: Ranks) -> set[str]:
    """Return which of the noted files are there with the noted content; the ranks share the reading."""
    names, opened = sorted(record.outputs), OpenRecord(directory, record)
    verdicts = ranks.share_out(names, lambda name: opened.is_whole(directory / name))
    return {name for name, whole in zip(names, verdicts, strict=True) if whole}


def remove_strays(directory: Path, folders: Sequence[str], kept: set[str]) -> None:
    """Remove from the folders what killed runs, or unfinished ones with other arguments, left behind."""
    for folder in folders:
        for path in sorted((directory / folder).glob("*")):
            temporary = path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)
            if temporary or path.relative_to(directory).as_posix() not in kept:
                path.unlink()
