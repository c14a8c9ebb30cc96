"""A prepared data set as training and postprocessing see it: its sequences, statistics and region, checked together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools.datasets.channels import Region, read_region
from video_prediction_tools.datasets.sequences import Block, Sequences
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json, sha256
from video_prediction_tools.metadata.record import Record, require_done

MAKER = "preprocess1"
MAKER_OF_RECORDS = "preprocess2"
_AGAIN = f"run the step '{MAKER_OF_RECORDS}' again"


@dataclass(frozen=True)
class PreparedData:
    """The directory ``PreprocessedData/<data_name>`` with its TFRecords.

    Arguments:
        directory: the directory.
        name: data name.
        fingerprint: of the data set.
        variables, units: short names and units of the C channels.
        height, width: H and W.
        step_hours: hours between two frames.
        synthetic: made up, not observed.
        sequence_length: frames of a sequence.
        statistics: min, max, mean, std of each variable in the training split.
        region: coordinates and constants.
        splits: sequences of train, val and test.
        records_fingerprint: of the TFRecords.
    """

    directory: Path
    name: str
    fingerprint: str
    variables: tuple[str, ...]
    units: tuple[str, ...]
    height: int
    width: int
    step_hours: float
    synthetic: bool
    sequence_length: int
    statistics: Mapping[str, Mapping[str, float]]
    region: Region
    splits: Mapping[str, Sequences]
    records_fingerprint: str

    def sequences(self, split: str) -> Sequences:
        """Return the sequences of a split.

        Raises:
            InputError: the split has none.
        """
        found = self.splits.get(split)
        if not found:
            raise InputError(self.directory / "tfrecords" / split, f"the split '{split}' has no sequences",
                             "make the split longer, or the sequence length shorter, and prepare the data again")
        return found


def open_prepared(directory: Path) -> PreparedData:
    """Check a prepared data set and return it; the frames themselves are not read.

    Arguments:
        directory: ``PreprocessedData/<data_name>``.

    Raises:
        InputError: it is missing or unfinished, or its statistics, TFRecords and frames do not belong together.
    """
    directory = Path(directory)
    dataset = require_done(directory, "dataset", MAKER)
    tfrecords = directory / "tfrecords"
    records = require_done(tfrecords, "tfrecords", MAKER_OF_RECORDS)
    fingerprint = dataset.fingerprint()
    if records.details["dataset_fingerprint"] != fingerprint:
        raise InputError(tfrecords, "was made from another data set than the one that lies beside it", _AGAIN)
    variables = tuple(records.details["variables"])
    details = dataset.details
    units = details["units"]
    region = read_region(directory, details.get("lat"), details.get("lon"))
    shape = (records.details["height"], records.details["width"], len(variables))
    splits = {split: _sequences(tfrecords, records, split, shape, fingerprint) for split in records.details["blocks"]}
    return PreparedData(
        directory=directory, name=dataset.name, fingerprint=fingerprint, variables=variables,
        units=tuple(units[name] for name in variables) if isinstance(units, Mapping) else tuple(units),
        height=shape[0], width=shape[1], step_hours=records.details["step_hours"],
        synthetic=bool(details.get("synthetic")), sequence_length=records.details["sequence_length"],
        statistics=_statistics(directory, dataset, variables), region=region, splits=splits,
        records_fingerprint=records.fingerprint())


def _sequences(tfrecords: Path, records: Record, split: str, shape: tuple[int, int, int],
               fingerprint: str) -> Sequences:
    blocks = []
    for entry in records.details["blocks"][split]:
        path = tfrecords / entry["file"]
        noted = records.outputs.get(entry["file"], {"bytes": -1})["bytes"]
        if not path.is_file():
            raise InputError(path, "is missing", _AGAIN)
        if path.stat().st_size != noted:
            raise InputError(path, f"is damaged: it has {path.stat().st_size} bytes, not {noted}", _AGAIN)
        blocks.append(Block(path, entry["frames"], entry["sequences"]))
    return Sequences(tuple(blocks), records.details["sequence_length"], records.details["window_stride"], shape,
                     fingerprint)


def _statistics(directory: Path, dataset: Record, variables: tuple[str, ...]) -> dict[str, Any]:
    path = directory / "statistics.json"
    again = f"run the step '{MAKER}' again"
    content = read_json(path, again)
    noted = dataset.outputs.get("statistics.json")
    if noted is None or sha256(path) != noted["sha256"]:
        raise InputError(path, "does not belong to this data set (it is not the file that metadata.json names)", again)
    missing = [name for name in variables if name not in content.get("variables", {})]
    if missing:
        raise InputError(path, f"has no statistics of {', '.join(missing)}", again)
    return content["variables"]
