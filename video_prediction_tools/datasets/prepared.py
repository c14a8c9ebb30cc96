"""A prepared data set as training and postprocessing see it: sequences, statistics, region, all checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from video_prediction_tools.datasets.channels import Region, read_region
from video_prediction_tools.datasets.fresh import DIGITS_FILE, FreshSequences
from video_prediction_tools.datasets.moving_digits import Motion
from video_prediction_tools.datasets.sequences import Sequences
from video_prediction_tools.datasets.statistics import FILE_NAME, read_statistics
from video_prediction_tools.datasets.tfrecords import DIRECTORY, BlockIndex, read_index
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import sha256
from video_prediction_tools.metadata.names import step_that_makes
from video_prediction_tools.metadata.record import Record, require_done

_DAYS_OF_ALL_SEASONS = 330


@dataclass(frozen=True)
class PreparedData:
    """The directory ``PreprocessedData/<data_name>`` with its TFRecords.

    Arguments:
        directory: the directory.
        name: data name.
        fingerprint: of the data set.
        units: units of the C channels.
        synthetic: made up, not observed.
        statistics: min, max, mean, std of each variable in the training split.
        region: coordinates and constants.
        index: of the TFRecords: variables, grid, sequence length, blocks.
        fresh: training sequences that are drawn afresh in every epoch, in place of those in the TFRecords.
    """

    directory: Path
    name: str
    fingerprint: str
    units: tuple[str, ...]
    synthetic: bool
    statistics: Mapping[str, Mapping[str, float]]
    region: Region
    index: BlockIndex
    fresh: FreshSequences | None = None

    @property
    def trains_on_a_whole_year(self) -> bool:
        """Whether the training split spans all seasons."""
        blocks = self.index.blocks["train"]
        return bool(blocks) and blocks[-1].start - blocks[0].start > _DAYS_OF_ALL_SEASONS * 86400

    def sequences(self, split: str) -> Sequences | FreshSequences:
        """Return the sequences of a split.

        Raises:
            InputError: the split has none.
        """
        if split == "train" and self.fresh is not None:
            return self.fresh
        index = self.index
        if not index.blocks.get(split):
            raise InputError(
                index.directory / split,
                f"the split '{split}' has no sequences",
                "make the split longer, or the sequence length shorter, and prepare the data again",
            )
        return Sequences(
            index.blocks[split],
            index.sequence_length,
            index.window_stride,
            (index.height, index.width, len(index.variables)),
            index.dataset_fingerprint,
        )


def open_prepared(directory: Path) -> PreparedData:
    """Check a prepared data set and return it; the frames themselves are not read.

    Arguments:
        directory: ``PreprocessedData/<data_name>``.

    Raises:
        InputError: it is missing or unfinished, or its statistics, TFRecords and frames do not belong
            together.
    """
    directory = Path(directory)
    dataset = require_done(directory, "dataset", step_that_makes(directory, "preprocess1"))
    fingerprint = dataset.fingerprint()
    index = read_index(directory / DIRECTORY, fingerprint)
    statistics = read_statistics(directory, dataset)
    missing = [name for name in index.variables if name not in statistics]
    if missing:
        raise InputError(
            directory / FILE_NAME,
            f"has no statistics of {', '.join(missing)}",
            f"run the step '{step_that_makes(directory, 'preprocess1')}' again",
        )
    details = dataset.details
    units = details["units"]
    return PreparedData(
        directory,
        dataset.name,
        fingerprint,
        tuple(units[name] for name in index.variables) if isinstance(units, Mapping) else tuple(units),
        bool(details.get("synthetic")),
        {name: asdict(statistics[name]) for name in index.variables},
        read_region(directory, details.get("lat"), details.get("lon")),
        index,
        _fresh_sequences(directory, dataset, index),
    )


def _fresh_sequences(directory: Path, dataset: Record, index: BlockIndex) -> FreshSequences | None:
    """Read what training sequences are drawn from, where a data set of Moving MNIST says so."""
    about = dataset.details.get("fresh")
    if not about:
        return None
    path = directory / DIGITS_FILE
    if not path.is_file() or sha256(path) != dataset.outputs.get(DIGITS_FILE, {}).get("sha256"):
        raise InputError(
            path,
            "is missing, or not the file that was written here",
            "run the step 'preprocess_moving_mnist' again, it makes what is missing",
        )
    motion = Motion(dataset.details["n_digits"], index.height, index.sequence_length)
    step = index.step_hours * 3600
    return FreshSequences(np.load(path), motion, about["seed"], about["sequences"], step)
